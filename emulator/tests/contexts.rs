//! Contexts: their names, pages, states and files, and who sees them.

mod support;

use serde_json::{Value, json};
use support::{Bench, Client, eventually, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_context_is_created_once_and_found_by_name_and_id() {
    let bench = Bench::start().await;
    let by_name = [("name", "mine")];
    bench
        .client
        .get("/sdk/GetContext", &by_name)
        .await
        .refused(400, "InvalidContext.NotFound");
    let id = bench.client.context("mine").await;
    assert!(id.starts_with("SdkCtx-"));
    assert_eq!(bench.client.context("mine").await, id);
    for query in [by_name, [("id", id.as_str())]] {
        let context = bench
            .client
            .get("/sdk/GetContext", &query)
            .await
            .data()
            .clone();
        assert_eq!(
            (&context["id"], &context["name"], &context["state"]),
            (&json!(id), &json!("mine"), &json!("available"))
        );
        assert!(text(context["createTime"].clone()).ends_with('Z'));
    }
    let elsewhere = [("name", "mine"), ("loginRegionId", "ap-southeast-1")];
    bench
        .client
        .get("/sdk/GetContext", &elsewhere)
        .await
        .refused(400, "InvalidContext.NotFound");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_context_requests_are_refused() {
    let bench = Bench::start().await;
    let id = bench.client.context("mine").await;
    let get = async |query: &[(&str, &str)]| bench.client.get("/sdk/GetContext", query).await;
    get(&[]).await.refused(400, "MissingParameter");
    get(&[("id", &id), ("allowCreate", "true")])
        .await
        .refused(400, "InvalidParameter");
    get(&[("name", "x"), ("allowCreate", "perhaps")])
        .await
        .refused(400, "InvalidParameter");
    get(&[("id", "SdkCtx-none")])
        .await
        .refused(400, "InvalidContext.NotFound");
    for (operation, query) in [
        ("DeleteContext", "id"),
        ("ClearContext", "id"),
        ("DescribeContextFiles", "contextId"),
    ] {
        let path = format!("/sdk/{operation}");
        bench
            .client
            .post(&path, &[], json!({}))
            .await
            .refused(400, "MissingParameter");
        bench
            .client
            .post(&path, &[(query, "none")], json!({}))
            .await
            .refused(400, "InvalidContext.NotFound");
    }
    let list = async |query: &[(&str, &str)]| bench.client.get("/sdk/ListContexts", query).await;
    list(&[("maxResults", "0")])
        .await
        .refused(400, "InvalidParameter");
    list(&[("maxResults", "many")])
        .await
        .refused(400, "InvalidParameter");
    list(&[("nextToken", "made up")])
        .await
        .refused(400, "InvalidParameter");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_a_list_hold_every_context_once() {
    let bench = Bench::start().await;
    let mut created = Vec::new();
    for number in 0..5 {
        created.push(bench.client.context(&format!("context-{number}")).await);
    }
    let (mut listed, mut next) = (Vec::new(), String::new());
    loop {
        let page = bench
            .client
            .get(
                "/sdk/ListContexts",
                &[("maxResults", "2"), ("nextToken", &next)],
            )
            .await;
        let contexts = page.data().as_array().unwrap();
        assert!(contexts.len() <= 2);
        listed.extend(contexts.iter().map(|context| text(context["id"].clone())));
        assert_eq!(
            (&page.body["totalCount"], &page.body["maxResults"]),
            (&json!(5), &json!(2))
        );
        match &page.body["nextToken"] {
            Value::Null => break,
            token => next = text(token.clone()),
        }
    }
    assert_eq!(listed, created);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_can_be_renamed_but_not_to_a_name_that_is_taken() {
    let bench = Bench::start().await;
    let id = bench.client.context("old").await;
    bench.client.context("taken").await;
    let rename = async |name: &str| {
        bench
            .client
            .post(
                "/sdk/ModifyContext",
                &[("id", &id), ("name", name)],
                json!({}),
            )
            .await
    };
    rename("taken")
        .await
        .refused(400, "InvalidContext.NameAlreadyExists");
    rename("new").await.ok();
    rename("new").await.ok();
    assert_eq!(bench.client.context("new").await, id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_context_is_gone() {
    let bench = Bench::start().await;
    let id = bench.client.context("mine").await;
    bench
        .client
        .post("/sdk/DeleteContext", &[("id", &id)], json!({}))
        .await
        .ok();
    bench
        .client
        .get("/sdk/GetContext", &[("id", &id)])
        .await
        .refused(400, "InvalidContext.NotFound");
    assert_ne!(bench.client.context("mine").await, id);
}

#[tokio::test(flavor = "multi_thread")]
async fn clearing_goes_through_its_states_and_empties_the_context() {
    let bench = Bench::start().await;
    let id = bench.client.context("mine").await;
    let session = bench
        .client
        .session_with("agb-code-space-1", &[(&id, "/tmp/data", json!({}))])
        .await;
    bench.client.shell(&session, "echo x > /tmp/data/x").await;
    bench.client.upload(&session).await;
    bench
        .client
        .post("/sdk/ClearContext", &[("id", &id)], json!({}))
        .await
        .ok();
    let mut states = Vec::new();
    eventually("the context is available", async || {
        let state = text(
            bench
                .client
                .get("/sdk/GetContext", &[("id", &id)])
                .await
                .data()["state"]
                .clone(),
        );
        if states.last() != Some(&state) {
            states.push(state.clone());
        }
        (state == "available").then_some(())
    })
    .await;
    assert_eq!(states, ["clearing", "pre-available", "available"]);
    assert!(bench.client.files(&id, "/tmp/data").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_listed_by_folder_and_page_and_can_be_deleted() {
    let bench = Bench::start().await;
    let id = bench.client.context("mine").await;
    let session = bench
        .client
        .session_with("agb-code-space-1", &[(&id, "/tmp/data", json!({}))])
        .await;
    bench
        .client
        .shell(
            &session,
            "cd /tmp/data && mkdir d && printf 12345 > a && touch b c d/e",
        )
        .await;
    bench.client.upload(&session).await;

    let list = async |page: &str| {
        let query = [
            ("contextId", id.as_str()),
            ("parentFolderPath", "/tmp/data"),
            ("pageNumber", page),
            ("pageSize", "3"),
        ];
        bench
            .client
            .post("/sdk/DescribeContextFiles", &query, json!({}))
            .await
    };
    let first = list("1").await;
    assert_eq!(
        (first.data().as_array().unwrap().len(), &first.body["count"]),
        (3, &json!(4))
    );
    let file = &first.data()[0];
    assert_eq!(
        (
            &file["fileName"],
            &file["filePath"],
            &file["size"],
            &file["fileType"]
        ),
        (
            &json!("a"),
            &json!("/tmp/data/a"),
            &json!(5),
            &json!("FILE")
        )
    );
    let second = list("2").await;
    assert_eq!(
        (&second.data()[0]["filePath"], &second.data()[0]["fileType"]),
        (&json!("/tmp/data/d"), &json!("FOLDER"))
    );

    let delete = [("contextId", id.as_str()), ("filePath", "/tmp/data/a")];
    bench
        .client
        .post("/sdk/DeleteContextFile", &delete, json!({}))
        .await
        .ok();
    bench
        .client
        .post("/sdk/DeleteContextFile", &delete, json!({}))
        .await
        .refused(400, "InvalidFile.NotFound");
    let climbing = [("contextId", id.as_str()), ("filePath", "/tmp/../a")];
    bench
        .client
        .post("/sdk/DeleteContextFile", &climbing, json!({}))
        .await
        .refused(400, "InvalidParameter");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_sees_nothing() {
    let bench = Bench::start().await;
    let id = bench.client.context("mine").await;
    let session = bench.client.session().await;
    let other = Client::new(&bench.emulator, "other");
    other
        .get("/sdk/GetContext", &[("id", &id)])
        .await
        .refused(400, "InvalidContext.NotFound");
    other
        .get("/sdk/GetContext", &[("name", "mine")])
        .await
        .refused(400, "InvalidContext.NotFound");
    assert_eq!(
        other.get("/sdk/ListContexts", &[]).await.body["totalCount"],
        0
    );
    assert_eq!(other.get("/sdk/ListSession", &[]).await.body["count"], 0);
    other
        .post("/mcp/getSession", &[], json!({ "sessionId": session }))
        .await
        .refused(400, "InvalidMcpSession.NotFound");
    assert_ne!(other.context("mine").await, id);
    let mounted = other
        .try_session("agb-code-space-1", &[(&id, "/tmp/data", json!({}))])
        .await;
    mounted.refused(400, "InvalidContext.NotFound");
}

//! Tools, code, files and links of sessions.

use agb_emulator::FaultAction;
use agb_gateway::proto::v1 as pb;
use prost_types::value::Kind;
use prost_types::{Struct, Value};
use tonic::{Code, Status};

use crate::support::{BROWSER_IMAGE, CODE_IMAGE, World, reason, seconds, within, wrong_fields};

/// Whether this machine has one of these programs. The emulated AGB runs code and browsers by what its host has.
fn host_has(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .any(|folder| programs.iter().any(|program| folder.join(program).exists()))
}

pub(crate) async fn session(world: &World) -> String {
    world.create_session(CODE_IMAGE, vec![]).await
}

fn text(text: &str) -> Value {
    Value {
        kind: Some(Kind::StringValue(text.to_owned())),
    }
}

fn arguments(fields: &[(&str, &str)]) -> Struct {
    let fields = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), text(value)));
    Struct {
        fields: fields.collect(),
    }
}

async fn call(world: &World, request: pb::CallToolRequest) -> Result<pb::CallToolResponse, Status> {
    let answer = world.sessions().call_tool(within(request)).await?;
    Ok(answer.into_inner())
}

#[tokio::test]
async fn the_tools_of_an_image_are_listed_with_their_arguments() {
    let world = World::start().await;
    let request = pb::ListToolsRequest {
        image_id: CODE_IMAGE.to_owned(),
    };
    let answer = world.sessions().list_tools(within(request)).await.unwrap();
    let tools = answer.into_inner().tools;
    let shell = tools
        .iter()
        .find(|tool| tool.name == "shell")
        .expect("a shell");
    assert!(!shell.description.is_empty());
    assert!(
        shell
            .input_schema
            .as_ref()
            .unwrap()
            .fields
            .contains_key("properties")
    );
}

#[tokio::test]
async fn a_tool_is_called_by_the_session_s_own_link_and_a_failing_one_is_an_answer() {
    let world = World::start().await;
    let session_id = session(&world).await;
    let request = |name: &str, fields| pb::CallToolRequest {
        session_id: session_id.clone(),
        name: name.to_owned(),
        arguments: Some(fields),
        timeout: None,
    };
    let good = request(
        "write_file",
        arguments(&[("path", "/tmp/a"), ("content", "hi"), ("mode", "overwrite")]),
    );
    assert!(!call(&world, good).await.unwrap().is_error);
    let answer = call(
        &world,
        request("read_file", arguments(&[("path", "/tmp/a")])),
    )
    .await
    .unwrap();
    assert_eq!(
        answer.contents[0].content,
        Some(pb::tool_content::Content::Text("hi".to_owned()))
    );
    assert_eq!(world.emulator.request_count("callTool"), 2);
    assert_eq!(world.emulator.request_count("mcp"), 0);
    assert_eq!(world.emulator.request_count("getSession"), 0);
    let missing = call(
        &world,
        request("read_file", arguments(&[("path", "/tmp/none")])),
    )
    .await
    .unwrap();
    assert!(missing.is_error);
}

#[tokio::test]
async fn a_session_that_another_replica_made_is_asked_for_its_link_once() {
    let world = World::start().await;
    let session_id = session(&world).await;
    let (_gateway, channel) = world.replica().await;
    let mut sessions =
        agb_gateway::proto::v1::session_service_client::SessionServiceClient::new(channel);
    for _ in 0..3 {
        let request = pb::ExecuteCommandRequest {
            session_id: session_id.clone(),
            command: "true".to_owned(),
            timeout: Some(seconds(20)),
            ..pb::ExecuteCommandRequest::default()
        };
        sessions.execute_command(within(request)).await.unwrap();
    }
    assert_eq!(world.emulator.request_count("getSession"), 1);
    assert_eq!(world.emulator.request_count("callTool"), 3);
}

#[tokio::test]
async fn a_link_that_cannot_be_reached_is_not_tried_again() {
    let world = World::start().await;
    let session_id = session(&world).await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let told = serde_json::json!({"success": true, "data": {
        "sessionId": session_id, "linkUrl": format!("http://{address}"), "token": "t",
        "toolList": [{"name": "shell", "server": "s"}],
    }});
    let fault = FaultAction::Respond {
        status: 200,
        body: told.to_string(),
        headers: std::collections::BTreeMap::new(),
    };
    world.inject("getSession", 1, fault);
    let (_gateway, channel) = world.replica().await;
    let mut sessions =
        agb_gateway::proto::v1::session_service_client::SessionServiceClient::new(channel);
    let mut execute = async || {
        let request = pb::ExecuteCommandRequest {
            session_id: session_id.clone(),
            command: "true".to_owned(),
            timeout: Some(seconds(20)),
            ..pb::ExecuteCommandRequest::default()
        };
        sessions.execute_command(within(request)).await.unwrap();
    };
    execute().await;
    let open = std::net::TcpListener::bind(address).unwrap();
    open.set_nonblocking(true).unwrap();
    execute().await;
    assert!(open.accept().is_err(), "the link was tried again");
    assert_eq!(world.emulator.request_count("mcp"), 2);
}

#[tokio::test]
async fn a_tool_call_whose_answer_is_lost_is_not_repeated() {
    let world = World::start().await;
    let session_id = session(&world).await;
    let fault = world.inject("callTool", 1, FaultAction::CloseAfterWork);
    let request = pb::ExecuteCommandRequest {
        session_id: session_id.clone(),
        command: "echo once >> /tmp/count".to_owned(),
        timeout: Some(seconds(20)),
        ..pb::ExecuteCommandRequest::default()
    };
    let status = world
        .sessions()
        .execute_command(within(request))
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::Unknown, "AGB_OUTCOME_UNKNOWN")
    );
    assert_eq!(world.emulator.faults().fired(fault), 1);
    assert_eq!(world.run(&session_id, "cat /tmp/count").await, "once\n");
}

#[tokio::test]
async fn code_tells_what_it_wrote_showed_and_raised() {
    let world = World::start().await;
    let session_id = session(&world).await;
    let run = |code: &str, language: &str| {
        let request = pb::RunCodeRequest {
            session_id: session_id.clone(),
            code: code.to_owned(),
            language: language.to_owned(),
            timeout: Some(seconds(30)),
        };
        let world = &world;
        async move {
            world
                .sessions()
                .run_code(within(request))
                .await
                .map(tonic::Response::into_inner)
        }
    };
    let status = run("x", "cobol").await.unwrap_err();
    assert_eq!(wrong_fields(&status), ["language"]);
    if !host_has(&["python3"]) {
        let status = run("1", "python").await.unwrap_err();
        assert_eq!(reason(&status), "AGB_TOOL_FAILED");
        return;
    }
    let good = run("print('hi')\n6 * 7", "Python3").await.unwrap();
    assert_eq!(good.stdout.concat(), "hi\n");
    assert!(
        good.results.iter().any(|result| {
            result
                .representations
                .get("text/plain")
                .is_some_and(|text| text == "42")
        }),
        "{good:?}"
    );
    assert_eq!(good.error, None);
    let raised = run("1 / 0", "python").await.unwrap();
    assert!(raised.error.unwrap().value.contains("ZeroDivisionError"));
}

#[tokio::test]
async fn links_metrics_resource_and_internal_contexts_are_told() {
    let world = World::start().await;
    let session_id = world.create_session(BROWSER_IMAGE, vec![]).await;
    let request = pb::GetSessionLinkRequest {
        session_id: session_id.clone(),
        protocol_type: "https".to_owned(),
        port: 30_100,
    };
    let link = world
        .sessions()
        .get_session_link(within(request))
        .await
        .unwrap()
        .into_inner();
    assert!(link.url.contains("://"), "{}", link.url.len());
    let request = pb::GetSessionMetricsRequest {
        session_id: session_id.clone(),
    };
    let metrics = world
        .sessions()
        .get_session_metrics(within(request))
        .await
        .unwrap();
    let metrics = metrics.into_inner().metrics.unwrap();
    assert!(
        metrics.cpu_count > 0 && metrics.memory_total_bytes > 0,
        "{metrics:?}"
    );
    let request = pb::GetSessionResourceRequest {
        session_id: session_id.clone(),
    };
    let resource = world
        .sessions()
        .get_session_resource(within(request))
        .await
        .unwrap();
    assert!(
        !resource
            .into_inner()
            .resource
            .unwrap()
            .resource_url
            .is_empty()
    );
    let request = pb::LoadInternalContextsRequest {
        session_id,
        context_types: vec!["file_transfer".to_owned()],
    };
    let contexts = world
        .sessions()
        .load_internal_contexts(within(request))
        .await
        .unwrap();
    assert_eq!(contexts.into_inner().contexts.len(), 1);
}

#[tokio::test]
async fn a_link_without_a_port_names_none() {
    let world = World::start().await;
    let session_id = session(&world).await;
    let request = pb::GetSessionLinkRequest {
        session_id,
        ..pb::GetSessionLinkRequest::default()
    };
    // Whether AGB wants a port is AGB's affair.
    let _ = world.sessions().get_session_link(within(request)).await;
    let query = world.first_request("getLink").query;
    assert_eq!(query.keys().collect::<Vec<_>>(), ["sessionId"]);
}

#[tokio::test]
async fn a_browser_is_started_and_its_link_told_or_the_refusal_is_agb_s() {
    let world = World::start().await;
    let session_id = world.create_session(BROWSER_IMAGE, vec![]).await;
    if !host_has(&["chromium", "chromium-browser", "google-chrome"]) {
        let request = pb::InitBrowserRequest {
            session_id,
            ..pb::InitBrowserRequest::default()
        };
        let status = world
            .sessions()
            .init_browser(within(request))
            .await
            .unwrap_err();
        assert!(reason(&status).starts_with("AGB_"), "{status:?}");
        return;
    }
    let request = pb::InitBrowserRequest {
        session_id: session_id.clone(),
        ..pb::InitBrowserRequest::default()
    };
    let browser = world
        .sessions()
        .init_browser(within(request))
        .await
        .unwrap()
        .into_inner();
    assert!(browser.port > 0);
    let request = pb::GetCdpLinkRequest { session_id };
    let link = world
        .sessions()
        .get_cdp_link(within(request))
        .await
        .unwrap()
        .into_inner();
    assert!(link.url.starts_with("ws"));
}

#[tokio::test]
async fn every_way_into_a_session_names_its_wrong_fields_and_an_unknown_session() {
    let world = World::start().await;
    let request = pb::GetSessionLinkRequest {
        session_id: "s".to_owned(),
        protocol_type: String::new(),
        port: 70_000,
    };
    let status = world
        .sessions()
        .get_session_link(within(request))
        .await
        .unwrap_err();
    assert_eq!(wrong_fields(&status), ["port"]);
    let request = pb::LoadInternalContextsRequest::default();
    let status = world
        .sessions()
        .load_internal_contexts(within(request))
        .await
        .unwrap_err();
    assert_eq!(wrong_fields(&status), ["session_id", "context_types"]);
    let request = pb::GetCdpLinkRequest {
        session_id: "s-none".to_owned(),
    };
    let status = world
        .sessions()
        .get_cdp_link(within(request))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "SESSION_NOT_FOUND");
    let request = pb::ListToolsRequest::default();
    let status = world
        .sessions()
        .list_tools(within(request))
        .await
        .unwrap_err();
    assert_eq!(wrong_fields(&status), ["image_id"]);
}

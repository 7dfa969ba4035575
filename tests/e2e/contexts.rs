//! ContextService.

use agb_gateway::proto::v1 as pb;
use agb_gateway::proto::v1::get_context_request::Selector;
use tonic::{Code, Status};

use crate::support::{CODE_IMAGE, World, mount, reason, within, wrong_fields};

async fn get(world: &World, selector: Selector) -> Result<pb::Context, Status> {
    let request = pb::GetContextRequest {
        selector: Some(selector),
        ..pb::GetContextRequest::default()
    };
    let answer = world.contexts().get_context(within(request)).await?;
    Ok(answer.into_inner().context.unwrap())
}

async fn list(world: &World, page_size: i32, page_token: &str) -> pb::ListContextsResponse {
    let request = pb::ListContextsRequest {
        page_size,
        page_token: page_token.to_owned(),
    };
    let answer = world.contexts().list_contexts(within(request)).await;
    answer.unwrap().into_inner()
}

#[tokio::test]
async fn a_context_is_created_once_and_found_by_id_and_by_name() {
    let world = World::start().await;
    let id = world.create_context("my context").await;
    assert_eq!(world.create_context("my context").await, id);
    let by_id = get(&world, Selector::ContextId(id.clone())).await.unwrap();
    let by_name = get(&world, Selector::Name("my context".to_owned()))
        .await
        .unwrap();
    assert_eq!(by_id, by_name);
    assert_eq!(by_id.context_id, id);
    assert_eq!(by_id.state(), pb::ContextState::Available);
    assert!(by_id.create_time.is_some());
}

#[tokio::test]
async fn the_region_of_a_context_reaches_agb() {
    let world = World::start().await;
    let request = pb::CreateContextRequest {
        context: Some(pb::Context {
            name: "c".to_owned(),
            ..pb::Context::default()
        }),
        login_region_id: "cn-hangzhou".to_owned(),
    };
    world
        .contexts()
        .create_context(within(request))
        .await
        .unwrap();
    let requests = world.emulator.requests();
    assert_eq!(requests[0].query["loginRegionId"], "cn-hangzhou");
    assert_eq!(requests[0].query["allowCreate"], "true");
}

#[tokio::test]
async fn a_context_that_is_not_there_is_not_found_and_not_created() {
    let world = World::start().await;
    for selector in [
        Selector::ContextId("SdkCtx-none".to_owned()),
        Selector::Name("none".to_owned()),
    ] {
        let status = get(&world, selector).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound, "{status:?}");
        assert_eq!(reason(&status), "CONTEXT_NOT_FOUND");
    }
    assert_eq!(list(&world, 0, "").await.contexts, []);
}

#[tokio::test]
async fn lists_come_in_pages_that_hold_every_context_once() {
    let world = World::start().await;
    let mut expected = Vec::new();
    for number in 0..5 {
        expected.push(world.create_context(&format!("context {number}")).await);
    }
    let mut found = Vec::new();
    let mut page_token = String::new();
    let mut pages = 0;
    loop {
        let page = list(&world, 2, &page_token).await;
        assert_eq!(page.total_size, 5);
        assert!(page.contexts.len() <= 2);
        found.extend(page.contexts.into_iter().map(|context| context.context_id));
        pages += 1;
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    found.sort();
    expected.sort();
    assert_eq!((found, pages), (expected, 3));
}

#[tokio::test]
async fn a_deleted_context_is_gone() {
    let world = World::start().await;
    let context_id = world.create_context("short-lived").await;
    let request = pb::DeleteContextRequest {
        context_id: context_id.clone(),
        allow_missing: false,
    };
    world
        .contexts()
        .delete_context(within(request.clone()))
        .await
        .unwrap();
    let status = get(&world, Selector::ContextId(context_id))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let status = world
        .contexts()
        .delete_context(within(request))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "{status:?}");
}

#[tokio::test]
async fn a_context_that_is_not_there_can_be_deleted_if_that_is_allowed() {
    let world = World::start().await;
    let request = pb::DeleteContextRequest {
        context_id: "SdkCtx-none".to_owned(),
        allow_missing: true,
    };
    world
        .contexts()
        .delete_context(within(request))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_context_gets_another_name() {
    let world = World::start().await;
    let id = world.create_context("old name").await;
    let rename = |name: &str, path: &str| pb::UpdateContextRequest {
        context: Some(pb::Context {
            context_id: id.clone(),
            name: name.to_owned(),
            ..pb::Context::default()
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: vec![path.to_owned()],
        }),
    };
    let request = within(rename("new name", "name"));
    let answer = world.contexts().update_context(request).await.unwrap();
    assert_eq!(answer.into_inner().context.unwrap().name, "new name");
    let found = get(&world, Selector::Name("new name".to_owned()))
        .await
        .unwrap();
    assert_eq!(found.context_id, id);
    assert!(
        get(&world, Selector::Name("old name".to_owned()))
            .await
            .is_err()
    );
    let request = within(rename("x", "state"));
    let status = world.contexts().update_context(request).await.unwrap_err();
    assert_eq!(wrong_fields(&status), ["update_mask"]);
}

/// A context that holds these files, uploaded by a session that mounted it at `/home/data`.
async fn with_files(world: &World, files: &[&str]) -> String {
    let context = world.create_context("files").await;
    let session = world
        .create_session(CODE_IMAGE, vec![mount(&context, "/home/data")])
        .await;
    for file in files {
        let path = format!("/home/data/{file}");
        world
            .run(
                &session,
                &format!("mkdir -p $(dirname {path}) && echo content > {path}"),
            )
            .await;
    }
    world.sync_all(&session).await.unwrap();
    world.end(&session).await;
    context
}

async fn list_files(
    world: &World,
    request: pb::ListContextFilesRequest,
) -> pb::ListContextFilesResponse {
    let answer = world.contexts().list_context_files(within(request)).await;
    answer.unwrap().into_inner()
}

#[tokio::test]
async fn files_of_a_context_are_listed_in_pages_and_deleted() {
    let world = World::start().await;
    let context_id = with_files(&world, &["a", "b", "c", "deep/d"]).await;
    let request = pb::ListContextFilesRequest {
        context_id: context_id.clone(),
        parent_path: "/home/data".to_owned(),
        page_size: 3,
        page_token: String::new(),
    };
    let first = list_files(&world, request.clone()).await;
    assert_eq!((first.files.len(), first.total_size), (3, 4));
    let next = pb::ListContextFilesRequest {
        page_token: first.next_page_token.clone(),
        ..request.clone()
    };
    let second = list_files(&world, next.clone()).await;
    assert_eq!(
        (second.files.len(), second.next_page_token.as_str()),
        (1, "")
    );
    let file = first
        .files
        .iter()
        .find(|file| file.path == "/home/data/a")
        .unwrap();
    assert_eq!((file.name.as_str(), file.size_bytes), ("a", 8));
    let elsewhere = pb::ListContextFilesRequest {
        parent_path: "/home".to_owned(),
        ..next
    };
    let status = world
        .contexts()
        .list_context_files(within(elsewhere))
        .await
        .unwrap_err();
    assert_eq!(wrong_fields(&status), ["page_token"]);

    let delete = |path: &str, allow_missing| pb::DeleteContextFileRequest {
        context_id: context_id.clone(),
        path: path.to_owned(),
        allow_missing,
    };
    let request = within(delete("/home/data/a", false));
    world.contexts().delete_context_file(request).await.unwrap();
    let left = list_files(
        &world,
        pb::ListContextFilesRequest {
            page_size: 0,
            ..next_of(&context_id)
        },
    )
    .await;
    assert_eq!(left.total_size, 3);
}

fn next_of(context_id: &str) -> pb::ListContextFilesRequest {
    pb::ListContextFilesRequest {
        context_id: context_id.to_owned(),
        parent_path: "/home/data".to_owned(),
        ..pb::ListContextFilesRequest::default()
    }
}

#[tokio::test]
async fn a_cleared_context_is_empty_and_available() {
    let world = World::start().await;
    let context_id = with_files(&world, &["a", "b"]).await;
    let request = pb::ClearContextRequest {
        context_id: context_id.clone(),
    };
    let answer = world
        .contexts()
        .clear_context(within(request))
        .await
        .unwrap();
    let context = answer.into_inner().context.unwrap();
    assert_eq!(context.state(), pb::ContextState::Available);
    assert_eq!(list_files(&world, next_of(&context_id)).await.total_size, 0);
}

#[tokio::test]
async fn looks_at_a_context_that_fail_do_not_make_it_cleared() {
    let world = World::start().await;
    let context_id = with_files(&world, &["a"]).await;
    let fault = world.inject(
        "GetContext",
        2,
        agb_emulator::FaultAction::Respond {
            status: 503,
            body: "<html>".to_owned(),
            headers: std::collections::BTreeMap::new(),
        },
    );
    let request = pb::ClearContextRequest { context_id };
    world
        .contexts()
        .clear_context(within(request))
        .await
        .unwrap();
    assert_eq!(world.emulator.faults().fired(fault), 2);
}

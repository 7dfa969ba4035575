//! ContextService.

use agb_gateway::proto::v1 as pb;
use agb_gateway::proto::v1::get_context_request::Selector;
use tonic::{Code, Status};

use crate::support::{World, reason, within};

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

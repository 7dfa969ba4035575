//! What is repeated, what is not, and that an outage is not made worse.

use std::time::{Duration, Instant};

use agb_emulator::FaultAction;
use agb_gateway::proto::v1 as pb;
use figment::Figment;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::support::{CODE_IMAGE, World, reason, within};

async fn list(world: &World) -> Result<(), Status> {
    let request = pb::ListContextsRequest::default();
    world.contexts().list_contexts(within(request)).await?;
    Ok(())
}

async fn create(world: &World) -> Result<(), Status> {
    let request = pb::CreateSessionRequest {
        image_id: CODE_IMAGE.to_owned(),
        ..pb::CreateSessionRequest::default()
    };
    world.sessions().create_session(within(request)).await?;
    Ok(())
}

#[tokio::test]
async fn a_call_that_only_reads_is_repeated_when_its_answer_is_lost() {
    let world = World::start().await;
    let fault = world.inject("ListContexts", 2, FaultAction::CloseBeforeWork);
    list(&world).await.unwrap();
    assert_eq!(world.emulator.faults().fired(fault), 2);
    assert_eq!(world.emulator.request_count("ListContexts"), 3);
}

#[tokio::test]
async fn a_creation_that_agb_throttled_has_not_happened_and_is_repeated() {
    let world = World::start().await;
    let throttle = FaultAction::Throttle {
        retry_after_s: None,
    };
    world.inject("createSession", 1, throttle);
    create(&world).await.unwrap();
    assert_eq!(world.emulator.request_count("createSession"), 2);
}

#[tokio::test]
async fn retry_after_is_waited_for_where_the_deadline_allows_it() {
    let world = World::start().await;
    let throttle = |seconds| FaultAction::Throttle {
        retry_after_s: Some(seconds),
    };
    world.inject("ListContexts", 1, throttle(1));
    let begin = Instant::now();
    list(&world).await.unwrap();
    assert!(begin.elapsed() >= Duration::from_secs(1));
    world.inject("ListContexts", 1, throttle(600));
    let status = list(&world).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(world.emulator.request_count("ListContexts"), 3);
}

#[tokio::test]
async fn attempts_that_the_client_has_made_count() {
    let world = World::start().await;
    world.inject("ListContexts", 100, FaultAction::CloseBeforeWork);
    for (previous, requests) in [("2", 2), ("9", 1), ("no number", 4)] {
        let before = world.emulator.request_count("ListContexts");
        let mut request = within(pb::ListContextsRequest::default());
        let header = "grpc-previous-rpc-attempts";
        request
            .metadata_mut()
            .insert(header, previous.parse().unwrap());
        let status = world.contexts().list_contexts(request).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        let made = world.emulator.request_count("ListContexts") - before;
        assert_eq!(made, requests, "{previous}");
    }
}

#[tokio::test]
async fn a_total_outage_costs_hardly_more_requests_than_there_are_calls() {
    const CALLS: u64 = 300;
    let settings = Figment::new()
        .merge(("agb.retry_base", "1ms"))
        .merge(("agb.retry_tokens", 40))
        // So that every call makes its request.
        .merge(("agb.breaker_failures", 100_000));
    let world = World::with_settings(settings).await;
    world.inject("ListContexts", u32::MAX, FaultAction::CloseBeforeWork);
    for _ in 0..CALLS {
        list(&world).await.unwrap_err();
    }
    let requests = world.emulator.request_count("ListContexts");
    assert!(requests >= CALLS, "{requests}");
    assert!(10 * requests <= 11 * CALLS, "{requests}");
}

#[tokio::test]
async fn when_agb_is_down_it_is_left_alone_and_then_probed() {
    let settings = Figment::new()
        .merge(("agb.max_attempts", 1))
        .merge(("agb.breaker_failures", 3))
        .merge(("agb.breaker_pause", "60s"));
    let world = World::with_settings(settings).await;
    world.inject("ListContexts", 3, FaultAction::CloseBeforeWork);
    for _ in 0..3 {
        list(&world).await.unwrap_err();
    }
    let status = list(&world).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(reason(&status), "AGB_UNREACHABLE");
    assert_eq!(world.emulator.request_count("ListContexts"), 3);
    let details = status.get_error_details();
    let delay = details.retry_info().unwrap().retry_delay.unwrap();
    assert!(delay > Duration::from_secs(50), "{delay:?}");
    // How probes go is held by the breaker's own tests, on paused time.
}

#[tokio::test]
async fn a_call_does_not_wait_for_the_breaker_to_let_it_through() {
    let settings = Figment::new()
        .merge(("agb.retry_base", "1ms"))
        .merge(("agb.breaker_failures", 2))
        .merge(("agb.breaker_pause", "5s"));
    let world = World::with_settings(settings).await;
    world.inject("ListContexts", 2, FaultAction::CloseBeforeWork);
    // AGB would answer the third attempt, but it is left alone by then.
    let status = list(&world).await.unwrap_err();
    assert_eq!(reason(&status), "AGB_UNREACHABLE");
    assert_eq!(world.emulator.request_count("ListContexts"), 2);
}

#[tokio::test]
async fn a_refusal_that_helps_to_wait_tells_the_client_s_own_retries_for_how_long() {
    let world = World::without_repetition().await;
    let throttle = FaultAction::Throttle {
        retry_after_s: Some(7),
    };
    world.inject("ListContexts", 1, throttle);
    let status = list(&world).await.unwrap_err();
    let pushback = status.metadata().get("grpc-retry-pushback-ms").unwrap();
    assert_eq!(pushback.to_str().unwrap(), "7000");
}

//! Keys that change while the gateway runs.

use agb_gateway::proto::v1 as pb;
use agb_gateway::proto::v1::context_service_client::ContextServiceClient;
use agb_gateway::proto::v1::session_service_client::SessionServiceClient;
use figment::Figment;
use tonic::Status;
use tonic::transport::Channel;

use crate::support::{CODE_IMAGE, World, connect, reason, within};

async fn list(channel: &Channel, page_token: &str) -> Result<pb::ListContextsResponse, Status> {
    let request = within(pb::ListContextsRequest {
        page_size: 1,
        page_token: page_token.to_owned(),
    });
    let mut contexts = ContextServiceClient::new(channel.clone());
    let answer = contexts.list_contexts(request);
    answer.await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_new_key_of_agb_counts_at_once_when_agb_refuses_the_old_one() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "Pl4nted-first").unwrap();
    // Nothing but AGB's refusal makes it look at the file.
    let settings = Figment::new()
        .merge(("agb.api_key_file", &file))
        .merge(("secrets.reload_interval", "1h"));
    let gateway = world.start_gateway_with_key(settings, None).await;
    let channel = connect(gateway.address()).await;
    for name in ["a", "b"] {
        let request = within(pb::CreateContextRequest {
            context: Some(pb::Context {
                name: name.to_owned(),
                ..pb::Context::default()
            }),
            ..pb::CreateContextRequest::default()
        });
        let mut contexts = ContextServiceClient::new(channel.clone());
        let answer = contexts.create_context(request);
        answer.await.unwrap();
    }
    let page_token = list(&channel, "").await.unwrap().next_page_token;

    world.emulator.rotate_key("Pl4nted-first", "Pl4nted-second");
    let status = list(&channel, "").await.unwrap_err();
    assert_eq!(reason(&status), "AGB_KEY_REJECTED");

    std::fs::write(&file, "Pl4nted-second").unwrap();
    let asked = world.emulator.request_count("ListContexts");
    assert_eq!(list(&channel, "").await.unwrap().contexts.len(), 1);
    assert_eq!(world.emulator.request_count("ListContexts"), asked + 2);
    // What was signed with a key that was derived from the old one still counts.
    let second = list(&channel, &page_token).await.unwrap();
    assert_eq!(second.contexts.len(), 1);
    assert_eq!(world.emulator.request_count("ListContexts"), asked + 3);
}

#[tokio::test]
async fn a_request_id_names_the_same_session_while_signing_keys_rotate() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = ("o".repeat(32), "n".repeat(32));
    let mut replicas = Vec::new();
    for (name, keys) in [
        ("before", old.clone()),
        ("announced", format!("{old}\n{new}")),
        ("swapped", format!("{new}\n{old}")),
    ] {
        let file = folder.path().join(name);
        std::fs::write(&file, keys).unwrap();
        let settings = Figment::new().merge(("secrets.signing_key_file", file));
        replicas.push(world.replica_with(settings).await);
    }
    // Each replica makes a session that the next one finds.
    for (first, second) in [(0, 1), (1, 2), (2, 1)] {
        let mut sessions = Vec::new();
        for replica in [first, second] {
            let request = within(pb::CreateSessionRequest {
                image_id: CODE_IMAGE.to_owned(),
                request_id: format!("{first}-{second}"),
                ..pb::CreateSessionRequest::default()
            });
            let mut client = SessionServiceClient::new(replicas[replica].1.clone());
            let answer = client.create_session(request).await.unwrap();
            sessions.push(answer.into_inner().session.unwrap().session_id);
        }
        assert_eq!(sessions[0], sessions[1], "{first} {second}");
    }
}

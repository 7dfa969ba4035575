//! Connections that mean no good are ended, and nobody else notices.

use std::time::Duration;

use agb_gateway::proto::v1 as pb;
use agb_gateway::proto::v1::sync_policy_service_client::SyncPolicyServiceClient;
use figment::Figment;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::attacks::Attack;
use crate::support::{World, connect, within};

/// More than the bounds below let through.
const FLOOD: u32 = 100_000;

#[tokio::test]
async fn floods_are_ended_and_another_client_s_calls_go_on() {
    let world = World::start().await;
    let settings = Figment::new()
        .merge(("server.max_control_frames_per_second", 100))
        .merge(("server.flood_pause", "0s"))
        .merge(("server.handshake_timeout", "200ms"));
    let gateway = world.start_gateway(settings).await;
    let address = gateway.address();
    let channel = connect(address).await;
    for attack in Attack::ALL {
        let attack = tokio::spawn(attack.run(address, FLOOD));
        let mut calls = 0;
        while calls < 20 || !attack.is_finished() {
            let request = within(pb::ListSyncPoliciesRequest::default());
            let mut policies = SyncPolicyServiceClient::new(channel.clone());
            policies.list_sync_policies(request).await.unwrap();
            calls += 1;
        }
        let sent = attack.await.unwrap().unwrap();
        assert!(sent < FLOOD, "all {sent} frames were taken");
    }
}

/// Whether a new connection gets the server's first bytes, or none.
async fn is_greeted(address: std::net::SocketAddr) -> bool {
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection
        .read(&mut [0; 1])
        .await
        .is_ok_and(|read| read > 0)
}

#[tokio::test]
async fn who_has_flooded_gets_no_new_connection_and_those_before_stay() {
    let world = World::start().await;
    let settings = Figment::new()
        .merge(("server.max_control_frames_per_second", 100))
        .merge(("server.flood_pause", "1h"));
    for attack in [Attack::PingFlood, Attack::RapidReset, Attack::HeaderFlood] {
        let gateway = world.start_gateway(settings.clone()).await;
        let channel = connect(gateway.address()).await;
        let sent = attack.run(gateway.address(), FLOOD).await.unwrap();
        assert!(sent < FLOOD);
        // The attacker hears of the end a moment before the gateway has drawn its conclusion.
        let is_refused = async {
            while is_greeted(gateway.address()).await {
                tokio::task::yield_now().await;
            }
        };
        let refused = tokio::time::timeout(Duration::from_secs(20), is_refused);
        assert!(refused.await.is_ok(), "{attack:?}");
        let mut policies = SyncPolicyServiceClient::new(channel);
        let request = within(pb::ListSyncPoliciesRequest::default());
        policies.list_sync_policies(request).await.unwrap();
    }
}

/// gRPC's core says so, and leaves, when nobody has answered its ping in time.
#[tokio::test]
async fn a_client_that_bids_its_connection_be_calm_has_flooded_nobody() {
    let world = World::start().await;
    let settings = Figment::new().merge(("server.flood_pause", "1h"));
    let gateway = world.start_gateway(settings).await;
    let mut connection = TcpStream::connect(gateway.address()).await.unwrap();
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let go_away = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11];
    let bytes = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &settings[..], &go_away].concat();
    connection.write_all(&bytes).await.unwrap();
    // Until the gateway has closed it.
    let _ = connection.read_to_end(&mut Vec::new()).await;
    // What the gateway concludes from it may come a moment later.
    for _ in 0..50 {
        assert!(is_greeted(gateway.address()).await);
    }
}

#[tokio::test]
async fn connections_too_many_are_closed_and_those_before_stay() {
    let world = World::start().await;
    let settings = Figment::new().merge(("server.max_connections_per_address", 1));
    let gateway = world.start_gateway(settings).await;
    let channel = connect(gateway.address()).await;
    let mut second = TcpStream::connect(gateway.address()).await.unwrap();
    assert_eq!(second.read(&mut [0; 1]).await.unwrap(), 0, "it is closed");
    let mut policies = SyncPolicyServiceClient::new(channel);
    let request = within(pb::ListSyncPoliciesRequest::default());
    policies.list_sync_policies(request).await.unwrap();
}

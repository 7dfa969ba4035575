//! Connections end at their age: whoever calls is sent elsewhere, and no call is lost.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agb_gateway::auth::Peer;
use agb_gateway::config::Config;
use agb_gateway::listen::{ConnectionSettings, Listener};
use agb_gateway::resilience::Drain;
use agb_gateway::telemetry::Telemetry;
use figment::Figment;
use http::Request;
use tokio::net::TcpListener;
use tonic::Code;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::ServiceExt as _;

use crate::support::{connect, within};

/// Where each call came from that was taken.
type Seen = Arc<Mutex<Vec<SocketAddr>>>;

/// Serves health with connections of these bounds.
async fn serve(change: impl FnOnce(&mut ConnectionSettings)) -> (Channel, Seen) {
    let config = Config::read(&Figment::new(), Some("key".to_owned())).unwrap();
    let mut settings = config.server.connections;
    change(&mut settings);
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let (_reporter, health) = tonic_health::server::health_reporter();
    let seen = Seen::default();
    let remembered = seen.clone();
    let service = Routes::new(health).map_request(move |request: Request<Body>| {
        let peer = request.extensions().get::<Peer>().unwrap();
        remembered.lock().unwrap().extend(peer.address());
        request
    });
    let drain = Drain::new(Duration::from_secs(1));
    tokio::spawn(Listener::new(tcp, None, settings, Telemetry::off()).serve(service, drain));
    (connect(address).await, seen)
}

#[tokio::test]
async fn a_connection_ends_at_its_age_and_no_call_that_was_taken_is_lost() {
    let (channel, seen) = serve(|settings| settings.age = Duration::from_millis(30)).await;
    let mut health = HealthClient::new(channel);
    let mut answered = 0;
    let connections = || {
        let seen = seen.lock().unwrap();
        seen.iter().collect::<BTreeSet<_>>().len()
    };
    while connections() < 4 {
        let request = within(HealthCheckRequest::default());
        match health.check(request).await {
            Ok(_answer) => answered += 1,
            // tonic's client may choose a connection that is just closing, and then sends nothing.
            Err(status) => assert_eq!(status.code(), Code::Cancelled, "{status:?}"),
        }
    }
    assert_eq!(answered, seen.lock().unwrap().len());
}

#[tokio::test]
async fn a_call_outlives_its_connection_s_age_by_the_grace_and_no_longer() {
    let (channel, _seen) = serve(|settings| {
        settings.age = Duration::from_millis(30);
        settings.age_grace = Duration::from_millis(300);
    })
    .await;
    let mut health = HealthClient::new(channel);
    let request = within(HealthCheckRequest::default());
    // It never ends by itself.
    let mut watch = health.watch(request).await.unwrap().into_inner();
    watch.message().await.unwrap();
    assert!(watch.message().await.is_err());
}

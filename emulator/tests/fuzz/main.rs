//! Whatever is sent, no handler panics, no answer is a 5xx that nobody scripted, and the emulator goes on.
//!
//! Bounded and repeatable: `AGB_EMULATOR_FUZZ_SEED` and `AGB_EMULATOR_FUZZ_CALLS` change the seed and the number of calls. It is one
//! test, because the panic hook belongs to the whole process.
#![allow(clippy::unwrap_used)] // Helpers are tests as well.
#![allow(unreachable_pub)] // The modules are this test's own.

mod calls;
mod generator;
mod known;
mod operations;
#[path = "../support/mod.rs"]
mod support;
mod words;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::time::Duration;

use agb_emulator::Config;
use fastrand::Rng;
use serde_json::Value;

use crate::calls::send_bytes;
use crate::generator::Generator;
use crate::known::Known;
use crate::operations::{ADMIN, OPERATIONS};
use crate::support::Bench;

/// Every panic of the process, with its place.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn count_panics() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // What the test itself fails with is reported, not counted.
        let place = panic.location().map_or("?", |location| location.file());
        if !place.contains("tests/fuzz/") {
            PANICS.lock().unwrap().push(panic.to_string());
        }
        report(panic);
    }));
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_refused_and_nothing_breaks() {
    count_panics();
    let seed = setting("AGB_EMULATOR_FUZZ_SEED", 20_240_601);
    let calls = setting("AGB_EMULATOR_FUZZ_CALLS", 4000);
    let bench = Bench::start_with(Config {
        admin_listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
        max_sessions: 10,
        sync_duration: Duration::from_millis(5),
        max_command_duration: Duration::from_millis(300),
        max_request_bytes: 200_000,
        ..support::config()
    })
    .await;
    let admin = bench.emulator.admin_url().unwrap().to_owned();
    let http = reqwest::Client::new();
    let mut generator = Generator {
        rng: Rng::with_seed(seed),
        known: Known::default(),
    };
    let mut succeeded = std::collections::BTreeSet::new();
    for number in 0..calls {
        let for_admin = number % 8 == 0;
        let (url, operations) = if for_admin {
            (admin.as_str(), ADMIN)
        } else {
            (&*bench.emulator.url(), OPERATIONS)
        };
        let call = generator.call(operations);
        let what = || format!("call {number} of seed {seed}: {call:?}");
        let (status, body) = match call.send(&http, url).await {
            Ok(answer) => answer,
            Err(error) => panic!("no answer ({error}) to {}", what()),
        };
        let panics = PANICS.lock().unwrap().clone();
        assert!(panics.is_empty(), "{panics:?} at {}", what());
        assert!(
            status < 500,
            "{status} to {}: {}",
            what(),
            String::from_utf8_lossy(&body)
        );
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        if for_admin {
            assert!(
                status < 400 || answer["error"]["code"].is_string(),
                "{status} to {}",
                what()
            );
            continue;
        }
        // Whatever it says, it says it in the envelope.
        assert!(
            answer["success"].is_boolean() && answer["requestId"].is_string(),
            "{status} to {}: {answer}",
            what()
        );
        if answer["success"] == true {
            succeeded.insert(call.path.clone());
        }
        generator.known.learn(&answer);
        if number % 10 == 0
            && let Some((verb, url, body)) = generator.open_call()
        {
            // The client makes a URL of it or refuses to.
            if let Ok(request) = http.request(verb, &url).body(body).build() {
                let response = http.execute(request).await.unwrap();
                let status = response.status().as_u16();
                // A link leads into a session, where nothing listens.
                assert!(
                    status < 500 || (status == 502 && url.contains("/link/")),
                    "{status} to {url} after call {number} of seed {seed}"
                );
            }
        }
        if number % 100 == 0 {
            send_bytes(bench.emulator.address(), &generator.bytes()).await;
        }
    }
    // Nonsense that never gets past the first check would show nothing.
    for path in [
        "/mcp",
        "/mcp/createSession",
        "/sdk/SyncContext",
        "/sdk/GetContextInfo",
        "/sdk/SetLabel",
        "/sdk/ClearContext",
        "/mcp/releaseSession",
    ] {
        assert!(
            succeeded.contains(path),
            "no call of {path} succeeded: {succeeded:?}"
        );
    }
    bench.emulator.reset().await;
    let session = bench.client.session().await;
    assert_eq!(
        bench.client.shell(&session, "echo still here").await.stdout,
        "still here\n"
    );
    let panics = PANICS.lock().unwrap().clone();
    assert!(panics.is_empty(), "{panics:?} in the background");
}

//! Faults that come and go at AGB, drawn from a seed and scripted through the emulator's admin API.

use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::interval;

use crate::support::Failure;

/// How soon the next fault comes.
const PACE: Duration = Duration::from_millis(500);
/// After so many faults those that are left are taken back, so that they do not pile up.
const SPELL: u64 = 20;

/// What is struck: everything, and by name what is asked most, or what a session hangs on.
const OPERATIONS: &[&str] = &[
    "*",
    "createSession",
    "releaseSessionAsync",
    "ListSession",
    "SetLabel",
    "GetLabel",
    "SyncContext",
    "GetContextInfo",
    "ListContexts",
    "GetContextFileUploadUrl",
    "StorageUpload",
    "StorageDownload",
];

pub(crate) struct Weather {
    stop: oneshot::Sender<()>,
    changing: JoinHandle<Result<u64, Failure>>,
}

impl Weather {
    pub(crate) fn start(admin: &str, seed: u64) -> Self {
        let (stop, stopped) = oneshot::channel();
        let faults = format!("{admin}/faults");
        Self {
            stop,
            changing: tokio::spawn(change(faults, seed, stopped)),
        }
    }

    /// No more faults; how many there were.
    pub(crate) async fn end(self) -> Result<u64, Failure> {
        let _ = self.stop.send(());
        self.changing.await?
    }
}

async fn change(
    faults: String,
    seed: u64,
    mut stopped: oneshot::Receiver<()>,
) -> Result<u64, Failure> {
    let client = Client::new();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut pace = interval(PACE);
    let mut count = 0;
    loop {
        tokio::select! {
            _ = pace.tick() => {}
            _ = &mut stopped => break,
        }
        if count % SPELL == 0 {
            client.delete(&faults).send().await?.error_for_status()?;
        }
        let fault = draw(&mut random);
        let answer = client.post(&faults).json(&fault).send().await?;
        if !answer.status().is_success() {
            return Err(format!("{fault} was refused: {}", answer.text().await?).into());
        }
        count += 1;
    }
    client.delete(&faults).send().await?.error_for_status()?;
    Ok(count)
}

fn draw(random: &mut fastrand::Rng) -> Value {
    let after_bytes = random.u32(..200);
    let of = if random.bool() { "body" } else { "whole" };
    let after_work = random.bool();
    let delay_ms = random.u32(1..2_000);
    let operation = *random.choice(OPERATIONS).expect("an operation");
    let mut actions = vec![
        json!("closeBeforeWork"),
        json!("closeAfterWork"),
        json!("resetBeforeWork"),
        json!("resetAfterWork"),
        json!({"resetDuringWork": {"delayMs": 5}}),
        json!({"resetInAnswer": {"afterBytes": after_bytes, "of": of}}),
        json!({"truncateAnswer": {"afterBytes": after_bytes, "of": of}}),
        json!({"stallAnswer": {"afterBytes": after_bytes, "of": of}}),
        json!({"delay": {"delayMs": delay_ms}}),
        json!({"delayAnswer": {"delayMs": delay_ms}}),
        json!({"htmlPage": {"afterWork": after_work}}),
        json!({"refuse": {"status": 500, "code": "Odd"}}),
        json!({"refuse": {"status": 503, "code": "Odd"}}),
        json!({"refuse": {"code": "InvalidMcpSession.NotFound", "status": 400}}),
        json!({"throttle": {"retryAfterS": 0}}),
        json!({"throttle": {"retryAfterS": null}}),
        json!({"redirect": {"location": "http://127.0.0.1:1/", "status": 307}}),
        json!({"hideNewTasks": {"looks": 3}}),
        json!({"stallSyncTask": {"direction": null}}),
        json!({"failSyncTask": {"direction": null, "message": "odd"}}),
    ];
    // From the storage these would be a whole file, of other bytes, and nobody could tell.
    if operation != "*" && !operation.starts_with("Storage") {
        actions.push(json!({"malformedJson": {"afterWork": after_work}}));
        actions.push(json!({"oversizedAnswer": {"bytes": 4_000_000, "afterWork": after_work}}));
    }
    json!({
        "operation": operation,
        "times": random.u32(1..=20),
        "probability": 0.05 + random.f64() * 0.3,
        "seed": random.u32(..),
        "action": random.choice(&actions),
    })
}

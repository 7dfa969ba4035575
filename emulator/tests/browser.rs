//! A session's browser, as far as it needs none.

mod support;

use std::time::{Duration, Instant};

use serde_json::json;
use support::Bench;

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_ends_at_once_is_not_waited_for() {
    let bench = Bench::start().await;
    let session = bench.client.session().await;
    // Nobody can write there; where the host has no browser, that is the reason instead.
    let query = [("sessionId", session.as_str()), ("persistentPath", "/")];
    let begun = Instant::now();
    let answer = bench.client.post("/browser/init", &query, json!({})).await;
    answer.refused(400, "BrowserUnavailable");
    assert!(begun.elapsed() < Duration::from_secs(15));
}

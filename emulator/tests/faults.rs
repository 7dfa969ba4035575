//! Every fault over real HTTP: what the caller sees of it, what was done, and the account of it.

#![allow(clippy::unwrap_used)] // Helpers are tests as well.

mod support;

use std::time::{Duration, Instant};

use agb_emulator::{AnswerPart, Fault, FaultAction, FaultId, RequestEnd, Schedule};
use serde_json::{Value, json};
use support::raw::{End, Raw, exchange};
use support::{Bench, PATIENCE, eventually, open_connections};

const CREATE: [(&str, &str); 2] = [("name", "mine"), ("allowCreate", "true")];

fn once(bench: &Bench, operation: &str, action: FaultAction) -> FaultId {
    bench.emulator.faults().inject(Fault {
        operation: operation.to_owned(),
        times: 1,
        action,
    })
}

/// Sends one request that creates a context over a connection of its own and reads until that ends, or until `enough` bytes
/// have come.
async fn raw(bench: &Bench, enough: usize) -> Raw {
    let request = b"GET /sdk/GetContext?name=mine&allowCreate=true HTTP/1.1\r\n\
        host: emulator\r\nauthorization: Bearer key\r\n\r\n";
    exchange(bench.emulator.address(), request.to_vec(), enough).await
}

/// How many contexts there are: one when the work was done.
async fn contexts(bench: &Bench) -> Value {
    let answer = bench.client.get("/sdk/ListContexts", &[]).await;
    answer.body["totalCount"].clone()
}

/// The body, and the length that the head promised.
fn body(answer: &str) -> (&str, usize) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    (body, length.unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_is_a_real_one_and_the_work_is_done_or_not_as_asked() {
    for (action, done) in [
        (FaultAction::ResetBeforeWork, 0),
        (FaultAction::ResetDuringWork { delay_ms: 0 }, 1),
        // The work is done long before.
        (FaultAction::ResetDuringWork { delay_ms: 60_000 }, 1),
        (FaultAction::ResetAfterWork, 1),
    ] {
        let bench = Bench::start().await;
        let fault = once(&bench, "GetContext", action.clone());
        let raw = raw(&bench, usize::MAX).await;
        assert_eq!(
            (raw.answer.as_str(), &raw.end),
            ("", &End::Reset),
            "{action:?}"
        );
        eventually("the work is done as far as it shall be", async || {
            (contexts(&bench).await == done).then_some(())
        })
        .await;
        let state = bench.emulator.faults().state(fault).unwrap();
        let request = &bench.emulator.requests()[0];
        assert_eq!(state.requests, [request.request_id.as_str()]);
        assert_eq!((request.end, request.status), (RequestEnd::Reset, None));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_is_none() {
    let bench = Bench::start().await;
    once(&bench, "GetContext", FaultAction::CloseAfterWork);
    assert_eq!(raw(&bench, usize::MAX).await.end, End::Closed);
    assert_eq!(bench.emulator.requests()[0].end, RequestEnd::Closed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_during_the_work_comes_while_it_is_under_way() {
    let bench = Bench::start().await;
    let session = bench.client.session().await;
    once(
        &bench,
        "mcp",
        FaultAction::ResetDuringWork { delay_ms: 100 },
    );
    let args = json!({ "command": "while ! [ -e /tmp/go ]; do sleep 0.02; done; echo > /tmp/done", "timeout_ms": 20_000 });
    let call = json!({ "sessionId": session, "name": "shell", "args": args.to_string() });
    let begun = Instant::now();
    let lost = bench
        .client
        .send(reqwest::Method::POST, "/mcp", &[], Some(&call))
        .await;
    assert!(lost.is_err());
    assert!(begun.elapsed() >= Duration::from_millis(100));
    // It waits for this, so it was under way when its caller lost it.
    let write = json!({ "path": "/tmp/go", "content": "", "mode": "overwrite" });
    assert!(!bench.client.tool(&session, "write_file", write).await.0);
    eventually("the work has gone on to its end", async || {
        let read = json!({ "path": "/tmp/done" });
        let (failed, _) = bench.client.tool(&session, "read_file", read).await;
        (!failed).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_cut_after_so_many_bytes_of_its_body_or_of_all() {
    let whole = |after_bytes, of| {
        [
            (FaultAction::StallAnswer { after_bytes, of }, End::Open),
            (FaultAction::TruncateAnswer { after_bytes, of }, End::Closed),
            (FaultAction::ResetInAnswer { after_bytes, of }, End::Reset),
        ]
    };
    for (action, end) in whole(10, AnswerPart::Whole) {
        let bench = Bench::start().await;
        once(&bench, "GetContext", action);
        let raw = raw(&bench, if end == End::Open { 10 } else { usize::MAX }).await;
        assert_eq!((raw.answer.as_str(), raw.end), ("HTTP/1.1 2", end));
        assert_eq!(contexts(&bench).await, 1);
    }
    for (action, end) in whole(7, AnswerPart::Body) {
        let bench = Bench::start().await;
        // Without a fault, to learn how long it is; the ids have all the same length.
        let head = raw_length(&bench).await;
        once(&bench, "GetContext", action);
        let raw = raw(
            &bench,
            if end == End::Open {
                head + 7
            } else {
                usize::MAX
            },
        )
        .await;
        assert_eq!(raw.end, end);
        let (body, promised) = body(&raw.answer);
        assert_eq!(body.len(), 7);
        assert!(promised > 7);
    }
}

/// The length of the head of an answer.
async fn raw_length(bench: &Bench) -> usize {
    let response = reqwest::Client::new()
        .get(format!("{}/sdk/GetContext", bench.emulator.url()))
        .query(&CREATE)
        .bearer_auth("key")
        .send()
        .await
        .unwrap();
    let status = "HTTP/1.1 200 OK\r\n".len();
    let headers = response.headers().iter();
    status
        + headers
            .map(|(name, value)| name.as_str().len() + value.len() + 4)
            .sum::<usize>()
        + 2
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_too_short_to_be_cut_leaves_the_connection_as_it_was() {
    let bench = Bench::start().await;
    let cut = FaultAction::TruncateAnswer {
        // Longer than one answer, and shorter than two.
        after_bytes: 400,
        of: AnswerPart::Body,
    };
    once(&bench, "GetContext", cut);
    for _ in 0..3 {
        let answer = bench.client.get("/sdk/GetContext", &CREATE).await;
        assert!((201..400).contains(&answer.body.to_string().len()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_leaves_a_stalled_answer_frees_the_connection() {
    let bench = Bench::start().await;
    let stall = FaultAction::StallAnswer {
        after_bytes: 0,
        of: AnswerPart::Whole,
    };
    once(&bench, "GetContext", stall);
    let impatient = reqwest::Client::builder()
        .timeout(Duration::from_millis(100))
        .build()
        .unwrap();
    let url = format!("{}/sdk/GetContext", bench.emulator.url());
    let request = impatient.get(&url).query(&CREATE).bearer_auth("key");
    assert!(request.send().await.unwrap_err().is_timeout());
    drop(impatient);
    let port = bench.emulator.address().port();
    eventually("the connection is gone", async || {
        (open_connections(port) == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scripted_answers_look_as_they_do_in_the_wild() {
    let bench = Bench::start().await;
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let strike = async |action: FaultAction| {
        once(&bench, "GetContext", action);
        let url = format!("{}/sdk/GetContext", bench.emulator.url());
        let response = client
            .get(url)
            .query(&CREATE)
            .bearer_auth("key")
            .send()
            .await
            .unwrap();
        let header = |name: &str| {
            let value = response.headers().get(name);
            value.map_or("", |value| value.to_str().unwrap()).to_owned()
        };
        let told = (
            response.status().as_u16(),
            header("content-type"),
            header("retry-after"),
            header("location"),
        );
        (told, response.text().await.unwrap())
    };
    let json = || "application/json".to_owned();
    let none = String::new;

    let (told, body) = strike(FaultAction::Throttle {
        retry_after_s: Some(7),
    })
    .await;
    assert_eq!(told, (429, json(), "7".to_owned(), none()));
    assert_eq!(
        serde_json::from_str::<Value>(&body).unwrap()["success"],
        false
    );

    let refuse = FaultAction::Refuse {
        status: 200,
        code: "Busy".to_owned(),
        message: "later".to_owned(),
    };
    let (told, body) = strike(refuse).await;
    assert_eq!(told, (200, json(), none(), none()));
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (&body["success"], &body["code"], &body["message"]),
        (&json!(false), &json!("Busy"), &json!("later"))
    );

    let (told, body) = strike(FaultAction::MalformedJson { after_work: false }).await;
    assert_eq!(told, (200, json(), none(), none()));
    assert!(serde_json::from_str::<Value>(&body).unwrap_err().is_eof());

    let page = FaultAction::HtmlPage {
        status: 502,
        after_work: false,
    };
    let (told, body) = strike(page).await;
    assert_eq!(
        told,
        (502, "text/html; charset=utf-8".to_owned(), none(), none())
    );
    assert!(body.starts_with("<!DOCTYPE html>"));

    let (told, body) = strike(FaultAction::OversizedAnswer {
        bytes: 3_000_000,
        after_work: false,
    })
    .await;
    assert_eq!(told, (200, json(), none(), none()));
    assert_eq!(body.len(), 3_000_000);
    assert_eq!(
        serde_json::from_str::<Value>(&body).unwrap()["success"],
        true
    );

    let redirect = FaultAction::Redirect {
        location: "http://127.0.0.1:9/".to_owned(),
        status: 307,
        after_work: false,
    };
    let (told, _) = strike(redirect).await;
    assert_eq!((told.0, told.3.as_str()), (307, "http://127.0.0.1:9/"));

    assert_eq!(contexts(&bench).await, 0);
    strike(FaultAction::MalformedJson { after_work: true }).await;
    assert_eq!(contexts(&bench).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_can_be_late_although_the_work_is_done() {
    let bench = Bench::start().await;
    once(
        &bench,
        "GetContext",
        FaultAction::DelayAnswer { delay_ms: 60_000 },
    );
    let waiting = {
        let client = bench.client.clone();
        tokio::spawn(async move { client.get("/sdk/GetContext", &CREATE).await })
    };
    eventually("the work is done", async || {
        (contexts(&bench).await == 1).then_some(())
    })
    .await;
    let end = || {
        let requests = bench.emulator.requests();
        let late = requests
            .iter()
            .find(|request| request.operation == "GetContext");
        late.unwrap().end
    };
    assert_eq!(end(), RequestEnd::UnderWay);
    waiting.abort();
    eventually("the caller is known to have gone", async || {
        (end() == RequestEnd::CallerGone).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chance_strikes_the_same_requests_when_its_seed_is_the_same() {
    let struck = async |seed| {
        let bench = Bench::start().await;
        let fault = Fault {
            operation: "ListContexts".to_owned(),
            times: u32::MAX,
            action: FaultAction::Throttle {
                retry_after_s: None,
            },
        };
        let schedule = Schedule {
            skip: 3,
            probability: 0.5,
            seed,
        };
        let id = bench.emulator.faults().schedule(fault, schedule).unwrap();
        let mut statuses = Vec::new();
        for _ in 0..40 {
            statuses.push(
                bench
                    .client
                    .get("/sdk/ListContexts", &[])
                    .await
                    .status
                    .as_u16(),
            );
        }
        let throttled = statuses.iter().filter(|status| **status == 429).count();
        assert_eq!(bench.emulator.faults().fired(id) as usize, throttled);
        assert_eq!(statuses[..3], [200; 3]);
        assert!((1..37).contains(&throttled));
        statuses
    };
    assert_eq!(struck(1).await, struck(1).await);
    assert_ne!(struck(1).await, struck(2).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_one_operation_strike_one_after_the_other() {
    let bench = Bench::start().await;
    for status in [503, 429, 200] {
        let refuse = FaultAction::Refuse {
            status,
            code: "No".to_owned(),
            message: String::new(),
        };
        once(&bench, "*", refuse);
    }
    for status in [503, 429, 200] {
        let answer = bench.client.get("/sdk/ListContexts", &[]).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["code"]),
            (status, &json!("No"))
        );
    }
    bench.client.get("/sdk/ListContexts", &[]).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversized_answer_is_not_made_before_it_is_read() {
    let bench = Bench::start().await;
    let huge = FaultAction::OversizedAnswer {
        bytes: 50_000_000_000,
        after_work: false,
    };
    once(&bench, "GetContext", huge);
    let begun = Instant::now();
    let mut response = reqwest::Client::new()
        .get(format!("{}/sdk/GetContext?name=a", bench.emulator.url()))
        .bearer_auth("key")
        .send()
        .await
        .unwrap();
    assert_eq!(response.content_length(), Some(50_000_000_000));
    assert!(
        response
            .chunk()
            .await
            .unwrap()
            .is_some_and(|chunk| !chunk.is_empty())
    );
    // Fifty gigabytes would not have been made by now.
    assert!(begun.elapsed() < PATIENCE);
}

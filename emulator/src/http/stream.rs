//! A session's web socket: code that runs there tells what it prints while it runs.
//!
//! A message is `{invocationId, source, target, data}`. For `data.method` `run_code`, events follow with `data.phase`
//! `event`, and one with `end`; what cannot be done is answered with `error`.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::direct::opens;
use crate::app::App;
use crate::sandbox::{Kind, Output};
use crate::session::{Session, SessionStatus};
use crate::tool::{RunCode, run_code};

/// How many messages may wait for a slow reader.
const WAITING: usize = 64;
/// How many pieces of code one connection may run at once.
const MAX_RUNS: usize = 16;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Incoming {
    invocation_id: String,
    #[serde(default)]
    target: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    method: String,
    params: Option<Value>,
}

/// Where the answers to one message go.
#[derive(Clone)]
struct Answers {
    invocation_id: String,
    source: String,
    messages: mpsc::Sender<Message>,
}

/// Passes on what code prints, as whole characters.
struct Printing {
    answers: Answers,
    rest: [Vec<u8>; 2],
    waiting: VecDeque<Value>,
}

pub(super) async fn open(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let token = headers
        .get("x-access-token")
        .and_then(|token| token.to_str().ok())
        .unwrap_or_default();
    let session = app
        .sessions
        .any(&id)
        .filter(|session| opens(&app, session, token))
        .filter(|session| session.status() == SessionStatus::Running);
    match session {
        None => StatusCode::UNAUTHORIZED.into_response(),
        Some(session) => upgrade.on_upgrade(async move |socket| {
            tokio::select! {
                () = serve(&app, &session, socket) => {}
                () = session.ending() => {}
            }
        }),
    }
}

async fn serve(app: &Arc<App>, session: &Arc<Session>, mut socket: WebSocket) {
    let (messages, mut outgoing) = mpsc::channel(WAITING);
    // They end with the connection.
    let mut runs = JoinSet::new();
    loop {
        tokio::select! {
            incoming = socket.recv() => {
                let Some(Ok(incoming)) = incoming else { return };
                session.touch();
                if let Message::Text(text) = incoming {
                    if runs.len() >= MAX_RUNS {
                        return;
                    }
                    let (app, session) = (Arc::clone(app), Arc::clone(session));
                    let messages = messages.clone();
                    runs.spawn(async move { answer(&app, &session, &text, messages).await });
                }
            }
            Some(message) = outgoing.recv() => {
                if socket.send(message).await.is_err() {
                    return;
                }
            }
            Some(_) = runs.join_next() => {}
        }
    }
}

async fn answer(app: &App, session: &Session, text: &str, messages: mpsc::Sender<Message>) {
    // Without an invocation, there is nobody to answer.
    let Ok(incoming) = serde_json::from_str::<Incoming>(text) else {
        return;
    };
    let answers = Answers {
        invocation_id: incoming.invocation_id,
        source: incoming.target,
        messages,
    };
    if incoming.data.method != "run_code" {
        let method = incoming.data.method;
        return answers
            .refuse("UnknownMethod", &format!("no such method: {method}"))
            .await;
    }
    let what = match serde_json::from_value::<RunCode>(incoming.data.params.unwrap_or_default()) {
        Ok(what) => what,
        Err(error) => return answers.refuse("InvalidParameter", &error.to_string()).await,
    };
    let (pieces, mut printed) = mpsc::unbounded_channel();
    let mut printing = Pieces(pieces);
    let mut forwarding = Printing {
        answers: answers.clone(),
        rest: Default::default(),
        waiting: VecDeque::new(),
    };
    let forward = async {
        while let Some((kind, bytes)) = printed.recv().await {
            forwarding.take(kind, &bytes);
            forwarding.send().await;
        }
        forwarding.finish();
        forwarding.send().await;
    };
    let run = async {
        let end = run_code(app, session, &what, &mut printing).await;
        drop(printing);
        end
    };
    let (end, ()) = tokio::join!(run, forward);
    match end {
        Ok(Ok(run)) => {
            for result in run.results {
                answers.send(result_event(&result)).await;
            }
            answers
                .send(json!({
                    "phase": "end",
                    "status": if run.error.is_some() { "failed" } else { "finished" },
                    "executionCount": run.count,
                    "executionTime": run.duration.as_secs_f64(),
                    "executionError": run.error,
                }))
                .await;
        }
        Ok(Err(reason)) => answers.refuse("ExecutionRefused", &reason).await,
        Err(error) => answers.refuse("ExecutionRefused", &error.to_string()).await,
    }
}

fn result_event(result: &Value) -> Value {
    let mut mime = result.clone();
    let main = mime
        .as_object_mut()
        .and_then(|forms| forms.remove("isMainResult"))
        .unwrap_or(json!(false));
    json!({
        "phase": "event",
        "eventType": "result",
        "result": { "isMainResult": main, "mime": mime },
    })
}

impl Answers {
    async fn send(&self, data: Value) {
        let message = json!({
            "invocationId": self.invocation_id,
            "source": self.source,
            "target": "SDK",
            "data": data,
        });
        // Nobody may be left to hear it.
        let _ = self.messages.send(Message::text(message.to_string())).await;
    }

    async fn refuse(&self, code: &str, message: &str) {
        self.send(json!({ "phase": "error", "error": message, "code": code }))
            .await;
    }
}

/// Bounded by the most that a command may print.
struct Pieces(mpsc::UnboundedSender<(Kind, Vec<u8>)>);

impl Output for Pieces {
    fn take(&mut self, kind: Kind, bytes: &[u8]) {
        let _ = self.0.send((kind, bytes.to_vec()));
    }
}

impl Printing {
    fn take(&mut self, kind: Kind, bytes: &[u8]) {
        let (name, rest) = match kind {
            Kind::Stdout => ("stdout", &mut self.rest[0]),
            Kind::Stderr => ("stderr", &mut self.rest[1]),
            Kind::Message => return,
        };
        rest.extend_from_slice(bytes);
        let whole = rest.len() - begun_character(rest);
        let text: Vec<u8> = rest.drain(..whole).collect();
        self.put(name, &text);
    }

    /// What is left is no character and never will be.
    fn finish(&mut self) {
        for (at, name) in ["stdout", "stderr"].into_iter().enumerate() {
            let rest = std::mem::take(&mut self.rest[at]);
            self.put(name, &rest);
        }
    }

    fn put(&mut self, name: &str, text: &[u8]) {
        if !text.is_empty() {
            let chunk = String::from_utf8_lossy(text);
            self.waiting
                .push_back(json!({ "phase": "event", "eventType": name, "chunk": chunk }));
        }
    }

    async fn send(&mut self) {
        while let Some(event) = self.waiting.pop_front() {
            self.answers.send(event).await;
        }
    }
}

/// How many bytes at the end are the beginning of a character.
fn begun_character(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => bytes.len() - error.valid_up_to(),
        // What is no text at all is not held back.
        _ => 0,
    }
}

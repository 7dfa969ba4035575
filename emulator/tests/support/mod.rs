//! An emulator, and a small client that speaks AGB's HTTP as a test would write it.
#![allow(dead_code, missing_docs, unreachable_pub)] // Each test file uses its part.

pub mod program;
pub mod raw;

use std::time::{Duration, Instant};

use agb_emulator::{Config, Emulator};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// How long a test waits for something before it fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running emulator and a key.
pub struct Bench {
    pub emulator: Emulator,
    pub client: Client,
}

/// Calls an emulator with one key.
#[derive(Clone)]
pub struct Client {
    url: String,
    key: String,
    http: reqwest::Client,
}

/// An answer: the HTTP status, the `x-request-id` header and the body.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub request_id: String,
    pub body: Value,
}

/// What a command printed, and its exit code.
#[derive(Debug)]
pub struct Output {
    pub is_error: bool,
    pub stdout: String,
    pub stderr: String,
    pub exit_code: i64,
}

/// Short times, so that tests are; the program of this package as the sandbox helper.
pub fn config() -> Config {
    Config {
        sandbox_program: Some(env!("CARGO_BIN_EXE_agb-emulator").into()),
        sync_duration: Duration::from_millis(100),
        clear_duration: Duration::from_millis(50),
        release_duration: Duration::from_millis(20),
        ..Config::default()
    }
}

impl Bench {
    pub async fn start() -> Self {
        Self::start_with(config()).await
    }

    pub async fn start_with(config: Config) -> Self {
        let emulator = Emulator::start(config).await.expect("the emulator starts");
        let client = Client::new(&emulator, "key");
        Self { emulator, client }
    }
}

impl Client {
    pub fn new(emulator: &Emulator, key: &str) -> Self {
        Self::at(emulator.url(), key)
    }

    /// For an emulator that is a program of its own.
    pub fn at(url: String, key: &str) -> Self {
        Self {
            url,
            key: key.to_owned(),
            http: reqwest::Client::new(),
        }
    }

    /// One call; `Err` when no whole answer came.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> reqwest::Result<Answer> {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .query(query)
            .bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let header = response.headers().get("x-request-id");
        Ok(Answer {
            status: response.status(),
            request_id: header
                .and_then(|id| id.to_str().ok())
                .unwrap_or_default()
                .to_owned(),
            body: response.json().await?,
        })
    }

    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Answer {
        self.send(Method::GET, path, query, None)
            .await
            .expect("an answer")
    }

    pub async fn post(&self, path: &str, query: &[(&str, &str)], body: Value) -> Answer {
        self.send(Method::POST, path, query, Some(&body))
            .await
            .expect("an answer")
    }

    /// Gets or creates a context and returns its id.
    pub async fn context(&self, name: &str) -> String {
        let answer = self
            .get(
                "/sdk/GetContext",
                &[("name", name), ("allowCreate", "true")],
            )
            .await;
        text(answer.data()["id"].clone())
    }

    /// Creates a session without contexts and returns its id.
    pub async fn session(&self) -> String {
        self.session_with("agb-code-space-1", &[]).await
    }

    /// Creates a session with contexts, each `(id, path, policy)`, waits for its downloads and returns its id.
    pub async fn session_with(&self, image: &str, contexts: &[(&str, &str, Value)]) -> String {
        let answer = self.try_session(image, contexts).await;
        let id = text(answer.data()["sessionId"].clone());
        self.wait_for_tasks(&id, |_| true).await;
        id
    }

    /// Asks for a session with contexts.
    pub async fn try_session(&self, image: &str, contexts: &[(&str, &str, Value)]) -> Answer {
        let list: Vec<_> = contexts
            .iter()
            .map(|(id, path, policy)| json!({ "contextId": id, "path": path, "policy": policy.to_string() }))
            .collect();
        self.post(
            "/mcp/createSession",
            &[("imageId", image)],
            json!({ "persistenceDataList": list }),
        )
        .await
    }

    /// Calls a tool and returns `isError` and the text.
    pub async fn tool(&self, session: &str, name: &str, args: Value) -> (bool, String) {
        let body = json!({ "sessionId": session, "name": name, "args": args.to_string() });
        let answer = self
            .post("/mcp", &[("autoGenSession", "false")], body)
            .await;
        let data = answer.data();
        (
            data["isError"] == true,
            text(data["content"][0]["text"].clone()),
        )
    }

    /// Runs a command that has ten seconds.
    pub async fn shell(&self, session: &str, command: &str) -> Output {
        self.shell_with(session, json!({ "command": command, "timeout_ms": 10_000 }))
            .await
    }

    pub async fn shell_with(&self, session: &str, args: Value) -> Output {
        let (is_error, output) = self.tool(session, "shell", args).await;
        let output: Value = serde_json::from_str(&output).expect("the output is JSON text");
        Output {
            is_error,
            stdout: text(output["stdout"].clone()),
            stderr: text(output["stderr"].clone()),
            exit_code: output["exit_code"].as_i64().expect("an exit code"),
        }
    }

    /// The tasks that a look shows.
    pub async fn tasks(&self, session: &str, filter: &[(&str, &str)]) -> Vec<Value> {
        let query = [&[("sessionId", session)], filter].concat();
        let answer = self.get("/sdk/GetContextInfo", &query).await;
        let outer: Value =
            serde_json::from_str(answer.data()["contextStatus"].as_str().expect("text"))
                .expect("JSON");
        assert_eq!(outer[0]["type"], "data");
        let inner = outer[0]["data"].as_str().expect("text");
        serde_json::from_str(inner).expect("JSON")
    }

    /// Waits until the tasks that are `wanted` have all ended, and there is at least one if any context is mounted.
    pub async fn wait_for_tasks(
        &self,
        session: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Vec<Value> {
        eventually("the tasks have ended", async || {
            let tasks: Vec<_> = self
                .tasks(session, &[])
                .await
                .into_iter()
                .filter(|task| wanted(task))
                .collect();
            let ended = tasks
                .iter()
                .all(|task| task["status"] == "Success" || task["status"] == "Failed");
            ended.then_some(tasks)
        })
        .await
    }

    /// Starts an upload of everything and waits until the new tasks have ended; returns those.
    pub async fn upload(&self, session: &str) -> Vec<Value> {
        let started: Vec<_> = self
            .tasks(session, &[])
            .await
            .iter()
            .map(|task| task["startTime"].clone())
            .collect();
        self.get_ok_sync(session).await;
        eventually("the upload has ended", async || {
            let new: Vec<_> = self
                .tasks(session, &[("taskType", "upload")])
                .await
                .into_iter()
                .filter(|task| !started.contains(&task["startTime"]))
                .collect();
            let ended = new
                .iter()
                .all(|task| task["status"] == "Success" || task["status"] == "Failed");
            (ended && !new.is_empty()).then_some(new)
        })
        .await
    }

    async fn get_ok_sync(&self, session: &str) {
        self.post("/sdk/SyncContext", &[("sessionId", session)], json!({}))
            .await
            .ok();
    }

    /// Releases a session and waits until it is not found.
    pub async fn release(&self, session: &str) {
        self.post(
            "/mcp/releaseSessionAsync",
            &[],
            json!({ "sessionId": session }),
        )
        .await
        .ok();
        eventually("the session is gone", async || {
            let answer = self
                .post("/mcp/getSessionInfo", &[], json!({ "sessionId": session }))
                .await;
            (answer.body["code"] == "InvalidMcpSession.NotFound"
                || answer.body["data"]["status"] == "FINISH")
                .then_some(())
        })
        .await;
    }

    /// A presigned URL from the operation that gives such.
    pub async fn presigned(&self, operation: &str, context: &str, path: &str) -> String {
        let query = [("contextId", context), ("filePath", path)];
        let answer = self
            .post(&format!("/sdk/{operation}"), &query, json!({}))
            .await;
        text(answer.data()["url"].clone())
    }

    /// The paths of the files and folders that lie directly in a folder of a context.
    pub async fn files(&self, context: &str, folder: &str) -> Vec<String> {
        let query = [
            ("contextId", context),
            ("parentFolderPath", folder),
            ("pageSize", "1000"),
        ];
        let answer = self
            .post("/sdk/DescribeContextFiles", &query, json!({}))
            .await;
        let files = answer.data().as_array().expect("a list").clone();
        files
            .into_iter()
            .map(|file| text(file["filePath"].clone()))
            .collect()
    }
}

impl Answer {
    /// The `data` of a success.
    pub fn data(&self) -> &Value {
        self.ok();
        &self.body["data"]
    }

    pub fn ok(&self) {
        assert!(
            self.status == StatusCode::OK && self.body["success"] == true,
            "a success: {self:?}"
        );
    }

    /// Asserts a refusal with this status and code.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) {
        assert_eq!(
            (self.status.as_u16(), self.body["code"].as_str()),
            (status, Some(code)),
            "{self:?}"
        );
        assert_eq!(self.body["success"], false);
        assert_eq!(self.body["httpStatusCode"], status);
        assert!(
            self.body["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty())
        );
    }
}

/// Looks again and again until there is something.
pub async fn eventually<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    within(PATIENCE, what, look).await
}

/// Looks again and again for that long until there is something.
pub async fn within<T>(
    patience: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[track_caller]
pub fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => panic!("not a text: {other}"),
    }
}

/// How many processes of this machine have the mark in their command line, helpers aside.
pub fn processes_with(mark: &str) -> usize {
    let processes = std::fs::read_dir("/proc")
        .expect("/proc is there")
        .flatten();
    let command_lines =
        processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    command_lines
        .filter(|line| line.windows(mark.len()).any(|part| part == mark.as_bytes()))
        .count()
}

/// How many connections the system has open to a port of this machine, on the side that accepted them.
pub fn open_connections(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the table of connections");
    let local = format!(":{port:04X}");
    let lines = table.lines().skip(1);
    lines
        .filter(|line| {
            let mut columns = line.split_whitespace().skip(1);
            let is_local = columns
                .next()
                .is_some_and(|address| address.ends_with(&local));
            // 01 is established, 08 closed by the other side only.
            is_local && matches!(columns.nth(1), Some("01" | "08"))
        })
        .count()
}

//! Whatever is sent, no handler panics, no answer is a 5xx that nobody scripted, and the emulator goes on.
//!
//! Bounded and repeatable: `AGB_EMULATOR_FUZZ_SEED` and `AGB_EMULATOR_FUZZ_CALLS` change the seed and the number of calls. It is one
//! test, because the panic hook belongs to the whole process.
#![allow(clippy::unwrap_used)] // Helpers are tests as well.

mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::time::Duration;

use agb_emulator::Config;
use fastrand::Rng;
use reqwest::Method;
use serde_json::{Value, json};
use support::{Bench, PATIENCE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Every panic of the process, with its place.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Every operation of AGB, whether it is there yet or not: verb, path, parameters of the query, fields of the body.
type Operation = (
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

const OPERATIONS: &[Operation] = &[
    (
        "GET",
        "/sdk/GetContext",
        &["id", "name", "allowCreate", "loginRegionId"],
        &[],
    ),
    (
        "GET",
        "/sdk/ListContexts",
        &["maxResults", "nextToken"],
        &[],
    ),
    ("POST", "/sdk/ModifyContext", &["id", "name"], &[]),
    ("POST", "/sdk/DeleteContext", &["id"], &[]),
    ("POST", "/sdk/ClearContext", &["id"], &[]),
    (
        "POST",
        "/sdk/DescribeContextFiles",
        &["contextId", "parentFolderPath", "pageNumber", "pageSize"],
        &[],
    ),
    (
        "POST",
        "/sdk/DeleteContextFile",
        &["contextId", "filePath"],
        &[],
    ),
    (
        "POST",
        "/sdk/GetContextFileUploadUrl",
        &["contextId", "filePath"],
        &[],
    ),
    (
        "POST",
        "/sdk/GetContextFileDownloadUrl",
        &["contextId", "filePath"],
        &[],
    ),
    (
        "POST",
        "/mcp/createSession",
        &["imageId", "sdkStats"],
        &[
            "labels",
            "persistenceDataList",
            "mcpPolicyId",
            "timeout",
            "contextId",
            "sessionId",
        ],
    ),
    ("POST", "/mcp/getSession", &[], &["sessionId"]),
    ("POST", "/mcp/getSessionInfo", &[], &["sessionId"]),
    (
        "GET",
        "/sdk/ListSession",
        &["maxResults", "nextToken", "labels", "isAll"],
        &[],
    ),
    ("POST", "/mcp/releaseSessionAsync", &[], &["sessionId"]),
    ("POST", "/mcp/releaseSession", &[], &["sessionId"]),
    ("POST", "/mcp/refreshSessionIdleTime", &["sessionId"], &[]),
    ("POST", "/sdk/SetLabel", &["sessionId", "Labels"], &[]),
    (
        "GET",
        "/sdk/GetLabel",
        &["sessionId", "maxResults", "nextToken"],
        &[],
    ),
    (
        "GET",
        "/internet/getLink",
        &["sessionId", "protocolType", "port"],
        &[],
    ),
    ("POST", "/internet/getCdpLink", &["sessionId"], &[]),
    ("POST", "/mcp/getMcpResource", &[], &["sessionId"]),
    (
        "POST",
        "/browser/init",
        &["sessionId", "persistentPath", "browserOption"],
        &[],
    ),
    ("POST", "/mcp/listTools", &["imageId"], &[]),
    (
        "POST",
        "/mcp",
        &["autoGenSession", "imageId"],
        &["sessionId", "name", "server", "args"],
    ),
    (
        "POST",
        "/sdk/GetAndLoadInternalContext",
        &["sessionId", "contextTypes"],
        &[],
    ),
    (
        "POST",
        "/sdk/SyncContext",
        &["sessionId", "contextId", "path", "mode"],
        &[],
    ),
    (
        "GET",
        "/sdk/GetContextInfo",
        &["sessionId", "contextId", "path", "taskType"],
        &[],
    ),
];

/// The admin API, which is no less exposed to nonsense. Resets are rare, so that there is something to work on.
const ADMIN: &[Operation] = &[
    ("GET", "/state", &[], &[]),
    ("GET", "/faults", &[], &[]),
    (
        "POST",
        "/faults",
        &[],
        &[
            "operation",
            "times",
            "skip",
            "probability",
            "seed",
            "action",
        ],
    ),
    ("DELETE", "/faults/0", &[], &[]),
    (
        "GET",
        "/requests",
        &["operation", "requestId", "limit"],
        &[],
    ),
    ("GET", "/contexts", &["limit", "files"], &[]),
    ("GET", "/sessions", &["limit"], &[]),
    ("GET", "/tasks", &["limit", "sessionId"], &[]),
    ("GET", "/clock", &[], &[]),
    ("POST", "/clock/advance", &[], &["seconds"]),
    ("GET", "/nothing", &[], &[]),
];

const TOOLS: &[&str] = &[
    "shell",
    "read_file",
    "write_file",
    "list_directory",
    "get_file_info",
    "create_directory",
    "move_file",
    "delete_file",
    "edit_file",
    "read_multiple_files",
    "search_files",
    "get_file_change",
    "run_code",
    "get_metrics",
    "",
    "../shell",
];

const TOOL_ARGUMENTS: &[&str] = &[
    "command",
    "timeout_ms",
    "cwd",
    "envs",
    "path",
    "offset",
    "length",
    "format",
    "content",
    "mode",
    "source",
    "destination",
    "code",
    "language",
    "timeout_s",
    "paths",
    "pattern",
    "edits",
    "dryRun",
    "excludePatterns",
];

const POLICY: &[&str] = &[
    "uploadPolicy",
    "downloadPolicy",
    "deletePolicy",
    "extractPolicy",
    "recyclePolicy",
    "bwList",
    "mappingPolicy",
];

/// Texts that were the end of many a server.
const NASTY: &[&str] = &[
    "",
    " ",
    "0",
    "-1",
    "1",
    "true",
    "TRUE",
    "null",
    "NaN",
    "1e999",
    "18446744073709551615",
    "18446744073709551616",
    "9223372036854775807",
    "-9223372036854775808",
    "4294967296",
    "65536",
    "page-0",
    "page-ffffffffffffffff",
    "page-",
    "/",
    "//",
    "/..",
    "/../../etc/passwd",
    "/home/../etc",
    "/tmp",
    "/tmp/",
    "/home/data",
    "/tmp/mapping/ä/\u{202e}",
    "a\0b",
    "\r\nx: y",
    "%00",
    "%ff",
    "{}",
    "[]",
    "[[",
    "{\"a\":",
    "\"",
    "\u{feff}",
    "𝄞",
    "*",
    "*/**",
    "upload",
    "download",
    "overwrite",
    "append",
    "binary",
    "python",
    "sh",
    "<img src=x onerror=1>",
    "'; DROP TABLE contexts; --",
    "Lifecycle_1Day",
    "Lifecycle_",
    "File",
    "Archive",
];

/// What is known to be there, so that not every call ends at the first check.
#[derive(Default)]
struct Known {
    contexts: Vec<String>,
    sessions: Vec<String>,
    /// What is open to whoever has the URL: storage, links, a session's tools.
    urls: Vec<String>,
}

impl Known {
    /// Learns the ids and URLs that an answer tells.
    fn learn(&mut self, answer: &Value) {
        let data = &answer["data"];
        for (field, begin) in [
            ("id", "SdkCtx-"),
            ("sessionId", "session-"),
            ("url", "http"),
            ("linkUrl", "http"),
        ] {
            let known = match field {
                "id" => &mut self.contexts,
                "sessionId" => &mut self.sessions,
                _ => &mut self.urls,
            };
            if let Some(text) = data[field].as_str().filter(|text| text.starts_with(begin)) {
                known.push(text.to_owned());
                if known.len() > 8 {
                    known.remove(0);
                }
            }
        }
    }
}

struct Generator {
    rng: Rng,
    known: Known,
}

impl Generator {
    fn pick(&mut self, list: &[&'static str]) -> &'static str {
        list[self.rng.usize(..list.len())]
    }

    fn known(&mut self, ids: fn(&Known) -> &Vec<String>) -> String {
        let ids = ids(&self.known);
        if ids.is_empty() {
            return "none".to_owned();
        }
        ids[self.rng.usize(..ids.len())].clone()
    }

    /// A value for the field; mostly one that could be meant.
    fn text(&mut self, field: &str) -> String {
        if self.rng.u8(..100) < 25 {
            return self.nasty();
        }
        match field {
            "id" | "contextId" => self.known(|known| &known.contexts),
            "sessionId" => self.known(|known| &known.sessions),
            "name" => ["a", "b", "c"][self.rng.usize(..3)].to_owned(),
            "imageId" => "agb-code-space-1".to_owned(),
            "mode" => ["upload", "download"][self.rng.usize(..2)].to_owned(),
            "allowCreate" | "isAll" => "true".to_owned(),
            "labels" | "Labels" => json!({ "a": self.nasty() }).to_string(),
            "path" | "filePath" | "parentFolderPath" | "cwd" | "source" | "destination" => {
                ["/tmp/a", "/home/data", "/home/data/b", "/tmp", "/"][self.rng.usize(..5)]
                    .to_owned()
            }
            "maxResults" | "pageSize" | "pageNumber" | "limit" | "files" | "port" => {
                self.rng.u64(..).to_string()
            }
            _ => self.nasty(),
        }
    }

    fn nasty(&mut self) -> String {
        match self.rng.u8(..20) {
            0 => (0..self.rng.usize(..40))
                .map(|_| self.rng.char(..))
                .collect(),
            1 => "x".repeat(self.rng.usize(..5000)),
            2 => "[".repeat(self.rng.usize(..3000)),
            _ => self.pick(NASTY).to_owned(),
        }
    }

    /// JSON of any kind.
    fn value(&mut self, depth: usize) -> Value {
        match self.rng.u8(..if depth == 0 { 6 } else { 8 }) {
            0 => Value::Null,
            1 => json!(self.rng.bool()),
            2 => json!(self.rng.i64(..)),
            3 => json!(self.rng.u64(..)),
            4 => json!(self.rng.f64() * 1e300),
            5 => json!(self.nasty()),
            6 => (0..self.rng.usize(..4))
                .map(|_| self.value(depth - 1))
                .collect(),
            _ => {
                let entries =
                    (0..self.rng.usize(..4)).map(|_| (self.nasty(), self.value(depth - 1)));
                Value::Object(entries.collect())
            }
        }
    }

    fn field(&mut self, field: &str) -> Value {
        if self.rng.u8(..100) < 15 {
            return self.value(3);
        }
        match field {
            "args" => json!(self.tool_arguments().to_string()),
            "name" => json!(self.pick(TOOLS)),
            "timeout" | "times" | "skip" | "seed" | "seconds" => {
                json!([0, 1, 60, u64::MAX][self.rng.usize(..4)])
            }
            "probability" => json!(self.rng.f64() * 1.5),
            // Other operations than the fuzzed ones: a scripted 5xx would hide a true one.
            "operation" => json!("callTool"),
            "action" => {
                let name = [
                    "delay",
                    "respond",
                    "throttle",
                    "redirect",
                    "stallAnswer",
                    "failSyncTask",
                ][self.rng.usize(..6)];
                json!({ name: self.value(2) })
            }
            "persistenceDataList" => {
                let count = [0, 0, 1, 1, 2][self.rng.usize(..5)];
                (0..count).map(|_| self.mount()).collect()
            }
            _ => json!(self.text(field)),
        }
    }

    fn mount(&mut self) -> Value {
        let policy = match self.rng.u8(..6) {
            0..3 => String::new(),
            3 => self.nasty(),
            _ => {
                let parts = (0..self.rng.usize(..3)).map(|_| {
                    let value = match self.rng.u8(..3) {
                        0 => self.value(3),
                        1 => json!({ "path": self.nasty(), "lifecycle": self.nasty(), "paths": [self.nasty()] }),
                        _ => json!({ "whiteLists": [{ "path": self.nasty(), "excludePaths": [self.nasty()] }], "uploadMode": self.nasty() }),
                    };
                    (self.pick(POLICY).to_owned(), value)
                });
                Value::Object(parts.collect()).to_string()
            }
        };
        json!({ "contextId": self.text("contextId"), "path": self.text("path"), "policy": policy })
    }

    fn tool_arguments(&mut self) -> Value {
        let arguments: Vec<_> = (0..self.rng.usize(..4))
            .map(|_| {
                let name = self.pick(TOOL_ARGUMENTS);
                let value = match (name, self.rng.u8(..4)) {
                    (_, 0) => self.value(2),
                    ("command" | "code", _) => json!(
                        ["true", "echo a; exit 3", "ls /", "\0", "exit 99999"][self.rng.usize(..5)]
                    ),
                    // Long enough to work, short enough for a test.
                    ("timeout_ms", _) => json!(self.rng.u64(..300)),
                    ("offset" | "length" | "timeout_s", _) => json!(self.rng.i64(-2..5)),
                    ("envs", _) => json!({ self.nasty(): self.nasty() }),
                    (name, _) => json!(self.text(name)),
                };
                (name.to_owned(), value)
            })
            .collect();
        // Complete for some tools, and then overlaid with what was drawn.
        let mut complete = if self.rng.bool() {
            json!({ "command": "true", "path": "/tmp/a", "content": "a", "mode": "overwrite" })
        } else {
            json!({})
        };
        complete.as_object_mut().unwrap().extend(arguments);
        complete
    }

    /// A call of one of the operations, with some of its parameters left out and some doubled.
    fn call(&mut self, operations: &[Operation]) -> Call {
        let mut operation = operations[self.rng.usize(..operations.len())];
        // Releases are rare and tool calls are not, so that there are sessions, and something happens in them.
        if operation.1.contains("release") && self.rng.u8(..4) > 0 {
            operation = *operations
                .iter()
                .find(|operation| operation.1 == "/mcp")
                .unwrap();
        }
        let (verb, path, query, body) = operation;
        let mut parameters = Vec::new();
        for name in query {
            for _ in 0..[1, 1, 1, 1, 1, 1, 1, 0, 0, 2][self.rng.usize(..10)] {
                parameters.push(((*name).to_owned(), self.text(name)));
            }
        }
        // It takes both of these or neither, and rarely two that belong together.
        if path == "/sdk/SyncContext" && self.rng.bool() {
            parameters.retain(|(name, _)| name != "contextId" && name != "path");
        }
        let fields = body.iter().filter_map(|name| {
            let wanted = self.rng.u8(..10) > 0;
            wanted.then(|| ((*name).to_owned(), self.field(name)))
        });
        let fields = Value::Object(fields.collect());
        Call {
            verb: if self.rng.u8(..50) == 0 {
                "PATCH"
            } else {
                verb
            },
            path: match self.rng.u8(..60) {
                0 => format!("{path}/"),
                1 => format!("/{}", self.rng.alphanumeric()),
                _ => path.to_owned(),
            },
            query: parameters,
            body: match self.rng.u8(..30) {
                0 => self.value(3).to_string().into_bytes(),
                1 => (0..self.rng.usize(..200))
                    .map(|_| self.rng.u8(..))
                    .collect(),
                2 => "[".repeat(100_000).into_bytes(),
                _ => fields.to_string().into_bytes(),
            },
            authorization: match self.rng.u8(..40) {
                0 => None,
                1 => Some(b"Basic a2V5".to_vec()),
                2 => Some(b"Bearer \xff\xfe".to_vec()),
                3 => Some(b"Bearer".to_vec()),
                _ => Some(b"Bearer key".to_vec()),
            },
        }
    }

    /// A call of one of the URLs that were told, as it is or nearly so.
    fn open_call(&mut self) -> Option<(Method, String, Vec<u8>)> {
        let mut url = self.known(|known| &known.urls);
        let address_ends = url.strip_prefix("http://")?.find('/')? + "http://".len();
        if self.rng.bool() {
            let index = self.rng.usize(address_ends + 1..=url.len());
            if url.is_char_boundary(index) {
                url.truncate(index);
                url.push_str(&self.nasty());
            }
        }
        let verbs = [
            Method::GET,
            Method::PUT,
            Method::POST,
            Method::HEAD,
            Method::DELETE,
        ];
        let body = self.value(2).to_string().into_bytes();
        Some((verbs[self.rng.usize(..verbs.len())].clone(), url, body))
    }

    /// Bytes that are no HTTP, or hardly.
    fn bytes(&mut self) -> Vec<u8> {
        let mut bytes = match self.rng.u8(..5) {
            0 => (0..self.rng.usize(..500)).map(|_| self.rng.u8(..)).collect(),
            1 => b"GET /sdk/ListContexts HTTP/9.9\r\n\r\n".to_vec(),
            2 => b"POST /mcp HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999999999\r\n\r\n".to_vec(),
            3 => b"POST /mcp HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n".to_vec(),
            _ => format!("GET /{} HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "a".repeat(self.rng.usize(..70_000)), "b".repeat(self.rng.usize(..1000))).into_bytes(),
        };
        if self.rng.bool() && !bytes.is_empty() {
            let index = self.rng.usize(..bytes.len());
            bytes[index] = self.rng.u8(..);
        }
        bytes
    }
}

struct Call {
    verb: &'static str,
    path: String,
    query: Vec<(String, String)>,
    body: Vec<u8>,
    authorization: Option<Vec<u8>>,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        let body: String = body.chars().take(2000).collect();
        let authorization = self.authorization.as_deref().map(String::from_utf8_lossy);
        let (verb, path, query) = (self.verb, &self.path, &self.query);
        write!(
            formatter,
            "{verb} {path} {query:?} {authorization:?} {body}"
        )
    }
}

impl Call {
    async fn send(&self, http: &reqwest::Client, url: &str) -> reqwest::Result<(u16, Vec<u8>)> {
        let verb = Method::from_bytes(self.verb.as_bytes()).unwrap();
        let mut request = http
            .request(verb, format!("{url}{}", self.path))
            .query(&self.query)
            .body(self.body.clone());
        if let Some(value) = &self.authorization {
            request = request.header("authorization", value.as_slice());
        }
        let response = request.send().await?;
        Ok((response.status().as_u16(), response.bytes().await?.to_vec()))
    }
}

/// Sends the bytes and reads until the other side closes, or says nothing more for a moment.
async fn send_bytes(address: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The other side may close before it has read all of them.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP/1.1 5"), "{bytes:?}");
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn count_panics() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // What the test itself fails with is reported, not counted.
        let place = panic.location().map_or("?", |location| location.file());
        if !place.ends_with("tests/fuzz.rs") {
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

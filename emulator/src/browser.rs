//! A session's browser: the host's own Chromium, started in the session's world. Where the host has none, it says so.

use std::path::Path;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::{Duration, Instant, sleep};

use crate::sandbox::{CannotIsolate, CommandEnd, CommandLimits, CommandSpec, Kind, Output};
use crate::session::{Session, SessionStatus};
use crate::tool::{ToolError, ToolOutput, environment};

/// Where hosts have it; the session sees the same programs.
const PROGRAMS: [&str; 4] = [
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
    "/usr/bin/google-chrome-stable",
];
/// Where its debugging protocol listens in the session.
const PORT: u16 = 9222;
/// Chromium's own sandbox needs rights that the session does not have; the session is one already.
const ARGUMENTS: &str = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
    --no-default-browser-check --remote-allow-origins=* --remote-debugging-address=127.0.0.1";
/// How long it may take to answer.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How often to ask whether it answers already.
const PACE: Duration = Duration::from_millis(50);
/// After how many unanswered questions to ask whether it lives.
const LIFE_PACE: u32 = 4;
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// The browser of one session.
#[derive(Debug, Default)]
pub(crate) struct Browser {
    running: Mutex<Option<Endpoint>>,
}

/// Where the debugging protocol is spoken.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) port: u16,
    /// The path of the web socket.
    pub(crate) path: String,
}

/// How it shall be started.
#[derive(Debug, Clone, Default)]
pub(crate) struct BrowserOptions {
    /// Where it keeps what it remembers.
    pub(crate) data_path: String,
    pub(crate) user_agent: Option<String>,
    pub(crate) window: Option<(u64, u64)>,
    pub(crate) first_page: Option<String>,
    /// Further arguments, as the caller writes them.
    pub(crate) arguments: Vec<String>,
}

/// Why there is no browser.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrowserError {
    #[error("this host has no Chromium: install one, for instance as /usr/bin/chromium")]
    NoProgram,
    #[error("the browser did not start: {0}")]
    NotStarted(String),
    #[error("the browser was not initialized")]
    NotInitialized,
    #[error("the session ended")]
    SessionEnded,
    #[error(transparent)]
    CannotIsolate(#[from] CannotIsolate),
}

/// What the starting shell prints.
#[derive(Default)]
struct Printed(Vec<u8>);

impl Output for Printed {
    fn take(&mut self, _: Kind, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

/// Starts the session's browser unless it runs already.
pub(crate) async fn start(
    session: &Session,
    options: &BrowserOptions,
) -> Result<Endpoint, BrowserError> {
    let _in_use = session.in_use.read().await;
    if session.status() != SessionStatus::Running {
        return Err(BrowserError::SessionEnded);
    }
    let mut running = session.browser.running.lock().await;
    if running.is_some()
        && let Ok(endpoint) = ask(session).await
    {
        *running = Some(endpoint.clone());
        return Ok(endpoint);
    }
    let program = PROGRAMS
        .into_iter()
        .find(|program| Path::new(program).exists())
        .ok_or(BrowserError::NoProgram)?;
    let process = launch(session, program, options).await?;
    let deadline = Instant::now() + START_LIMIT;
    for attempt in 1_u32.. {
        match ask(session).await {
            Ok(endpoint) => {
                *running = Some(endpoint.clone());
                return Ok(endpoint);
            }
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(BrowserError::CannotIsolate(error)) => return Err(error.into()),
            Err(_) if attempt.is_multiple_of(LIFE_PACE) && !lives(session, process).await? => {
                return Err(BrowserError::NotStarted("it ended at once".to_owned()));
            }
            Err(_) => tokio::select! {
                () = sleep(PACE) => {}
                () = session.ending() => return Err(BrowserError::SessionEnded),
            },
        }
    }
    Err(BrowserError::NotStarted("it never answered".to_owned()))
}

/// Whether a process of the session has not ended.
async fn lives(session: &Session, process: u32) -> Result<bool, CannotIsolate> {
    let command = format!("kill -0 {process}");
    let end = shell(session, command, &mut Printed::default()).await?;
    Ok(matches!(end, CommandEnd::Exited { code: 0, .. }))
}

/// Where the session's browser speaks, if it was started.
pub(crate) async fn endpoint(session: &Session) -> Result<Endpoint, BrowserError> {
    if session.browser.running.lock().await.is_none() {
        return Err(BrowserError::NotInitialized);
    }
    ask(session).await
}

/// The `stopChrome` tool.
pub(crate) async fn stop(session: &Session) -> Result<ToolOutput, ToolError> {
    let _in_use = session.in_use.read().await;
    if session.status() != SessionStatus::Running {
        return Err(ToolError::SessionEnded);
    }
    if session.browser.running.lock().await.take().is_none() {
        return Ok(ToolOutput::error(BrowserError::NotInitialized.to_string()));
    }
    // The pattern does not match the shell that carries it.
    let command = format!("pkill -TERM -f -- '[-]-remote-debugging-port={PORT}'; true");
    match shell(session, command, &mut Printed::default()).await? {
        CommandEnd::Exited { code: 0, .. } => Ok(ToolOutput::text("the browser was stopped")),
        other => Ok(ToolOutput::error(format!("{other:?}"))),
    }
}

/// Starts the browser and tells its process, by its number in the session.
async fn launch(
    session: &Session,
    program: &str,
    options: &BrowserOptions,
) -> Result<u32, BrowserError> {
    let mut command = format!(
        "{program} {ARGUMENTS} --remote-debugging-port={PORT} --user-data-dir={}",
        quoted(&options.data_path)
    );
    let mut add = |argument: String| {
        command.push(' ');
        command.push_str(&quoted(&argument));
    };
    if let Some(user_agent) = &options.user_agent {
        add(format!("--user-agent={user_agent}"));
    }
    if let Some((width, height)) = options.window {
        add(format!("--window-size={width},{height}"));
    }
    options.arguments.iter().cloned().for_each(&mut add);
    add(options
        .first_page
        .clone()
        .unwrap_or_else(|| "about:blank".to_owned()));
    command.push_str(" >/dev/null 2>&1 & echo $!");
    let mut printed = Printed::default();
    let end = shell(session, command, &mut printed).await?;
    let printed = String::from_utf8_lossy(&printed.0);
    match (end, printed.trim().parse()) {
        (CommandEnd::Exited { code: 0, .. }, Ok(process)) => Ok(process),
        (other, _) => Err(BrowserError::NotStarted(format!("{other:?}: {printed}"))),
    }
}

async fn shell(
    session: &Session,
    command: String,
    printed: &mut Printed,
) -> Result<CommandEnd, CannotIsolate> {
    let spec = CommandSpec {
        program: "/bin/sh".to_owned(),
        arguments: vec!["-c".to_owned(), command],
        working_directory: "/tmp".to_owned(),
        environment: environment(),
        ..CommandSpec::default()
    };
    let limits = CommandLimits {
        duration: START_LIMIT,
        output_bytes: MAX_ANSWER_BYTES,
    };
    session
        .machine
        .run(spec, limits, printed, session.ending())
        .await
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Asks the browser for its web socket.
async fn ask(session: &Session) -> Result<Endpoint, BrowserError> {
    let not_started = |error: &dyn std::fmt::Display| BrowserError::NotStarted(error.to_string());
    let connection = session
        .machine
        .connect(PORT)
        .await?
        .map_err(BrowserError::NotStarted)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(connection))
        .await
        .map_err(|error| not_started(&error))?;
    let answer = async {
        let request = hyper::Request::get("/json/version")
            .header(hyper::header::HOST, format!("127.0.0.1:{PORT}"))
            .body(Empty::<Bytes>::new())
            .map_err(|error| not_started(&error))?;
        let answer = sender
            .send_request(request)
            .await
            .map_err(|error| not_started(&error))?;
        let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES)
            .collect()
            .await
            .map_err(|error| not_started(&error))?
            .to_bytes();
        let version: Value = serde_json::from_slice(&body).map_err(|error| not_started(&error))?;
        let url = version["webSocketDebuggerUrl"].as_str().unwrap_or_default();
        let path = url.split_once("/devtools/").map(|(_, path)| path);
        Ok(Endpoint {
            port: PORT,
            path: format!(
                "/devtools/{}",
                path.ok_or_else(|| not_started(&"it tells no web socket"))?
            ),
        })
    };
    tokio::select! {
        answer = answer => answer,
        _ = connection => Err(not_started(&"it closed the connection")),
    }
}

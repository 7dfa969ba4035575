//! The `run_code` tool: a piece of code in the session's world, and what came of it as a notebook tells it.

use std::sync::atomic::Ordering;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use super::interpreter::Language;
use super::{ToolError, ToolOutput, shell};
use crate::app::App;
use crate::sandbox::{CommandEnd, CommandLimits, Kind, Output};
use crate::session::{Session, SessionStatus};

/// The SDK's default, in seconds.
const DEFAULT_TIMEOUT_S: u64 = 60;

/// What is to be run.
#[derive(Debug, Deserialize)]
pub(crate) struct RunCode {
    pub(crate) code: String,
    pub(crate) language: String,
    #[serde(alias = "timeoutS")]
    pub(crate) timeout_s: Option<u64>,
}

/// What came of it, beside what it printed.
#[derive(Debug)]
pub(crate) struct CodeRun {
    /// Each a value by MIME type.
    pub(crate) results: Vec<Value>,
    pub(crate) error: Option<String>,
    pub(crate) count: u64,
    pub(crate) duration: Duration,
}

/// What the driver leaves.
#[derive(Default, Deserialize)]
struct Outcome {
    results: Vec<Value>,
    error: Option<String>,
}

/// What code printed.
#[derive(Default)]
struct Printed {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Output for Printed {
    fn take(&mut self, kind: Kind, bytes: &[u8]) {
        match kind {
            Kind::Stdout => self.stdout.extend_from_slice(bytes),
            Kind::Stderr => self.stderr.extend_from_slice(bytes),
            Kind::Message => {}
        }
    }
}

pub(super) async fn call(
    app: &App,
    session: &Session,
    arguments: RunCode,
) -> Result<ToolOutput, ToolError> {
    let mut printed = Printed::default();
    let run = match run(app, session, &arguments, &mut printed).await? {
        Ok(run) => run,
        Err(reason) => return Ok(ToolOutput::error(reason)),
    };
    let list = |bytes: &[u8]| match bytes {
        [] => json!([]),
        bytes => json!([String::from_utf8_lossy(bytes)]),
    };
    Ok(ToolOutput::text(
        json!({
            "stdout": list(&printed.stdout),
            "stderr": list(&printed.stderr),
            "result": run.results,
            "executionError": run.error,
            "execution_count": run.count,
            "execution_time": run.duration.as_secs_f64(),
        })
        .to_string(),
    ))
}

/// Runs code and tells `output` what it prints while it does. `Err` within says why it was not run at all.
pub(crate) async fn run(
    app: &App,
    session: &Session,
    what: &RunCode,
    output: &mut dyn Output,
) -> Result<Result<CodeRun, String>, ToolError> {
    let _in_use = session.in_use.read().await;
    if session.status() != SessionStatus::Running {
        return Err(ToolError::SessionEnded);
    }
    let mut spec =
        match Language::read(&what.language).and_then(|language| language.command(&what.code)) {
            Ok(spec) => spec,
            Err(reason) => return Ok(Err(reason)),
        };
    shell::HOME.clone_into(&mut spec.working_directory);
    spec.environment = shell::environment([("MPLBACKEND".to_owned(), "Agg".to_owned())].into())
        .unwrap_or_default();
    let asked = Duration::from_secs(what.timeout_s.unwrap_or(DEFAULT_TIMEOUT_S));
    let limits = CommandLimits {
        duration: asked.min(app.config.max_command_duration),
        output_bytes: app.config.max_output_bytes,
    };
    let has_driver = spec.result_file.is_some();
    let began = Instant::now();
    let end = session
        .machine
        .run(spec, limits, output, session.ending())
        .await?;
    let outcome = match end {
        CommandEnd::Exited { code, result } => read_outcome(code, result.as_deref(), has_driver),
        CommandEnd::NotStarted(reason) => return Ok(Err(reason)),
        CommandEnd::Stopped => return Err(ToolError::SessionEnded),
        CommandEnd::TimedOut => Outcome::failed(format!(
            "TimeoutError: execution timed out after {} s",
            limits.duration.as_secs()
        )),
        CommandEnd::DiskFull(bytes) => Outcome::failed(shell::disk_full(bytes)),
        CommandEnd::Killed => Outcome::failed("the code was killed".to_owned()),
    };
    Ok(Ok(CodeRun {
        results: outcome.results,
        error: outcome.error,
        count: session.code_runs.fetch_add(1, Ordering::Relaxed) + 1,
        duration: began.elapsed(),
    }))
}

impl Outcome {
    fn failed(reason: String) -> Self {
        Self {
            results: Vec::new(),
            error: Some(reason),
        }
    }
}

/// Without a driver, or when the code ended it, the exit code is all there is.
fn read_outcome(code: i32, result: Option<&str>, has_driver: bool) -> Outcome {
    let told = result
        .filter(|_| has_driver)
        .and_then(|text| serde_json::from_str(text).ok());
    told.unwrap_or_else(|| {
        if code == 0 {
            Outcome::default()
        } else {
            Outcome::failed(format!("the code ended with exit code {code}"))
        }
    })
}

//! The `shell` tool: a command in the session's world.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;
use tokio::time::Duration;

use super::{ToolError, ToolOutput};
use crate::app::App;
use crate::ids;
use crate::sandbox::{CommandEnd, CommandLimits, CommandSpec, Kind, Output};
use crate::session::{Session, SessionStatus};

/// The SDK's default, in milliseconds.
const DEFAULT_TIMEOUT_MS: u64 = 1000;
/// The exit code of a command that was stopped because its time was over, as `timeout` has it.
const TIMED_OUT: i32 = 124;
/// The exit code of a command that could not be started, as a shell has it.
const NOT_STARTED: i32 = 126;
/// The exit code of a command that was killed.
const KILLED: i32 = 137;
/// The exit code of a command that tried to make a file longer than it may be (SIGXFSZ).
const FILE_TOO_LARGE: i32 = 153;
pub(super) const HOME: &str = "/home/agb";
const SHELL: &str = "/bin/bash";

/// What a command printed.
#[derive(Default)]
struct Kept {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

#[derive(Deserialize)]
pub(super) struct Arguments {
    command: String,
    timeout_ms: Option<u64>,
    cwd: Option<String>,
    #[serde(default)]
    envs: Option<BTreeMap<String, String>>,
}

pub(super) async fn call(
    app: &App,
    session: &Session,
    arguments: Arguments,
) -> Result<ToolOutput, ToolError> {
    let _in_use = session.in_use.read().await;
    if session.status() != SessionStatus::Running {
        return Err(ToolError::SessionEnded);
    }
    let asked = Duration::from_millis(arguments.timeout_ms.unwrap_or(DEFAULT_TIMEOUT_MS));
    let limits = CommandLimits {
        duration: asked.min(app.config.max_command_duration),
        output_bytes: app.config.max_output_bytes,
    };
    let environment = match environment(arguments.envs.unwrap_or_default()) {
        Ok(environment) => environment,
        Err(problem) => return Ok(result(NOT_STARTED, &[], problem.as_bytes())),
    };
    let spec = CommandSpec {
        program: SHELL.to_owned(),
        arguments: vec!["-c".to_owned(), arguments.command],
        working_directory: arguments
            .cwd
            .filter(|cwd| !cwd.is_empty())
            .unwrap_or_else(|| HOME.to_owned()),
        environment,
        ..CommandSpec::default()
    };
    let mut output = Kept::default();
    let end = session
        .machine
        .run(spec, limits, &mut output, session.ending())
        .await?;
    let Kept { stdout, mut stderr } = output;
    let code = match end {
        CommandEnd::Exited { code, .. } => {
            if code == FILE_TOO_LARGE {
                stderr.extend(b"the session's disk has no room for so large a file");
            }
            code
        }
        CommandEnd::NotStarted(reason) => {
            stderr.extend(reason.bytes());
            NOT_STARTED
        }
        CommandEnd::TimedOut => {
            stderr.extend(
                format!("command timed out after {} ms", limits.duration.as_millis()).bytes(),
            );
            TIMED_OUT
        }
        CommandEnd::DiskFull(bytes) => {
            stderr.extend(disk_full(bytes).bytes());
            KILLED
        }
        CommandEnd::Killed => {
            stderr.extend(b"the command was killed");
            KILLED
        }
        CommandEnd::Stopped => return Err(ToolError::SessionEnded),
    };
    Ok(result(code, &stdout, &stderr))
}

/// What is told when a session was stopped from filling its disk.
pub(super) fn disk_full(bytes: u64) -> String {
    format!("disk quota exceeded: the session has {bytes} bytes; its processes were ended")
}

impl Output for Kept {
    fn take(&mut self, kind: Kind, bytes: &[u8]) {
        match kind {
            Kind::Stdout => self.stdout.extend_from_slice(bytes),
            Kind::Stderr => self.stderr.extend_from_slice(bytes),
            Kind::Message => {}
        }
    }
}

/// The environment that commands find, with what the caller adds.
pub(super) fn environment(
    asked: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, String> {
    let mut environment = BTreeMap::from(
        [
            ("HOME", HOME),
            ("LANG", "C.UTF-8"),
            (
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            ),
            ("SHELL", SHELL),
            ("USER", "agb"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    for (name, value) in asked {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(format!("invalid environment variable: {name:?}"));
        }
        environment.insert(name, value);
    }
    Ok(environment)
}

fn result(exit_code: i32, stdout: &[u8], stderr: &[u8]) -> ToolOutput {
    let is_error = exit_code != 0;
    let text = json!({
        "stdout": String::from_utf8_lossy(stdout),
        "stderr": String::from_utf8_lossy(stderr),
        "exit_code": exit_code,
        "traceId": if is_error { ids::trace_id() } else { String::new() },
    });
    ToolOutput {
        is_error,
        text: text.to_string(),
    }
}

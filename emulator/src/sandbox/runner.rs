//! The server's side: starts the helpers, reads what the command prints, and ends it when its time is over.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::unistd::geteuid;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::OUTER_ARGUMENT;
use super::protocol::{self, InnerSpec, OuterSpec, Report};

/// The host user that sessions run as when the server is root: the customary `nobody`.
const UNPRIVILEGED_ID: u32 = 65_534;
/// How long the world may take to end after it was told to, before the outer helper is killed as well.
const END_GRACE: Duration = Duration::from_secs(2);

/// Knows how to start an isolated command.
#[derive(Debug, Clone)]
pub(crate) struct Sandbox {
    program: PathBuf,
    become_ids: Option<(u32, u32)>,
}

/// The bounds of one command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CommandLimits {
    pub(crate) duration: Duration,
    /// Of stdout and of stderr each.
    pub(crate) output_bytes: usize,
}

/// What became of a command.
#[derive(Debug)]
pub(crate) enum CommandEnd {
    Exited {
        code: i32,
        stdout: Vec<u8>,
        stderr: Vec<u8>,
    },
    NotStarted {
        reason: String,
    },
    TimedOut {
        stdout: Vec<u8>,
        stderr: Vec<u8>,
    },
    /// Its session ended before it did.
    Stopped,
}

enum Ended {
    Reported(io::Result<Report>),
    TimedOut,
    Stopped,
}

/// The command was refused because this host cannot isolate it.
#[derive(Debug, thiserror::Error)]
#[error("this host cannot isolate commands, so none is run: {0}")]
pub(crate) struct CannotIsolate(String);

impl Sandbox {
    pub(crate) fn new(program: Option<PathBuf>) -> Self {
        Self {
            program: program.unwrap_or_else(|| PathBuf::from("/proc/self/exe")),
            become_ids: geteuid()
                .is_root()
                .then_some((UNPRIVILEGED_ID, UNPRIVILEGED_ID)),
        }
    }

    /// The host user and group that must own a session's files; `None` when they are ours anyway.
    pub(crate) fn file_owner(&self) -> Option<(u32, u32)> {
        self.become_ids
    }

    /// Runs a command in the world of the session whose folder is given, until it ends, its time is over or
    /// `stop` is ready. When this returns, every process of that world is gone.
    pub(crate) async fn run(
        &self,
        session_folder: &Path,
        spec: &InnerSpec,
        limits: CommandLimits,
        stop: impl Future<Output = ()>,
    ) -> Result<CommandEnd, CannotIsolate> {
        let (mut control, mut helper) = self.start(session_folder).map_err(cannot_isolate)?;
        let stdout = helper
            .stdout
            .take()
            .ok_or_else(|| cannot_isolate("no stdout"))?;
        let stderr = helper
            .stderr
            .take()
            .ok_or_else(|| cannot_isolate("no stderr"))?;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let life = async {
            let ended = tokio::select! {
                report = converse(&mut control, self.become_ids, spec) => Ended::Reported(report),
                () = sleep(limits.duration) => Ended::TimedOut,
                () = stop => Ended::Stopped,
            };
            // The order to end. Only the world's processes hold the pipes, so the output ends with them.
            drop(control);
            end(&mut helper).await;
            ended
        };
        let ended = {
            let output = async {
                tokio::join!(
                    keep_first(stdout, &mut out, limits.output_bytes),
                    keep_first(stderr, &mut err, limits.output_bytes)
                )
            };
            tokio::pin!(life, output);
            let mut drained = false;
            let ended = loop {
                tokio::select! {
                    ended = &mut life => break ended,
                    _ = &mut output, if !drained => drained = true,
                }
            };
            if !drained {
                let _ = timeout(END_GRACE, output).await;
            }
            ended
        };
        match ended {
            Ended::TimedOut => Ok(CommandEnd::TimedOut {
                stdout: out,
                stderr: err,
            }),
            Ended::Stopped => Ok(CommandEnd::Stopped),
            Ended::Reported(Ok(Report::Exited(code))) => Ok(CommandEnd::Exited {
                code,
                stdout: out,
                stderr: err,
            }),
            Ended::Reported(Ok(Report::NotStarted(reason))) => {
                Ok(CommandEnd::NotStarted { reason })
            }
            Ended::Reported(Ok(Report::CannotIsolate(reason))) => Err(CannotIsolate(reason)),
            Ended::Reported(Err(error)) => Err(CannotIsolate(format!(
                "{} gave no report ({error}); its main must begin with agb_emulator::sandbox::run_if_asked()",
                self.program.display()
            ))),
        }
    }

    fn start(&self, session_folder: &Path) -> io::Result<(UnixStream, Child)> {
        let (near, far) = StdUnixStream::pair()?;
        near.set_nonblocking(true)?;
        let helper = Command::new(&self.program)
            .arg(OUTER_ARGUMENT)
            .current_dir(session_folder)
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(far)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        Ok((UnixStream::from_std(near)?, helper))
    }
}

async fn converse(
    control: &mut UnixStream,
    become_ids: Option<(u32, u32)>,
    spec: &InnerSpec,
) -> io::Result<Report> {
    control
        .write_all(&protocol::encode(&OuterSpec { become_ids })?)
        .await?;
    control.write_all(&protocol::encode(spec)?).await?;
    receive(control).await
}

async fn receive(control: &mut UnixStream) -> io::Result<Report> {
    let mut prefix = [0; 4];
    control.read_exact(&mut prefix).await?;
    let mut json = vec![0; protocol::frame_length(prefix)?];
    control.read_exact(&mut json).await?;
    protocol::decode(&json)
}

/// Waits for the helpers to end: the inner one ends on its own when the control socket is closed.
async fn end(helper: &mut Child) {
    if timeout(END_GRACE, helper.wait()).await.is_err() {
        let _ = helper.kill().await;
    }
}

async fn keep_first(mut source: impl AsyncRead + Unpin, kept: &mut Vec<u8>, most: usize) {
    let mut chunk = vec![0; 16 * 1024];
    while let Ok(count) = source.read(&mut chunk).await {
        if count == 0 {
            return;
        }
        let room = most.saturating_sub(kept.len()).min(count);
        kept.extend_from_slice(&chunk[..room]);
    }
}

fn cannot_isolate(error: impl std::fmt::Display) -> CannotIsolate {
    CannotIsolate(format!("starting the helper: {error}"))
}

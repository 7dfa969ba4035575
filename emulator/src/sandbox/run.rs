//! Runs a command in a session's world from the server's side, and ends it when its time is over.

use std::time::Duration;

use tokio::time::sleep;

use super::machine::{CannotIsolate, Machine, Worker};
use super::protocol::{self, CommandSpec, Kind, Report, Request};

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
        /// The result file, if the command was to leave one and did.
        result: Option<String>,
    },
    NotStarted(String),
    TimedOut,
    /// Its session ended before it did.
    Stopped,
    /// It was ended because the session had filled its disk, of that many bytes.
    DiskFull(u64),
    /// Its worker was killed, by the session itself or for want of memory.
    Killed,
}

/// Takes what a command prints, piece by piece.
pub(crate) trait Output: Send {
    fn take(&mut self, kind: Kind, bytes: &[u8]);
}

enum Ended {
    Reported(Report),
    Lost,
    TimedOut,
    Stopped,
}

impl Machine {
    /// Runs a command until it ends, its time is over or `stop` is ready. What it left running in the background
    /// goes on when it has ended by itself; otherwise everything that it started is gone when this returns.
    pub(crate) async fn run(
        &self,
        spec: CommandSpec,
        limits: CommandLimits,
        output: &mut dyn Output,
        stop: impl Future<Output = ()>,
    ) -> Result<CommandEnd, CannotIsolate> {
        let mut worker = self.open(Request::Command(spec)).await?;
        let ended = tokio::select! {
            ended = listen(&mut worker, limits.output_bytes, output) => ended,
            () = sleep(limits.duration) => Ended::TimedOut,
            () = stop => Ended::Stopped,
        };
        match ended {
            Ended::Reported(Report::Exited { code, result }) => {
                Ok(CommandEnd::Exited { code, result })
            }
            Ended::Reported(Report::NotStarted(reason)) => Ok(CommandEnd::NotStarted(reason)),
            Ended::Reported(Report::CannotIsolate(reason)) => Err(CannotIsolate(reason)),
            Ended::Reported(other) => Ok(CommandEnd::NotStarted(format!(
                "an unexpected report: {other:?}"
            ))),
            Ended::Lost if self.disk_is_full() => Ok(CommandEnd::DiskFull(self.quota())),
            Ended::Lost => Ok(CommandEnd::Killed),
            Ended::TimedOut => {
                self.end_worker(worker).await;
                Ok(CommandEnd::TimedOut)
            }
            Ended::Stopped => {
                self.end_worker(worker).await;
                Ok(CommandEnd::Stopped)
            }
        }
    }

    /// Where the processes of one command cannot be ended alone, those of the whole session are.
    async fn end_worker(&self, worker: Worker) {
        if !worker.end().await {
            tracing::warn!(
                "a command did not end when it was told to: its session's processes are ended"
            );
            self.end().await;
        }
    }
}

async fn listen(worker: &mut Worker, most: usize, output: &mut dyn Output) -> Ended {
    let mut room = [most; 2];
    loop {
        let Ok((kind, bytes)) = worker.receive().await else {
            return Ended::Lost;
        };
        let room = match kind {
            Kind::Message => return protocol::decode(&bytes).map_or(Ended::Lost, Ended::Reported),
            Kind::Stdout => &mut room[0],
            Kind::Stderr => &mut room[1],
        };
        let kept = bytes.len().min(*room);
        *room -= kept;
        if kept > 0 {
            output.take(kind, &bytes[..kept]);
        }
    }
}

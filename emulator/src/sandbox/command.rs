//! Runs a command in the world: passes on what it prints, reports how it ended, and stays with what it left
//! running until that has ended, too.

use std::env;
use std::fs::{self, DirBuilder};
use std::io::{self, PipeReader, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::resource::Resource;
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use super::first::{child_signals, limit};
use super::process_tree::end_descendants;
use super::protocol::{CommandSpec, Control, Kind, Report};

/// In memory, and not where programs look for their own.
const SCRATCH: &str = "/dev/shm";
/// The most of a result file that comes back.
const MAX_RESULT_BYTES: u64 = 32 * 1024 * 1024;
/// The most that is still read of what a command's background processes print when it has ended.
const MAX_LATE_BYTES: usize = 1024 * 1024;

/// A command that was started.
struct Running {
    pid: i32,
    outputs: [(Kind, Option<PipeReader>); 2],
    children: SignalFd,
}

pub(super) fn run(mut server: Control, spec: &CommandSpec, file_bytes: u64) -> io::Result<()> {
    let scratch = Scratch::make(spec)?;
    let mut running = match start(spec, scratch.path(), file_bytes) {
        Ok(running) => running,
        Err(reason) => return server.send(&Report::NotStarted(reason)),
    };
    loop {
        let [closing, _] = running.pass_on(Some(&mut server), PollTimeout::NONE)?;
        if closing && server.is_closed() {
            end_descendants(&running.children);
            return Ok(());
        }
        if let Some(code) = running.reap()?.1 {
            running.pass_on_the_rest(&mut server)?;
            let result = spec
                .result_file
                .as_deref()
                .and_then(|name| scratch.read(name));
            drop(scratch);
            server.send(&Report::Exited { code, result })?;
            drop(server);
            break;
        }
    }
    // Nobody listens any more, but who writes to a closed pipe is killed.
    while !running.reap()?.0 {
        running.pass_on(None, PollTimeout::NONE)?;
    }
    Ok(())
}

fn start(spec: &CommandSpec, scratch: Option<&Path>, file_bytes: u64) -> Result<Running, String> {
    let cannot = |error: &dyn std::fmt::Display| format!("cannot start {}: {error}", spec.program);
    prctl::set_child_subreaper(true).map_err(|error| cannot(&error))?;
    limit(Resource::RLIMIT_FSIZE, file_bytes).map_err(|error| cannot(&error))?;
    env::set_current_dir(&spec.working_directory)
        .map_err(|error| format!("cannot change to {}: {error}", spec.working_directory))?;
    let children = child_signals().map_err(|error| cannot(&error))?;
    let (stdout, stdout_end) = io::pipe().map_err(|error| cannot(&error))?;
    let (stderr, stderr_end) = io::pipe().map_err(|error| cannot(&error))?;
    let scratch = scratch.map_or_else(String::new, |path| path.display().to_string());
    let child = Command::new(&spec.program)
        .args(
            spec.arguments
                .iter()
                .map(|text| text.replace("{scratch}", &scratch)),
        )
        .env_clear()
        .envs(
            spec.environment
                .iter()
                .map(|(name, value)| (name, value.replace("{scratch}", &scratch))),
        )
        .stdin(Stdio::null())
        .stdout(stdout_end)
        .stderr(stderr_end)
        .process_group(0)
        .spawn()
        .map_err(|error| cannot(&error))?;
    Ok(Running {
        pid: i32::try_from(child.id()).unwrap_or(i32::MAX),
        outputs: [(Kind::Stdout, Some(stdout)), (Kind::Stderr, Some(stderr))],
        children,
    })
}

impl Running {
    /// Waits for something to happen and passes on one piece of each output. Tells whether the server's end and
    /// whether any output had something.
    fn pass_on(
        &mut self,
        mut server: Option<&mut Control>,
        patience: PollTimeout,
    ) -> io::Result<[bool; 2]> {
        let mut watched = vec![PollFd::new(self.children.as_fd(), PollFlags::POLLIN)];
        for (_, output) in &self.outputs {
            watched.extend(
                output
                    .as_ref()
                    .map(|output| PollFd::new(output.as_fd(), PollFlags::POLLIN)),
            );
        }
        watched.extend(
            server
                .as_ref()
                .map(|server| PollFd::new(server.as_fd(), PollFlags::POLLIN)),
        );
        match poll(&mut watched, patience) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok([false, false]),
            Err(error) => return Err(error.into()),
        }
        let mut ready = watched
            .iter()
            .map(|watched| watched.any().unwrap_or(true))
            .collect::<Vec<_>>()
            .into_iter();
        drop(watched);
        if ready.next() == Some(true) {
            while let Ok(Some(_)) = self.children.read_signal() {}
        }
        let mut some = false;
        let mut piece = [0; 16 * 1024];
        for (kind, output) in &mut self.outputs {
            let Some(open) = output else { continue };
            if ready.next() != Some(true) {
                continue;
            }
            some = true;
            match open.read(&mut piece)? {
                0 => *output = None,
                count => {
                    if let Some(server) = server.as_mut() {
                        // A server that has gone shows as a closed end.
                        let _ = server.send_piece(*kind, &piece[..count]);
                    }
                }
            }
        }
        Ok([ready.next() == Some(true), some])
    }

    /// What the command itself has printed is in the pipes by now.
    fn pass_on_the_rest(&mut self, server: &mut Control) -> io::Result<()> {
        for _ in 0..MAX_LATE_BYTES / (16 * 1024) {
            let [_, some] = self.pass_on(Some(server), PollTimeout::ZERO)?;
            if !some {
                break;
            }
        }
        Ok(())
    }

    /// Buries who has ended. Tells whether nobody is left, and the exit code when the command itself was among them.
    fn reap(&self) -> io::Result<(bool, Option<i32>)> {
        let mut code = None;
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, status)) if pid.as_raw() == self.pid => {
                    code = Some(status);
                }
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid.as_raw() == self.pid => {
                    code = Some(128 + signal as i32);
                }
                Ok(WaitStatus::StillAlive) => return Ok((false, code)),
                Err(Errno::ECHILD) => return Ok((true, code)),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// A command's own folder. It goes with the command.
struct Scratch(Option<PathBuf>);

impl Scratch {
    /// None when the command needs none.
    fn make(spec: &CommandSpec) -> io::Result<Self> {
        if spec.scratch_files.is_empty() && spec.result_file.is_none() {
            return Ok(Self(None));
        }
        let path = Path::new(SCRATCH).join(crate::ids::file_name());
        DirBuilder::new().mode(0o700).create(&path)?;
        let scratch = Self(Some(path.clone()));
        for (name, content) in &spec.scratch_files {
            fs::write(path.join(name), content)?;
        }
        Ok(scratch)
    }

    fn path(&self) -> Option<&Path> {
        self.0.as_deref()
    }

    fn read(&self, name: &str) -> Option<String> {
        let file = fs::File::open(self.path()?.join(name)).ok()?;
        let mut text = String::new();
        file.take(MAX_RESULT_BYTES).read_to_string(&mut text).ok()?;
        Some(text)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = fs::remove_dir_all(path);
        }
    }
}

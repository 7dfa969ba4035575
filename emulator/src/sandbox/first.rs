//! The first process of a world. It builds the root, becomes a plain user, starts a worker for every request, and
//! buries who has nobody else to do it. When it ends, the kernel ends every other process of the world.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio, exit};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::sethostname;

use super::outer::during;
use super::protocol::{Control, Report, SOCKET, WorldSpec};
use super::{WORKER_ARGUMENT, loopback, root, user_map};

/// The user and group that a command sees itself as.
const USER_IN_WORLD: u32 = 1000;
/// How many processes and threads a world may have at once, beside those of the helpers.
pub(super) const MAX_PROCESSES: u64 = 512;
/// What is left for workers when the commands have used all of theirs up.
const SPARE_PROCESSES: u64 = 64;
/// How many files a process may have open.
const MAX_OPEN_FILES: u64 = 4096;

pub(super) fn run() -> ! {
    let Ok(mut control) = Control::from_stdin() else {
        exit(1)
    };
    let Ok(spec) = control.receive::<WorldSpec>() else {
        exit(1)
    };
    match enter_world(&spec) {
        Ok(listener) => {
            if control.send(&Report::Ready).is_ok() {
                let _ = serve(&mut control, &listener);
            }
        }
        Err(reason) => {
            let _ = control.send(&Report::CannotIsolate(reason));
        }
    }
    exit(0)
}

fn enter_world(spec: &WorldSpec) -> Result<UnixListener, String> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(during("asking to die with the parent"))?;
    sethostname(&spec.hostname).map_err(during("naming the host"))?;
    loopback::bring_up().map_err(during("bringing the loopback network up"))?;
    // Left by an earlier world of the same session.
    let _ = fs::remove_file(SOCKET);
    let listener = UnixListener::bind(SOCKET).map_err(during("listening for requests"))?;
    root::enter()?;
    // A second user namespace: the commands are no root, not even of the namespace that owns the mounts.
    unshare(CloneFlags::CLONE_NEWUSER).map_err(during("leaving root"))?;
    user_map::write(USER_IN_WORLD, 0, 0).map_err(during("mapping the plain user"))?;
    prctl::set_no_new_privs().map_err(during("refusing new privileges"))?;
    limit(Resource::RLIMIT_NPROC, MAX_PROCESSES + SPARE_PROCESSES)
        .map_err(during("limiting processes"))?;
    limit(Resource::RLIMIT_NOFILE, MAX_OPEN_FILES).map_err(during("limiting open files"))?;
    limit(Resource::RLIMIT_CORE, 0).map_err(during("refusing core dumps"))?;
    // Keeps the commands from looking into this process.
    prctl::set_dumpable(false).map_err(during("closing this process to others"))?;
    Ok(listener)
}

pub(super) fn limit(resource: Resource, most: u64) -> nix::Result<()> {
    setrlimit(resource, most, most)
}

/// Serves until the server closes the control socket.
fn serve(control: &mut Control, listener: &UnixListener) -> io::Result<()> {
    let children = child_signals()?;
    loop {
        let mut watched = [
            PollFd::new(control.as_fd(), PollFlags::POLLIN),
            PollFd::new(listener.as_fd(), PollFlags::POLLIN),
            PollFd::new(children.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut watched, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            other => other?,
        };
        let [closing, asked, died] = watched.map(|watched| watched.any().unwrap_or(true));
        if closing && control.is_closed() {
            return Ok(());
        }
        if died {
            while let Ok(Some(_)) = children.read_signal() {}
            reap();
        }
        if asked {
            start_worker(listener);
        }
    }
}

/// Readable when a child has ended.
pub(super) fn child_signals() -> io::Result<SignalFd> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGCHLD);
    signals.thread_block()?;
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    Ok(SignalFd::with_flags(&signals, flags)?)
}

fn reap() {
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        if status == WaitStatus::StillAlive {
            return;
        }
    }
}

fn start_worker(listener: &UnixListener) {
    let Ok((connection, _)) = listener.accept() else {
        return;
    };
    let mut refusal = connection.try_clone().map(Control::from);
    let started = Command::new("/proc/self/exe")
        .arg(WORKER_ARGUMENT)
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(connection)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    if let (Err(error), Ok(refusal)) = (started, refusal.as_mut()) {
        let reason = format!("the session cannot start another process: {error}");
        let _ = refusal.send(&Report::NotStarted(reason));
    }
}

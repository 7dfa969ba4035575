//! The inner helper: the first process of the world. It builds the root, becomes a plain user, runs the
//! command and reports how it ended. When it ends, the kernel ends every other process of the world.

use std::env;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio, exit};
use std::thread;

use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::sethostname;

use super::outer::during;
use super::protocol::{Control, InnerSpec, Report};
use super::{root, user_map};

/// The user and group that a command sees itself as.
const USER_IN_WORLD: u32 = 1000;
/// How many processes and threads a command may have at once.
const MAX_PROCESSES: u64 = 512;
/// How many files a process may have open.
const MAX_OPEN_FILES: u64 = 1024;

pub(super) fn run() -> ! {
    let Ok(mut control) = Control::from_stdin() else {
        exit(1)
    };
    let Ok(spec) = control.receive::<InnerSpec>() else {
        exit(1)
    };
    let report = match enter_world(&spec, &control) {
        Ok(()) => run_command(&spec),
        Err(reason) => Report::CannotIsolate(reason),
    };
    let _ = control.send(&report);
    exit(0)
}

fn enter_world(spec: &InnerSpec, control: &Control) -> Result<(), String> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(during("asking to die with the parent"))?;
    sethostname(&spec.hostname).map_err(during("naming the host"))?;
    root::enter()?;
    // A second user namespace: the command is no root, not even of the namespace that owns the mounts.
    unshare(CloneFlags::CLONE_NEWUSER).map_err(during("leaving root"))?;
    user_map::write(USER_IN_WORLD, 0, 0).map_err(during("mapping the plain user"))?;
    prctl::set_no_new_privs().map_err(during("refusing new privileges"))?;
    limit(Resource::RLIMIT_NPROC, MAX_PROCESSES)?;
    limit(Resource::RLIMIT_NOFILE, MAX_OPEN_FILES)?;
    limit(Resource::RLIMIT_CORE, 0)?;
    // Keeps the command from looking into this process.
    prctl::set_dumpable(false).map_err(during("closing this process to others"))?;
    end_with_server(control).map_err(during("watching the control socket"))
}

fn limit(resource: Resource, most: u64) -> Result<(), String> {
    setrlimit(resource, most, most).map_err(during("setting a limit"))
}

/// The second wall beside the death signal: no server, no world.
fn end_with_server(control: &Control) -> io::Result<()> {
    let mut control = control.try_clone()?;
    thread::Builder::new().spawn(move || {
        control.wait_until_closed();
        exit(1);
    })?;
    Ok(())
}

fn run_command(spec: &InnerSpec) -> Report {
    if let Err(error) = env::set_current_dir(&spec.working_directory) {
        return Report::NotStarted(format!(
            "cannot change to {}: {error}",
            spec.working_directory
        ));
    }
    let status = Command::new(&spec.program)
        .args(&spec.arguments)
        .env_clear()
        .envs(&spec.environment)
        .stdin(Stdio::null())
        .status();
    match status {
        Ok(status) => Report::Exited(exit_code(status)),
        Err(error) => Report::NotStarted(format!("cannot start {}: {error}", spec.program)),
    }
}

fn exit_code(status: ExitStatus) -> i32 {
    status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(-1)
}

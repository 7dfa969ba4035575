//! The outer helper: gives up root, makes the namespaces, starts the first process in them and waits for it.

use std::fmt::Display;
use std::fs;
use std::os::fd::RawFd;
use std::process::{Command, exit};

use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::unistd::{Gid, Uid, getegid, geteuid, setgroups, setresgid, setresuid};

use super::protocol::{Control, OuterSpec, Report};
use super::{FIRST_ARGUMENT, user_map};

pub(super) fn run() -> ! {
    close_inherited();
    let Ok(mut control) = Control::from_stdin() else {
        exit(1)
    };
    let Ok(spec) = control.receive::<OuterSpec>() else {
        exit(1)
    };
    if let Err(reason) = isolate(&spec) {
        let _ = control.send(&Report::CannotIsolate(reason));
        exit(1);
    }
    exit(0)
}

fn isolate(spec: &OuterSpec) -> Result<(), String> {
    if let Some((user, group)) = spec.become_ids {
        become_unprivileged(user, group).map_err(during("giving up root"))?;
    }
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    unshare(
        CloneFlags::CLONE_NEWUSER
            | CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWCGROUP,
    )
    .map_err(during("making namespaces"))?;
    user_map::write(0, user, group).map_err(during("mapping the user"))?;
    // The child is the first process of the new process namespace: it ends, and all in there end with it.
    let mut first = Command::new("/proc/self/exe")
        .arg(FIRST_ARGUMENT)
        .env_clear()
        .spawn()
        .map_err(during("starting the first process"))?;
    first
        .wait()
        .map_err(during("waiting for the first process"))?;
    Ok(())
}

/// Whoever started the server may have left files open in it, and a command must not inherit them.
fn close_inherited() {
    let names = fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .flatten();
    let open: Vec<RawFd> = names
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    for fd in open.into_iter().filter(|fd| *fd > 2) {
        // One of them was the listing's own, and is closed by now.
        let _ = nix::unistd::close(fd);
    }
}

fn become_unprivileged(user: u32, group: u32) -> nix::Result<()> {
    let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
    setgroups(&[])?;
    setresgid(group, group, group)?;
    setresuid(user, user, user)?;
    // A process that changed its user may not write its own maps until it is dumpable again.
    prctl::set_dumpable(true)
}

pub(super) fn during<E: Display>(step: &'static str) -> impl Fn(E) -> String {
    move |error| format!("{step}: {error}")
}

//! Ends everything that a process started, also what went into the background: a subreaper inherits all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::AsFd as _;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// How often to look again for processes that were born meanwhile, in milliseconds.
const LOOK_AGAIN_MS: u16 = 10;

/// Returns when this process has no child any more. `children` is readable when one has ended.
pub(super) fn end_descendants(children: &SignalFd) {
    let mut stopped = BTreeSet::new();
    loop {
        // First they are stopped, until no new ones appear: who kills a fork bomb one by one never ends.
        let found = descendants();
        let new: Vec<_> = found.difference(&stopped).copied().collect();
        for pid in &new {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGSTOP);
        }
        stopped.extend(&new);
        if !new.is_empty() {
            continue;
        }
        for pid in &found {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        while let Ok(Some(_)) = children.read_signal() {}
        if bury() {
            return;
        }
        let mut watched = [PollFd::new(children.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut watched, PollTimeout::from(LOOK_AGAIN_MS));
    }
}

/// Reaps who has ended; true when there is no child left.
fn bury() -> bool {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => return false,
            Ok(_) => {}
            Err(_) => return true,
        }
    }
}

fn descendants() -> BTreeSet<i32> {
    let mut children = BTreeMap::<i32, Vec<i32>>::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        if let Some(parent) = fs::read_to_string(entry.path().join("stat"))
            .ok()
            .as_deref()
            .and_then(parent_of)
        {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = BTreeSet::new();
    let mut waiting = vec![i32::try_from(std::process::id()).unwrap_or(i32::MAX)];
    while let Some(parent) = waiting.pop() {
        for child in children.get(&parent).into_iter().flatten() {
            if found.insert(*child) {
                waiting.push(*child);
            }
        }
    }
    found
}

/// The fourth field of `stat`, whose second may contain anything but is in parentheses.
fn parent_of(stat: &str) -> Option<i32> {
    let rest = stat.rsplit_once(')')?.1;
    rest.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_found_behind_any_name() {
        assert_eq!(parent_of("7 (a) b (c)) S 42 7 7"), Some(42));
        assert_eq!(parent_of(""), None);
    }
}

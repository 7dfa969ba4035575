//! Gives each session a world of its own, without root.
//!
//! The program re-executes itself: the *outer* helper makes the namespaces, the *first process* in them builds the
//! file system that the session sees and takes requests, and a *worker* carries out one request each. The
//! running server is never forked, and no `unsafe` is needed. A world lasts until its session ends, so what a
//! command started may outlive it. When the outer helper or the server goes away, the kernel takes every process of the
//! world along.
//!
//! Where the host does not allow this, requests are refused. There is no way to run them unisolated.

mod command;
mod disk;
mod edit;
mod file_info;
mod files;
mod first;
mod guard;
mod loopback;
mod machine;
mod metrics;
mod mount;
mod outer;
mod process_tree;
mod protocol;
mod root;
mod run;
mod search;
mod user_map;
mod worker;

use std::ffi::OsStr;

pub(crate) use file_info::Snapshot;
pub(crate) use files::FileRequest;
pub(crate) use machine::{CannotIsolate, Machine, Sandbox};
pub(crate) use run::{CommandEnd, CommandLimits, Output};

pub(crate) use protocol::{CommandSpec, Kind, Request};

/// The first argument that makes a program the outer helper.
const OUTER_ARGUMENT: &str = "agb-emulator-sandbox-outer";
/// The first argument that makes a program the first process of a world.
const FIRST_ARGUMENT: &str = "agb-emulator-sandbox-first";
/// The first argument that makes a program a worker.
const WORKER_ARGUMENT: &str = "agb-emulator-sandbox-worker";

/// Takes the process over when it was started as a helper, and does not return then; else returns at once.
///
/// Every program that embeds the emulator calls this as the first line of `main`, before it starts a
/// runtime or any other thread: namespaces can be made by a single-threaded process only.
pub fn run_if_asked() {
    let argument = std::env::args_os().nth(1);
    let argument = argument.as_deref();
    if argument == Some(OsStr::new(OUTER_ARGUMENT)) {
        outer::run();
    }
    if argument == Some(OsStr::new(FIRST_ARGUMENT)) {
        first::run();
    }
    if argument == Some(OsStr::new(WORKER_ARGUMENT)) {
        worker::run();
    }
}

//! Runs commands in a world of their own, without root.
//!
//! The program re-executes itself, twice: the *outer* helper makes the namespaces, the *inner* helper is
//! the first process in them, builds the file system that the command sees, and runs the command. The
//! running server is never forked, and no `unsafe` is needed. When either helper or the server goes away,
//! the kernel takes every process of the world along.
//!
//! Where the host does not allow this, a command is refused. There is no way to run it unisolated.

mod inner;
mod mount;
mod outer;
mod protocol;
mod root;
mod runner;
mod user_map;

use std::ffi::OsStr;

pub(crate) use runner::{CannotIsolate, CommandEnd, CommandLimits, Sandbox};

pub(crate) use protocol::InnerSpec;

/// The first argument that makes a program the outer helper.
const OUTER_ARGUMENT: &str = "agb-emulator-sandbox-outer";
/// The first argument that makes a program the inner helper.
const INNER_ARGUMENT: &str = "agb-emulator-sandbox-inner";

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
    if argument == Some(OsStr::new(INNER_ARGUMENT)) {
        inner::run();
    }
}

//! A stand-in for the AGB cloud sandbox API, for development and for tests.
//!
//! It speaks AGB's HTTP API over a real socket, keeps contexts and sessions on the local disk, runs a
//! session's commands in a world of their own, and moves files between sessions and contexts as AGB does.
//! It shares no code with the gateway, so that one misreading of the API cannot hide in both.
//!
//! It keeps nothing after it ends unless it is given a data directory, and it never runs a command that it cannot isolate.
//! `README.md` lists what it promises and where it had to guess.

#![forbid(unsafe_code)]

mod admin;
mod app;
mod archive;
mod browser;
mod clock;
mod config;
mod context;
mod emulator;
mod fault;
mod http;
mod ids;
mod operation;
mod owner;
mod path;
mod request_log;
mod reset;
pub mod sandbox;
mod session;
mod signature;
mod storage;
mod sync;
mod tool;
mod world;

pub use clock::Clock;
pub use config::Config;
pub use emulator::{Emulator, StartError};
pub use fault::{
    AnswerPart, Fault, FaultAction, FaultId, FaultState, Faults, InvalidFault, Schedule,
    SyncDirection,
};
pub use request_log::{RecordedRequest, RequestEnd};

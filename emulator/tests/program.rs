//! The emulator as a program of its own: its start, its end, and what it leaves behind.

mod support;

use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::json;
use support::program::Program;
use support::{eventually, processes_with};

fn start(temporary: &Path) -> Program {
    Program::start::<&str>(temporary, &[])
}

/// Runs a command that does not end, until it can be seen.
async fn run_for_ever(program: &Program, mark: &str) {
    let session = program.client.session().await;
    let args = json!({ "command": format!("(setsid sleep {mark} &); sleep {mark}"), "timeout_ms": 600_000 });
    let body = json!({ "sessionId": session, "name": "shell", "args": args.to_string() });
    let client = program.client.clone();
    tokio::spawn(async move {
        client
            .send(reqwest::Method::POST, "/mcp", &[], Some(&body))
            .await
    });
    eventually("the command runs", async || {
        (processes_with(mark) > 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_to_terminate_ends_it_cleanly_and_leaves_nothing_behind() {
    for (number, signal) in [Signal::SIGTERM, Signal::SIGINT].into_iter().enumerate() {
        let temporary = tempfile::tempdir().unwrap();
        let mut program = start(temporary.path());
        let mark = format!("{}.{}", 3610 + number, std::process::id());
        run_for_ever(&program, &mark).await;
        assert_eq!(temporary.path().read_dir().unwrap().count(), 1);
        program.signal(signal);
        assert!(program.child.wait().unwrap().success());
        assert_eq!(processes_with(&mark), 0);
        assert_eq!(temporary.path().read_dir().unwrap().count(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn its_sudden_death_ends_every_command() {
    let temporary = tempfile::tempdir().unwrap();
    let mut program = start(temporary.path());
    let mark = format!("{}.{}", 3620, std::process::id());
    run_for_ever(&program, &mark).await;
    program.signal(Signal::SIGKILL);
    program.child.wait().unwrap();
    eventually("the commands are gone", async || {
        (processes_with(&mark) == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_use_is_an_error_at_once() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_agb-emulator"))
        .args(["--listen", &address])
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains(&address));
}

//! The emulator as a program of its own: its start, its end, and what it leaves behind.

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use support::{Client, eventually, processes_with};

struct Program {
    child: Child,
    client: Client,
}

/// Starts the program with a temporary folder of its own.
fn start(temporary: &Path) -> Program {
    let mut child = Command::new(env!("CARGO_BIN_EXE_agb-emulator"))
        .args(["--listen", "127.0.0.1:0"])
        .env("TMPDIR", temporary)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("its output"))
        .read_line(&mut line)
        .expect("a line");
    let url = line
        .trim()
        .strip_prefix("listening on ")
        .expect("the address")
        .to_owned();
    Program {
        child,
        client: Client::at(url, "key"),
    }
}

impl Program {
    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        kill(Pid::from_raw(id), signal).expect("the program is there");
    }

    /// Runs a command that does not end, until it can be seen.
    async fn run_for_ever(&self, mark: &str) {
        let session = self.client.session().await;
        let args = json!({ "command": format!("(setsid sleep {mark} &); sleep {mark}"), "timeout_ms": 600_000 });
        let body = json!({ "sessionId": session, "name": "shell", "args": args.to_string() });
        let client = self.client.clone();
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
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_to_terminate_ends_it_cleanly_and_leaves_nothing_behind() {
    for (number, signal) in [Signal::SIGTERM, Signal::SIGINT].into_iter().enumerate() {
        let temporary = tempfile::tempdir().unwrap();
        let mut program = start(temporary.path());
        let mark = format!("{}.{}", 3610 + number, std::process::id());
        program.run_for_ever(&mark).await;
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
    program.run_for_ever(&mark).await;
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

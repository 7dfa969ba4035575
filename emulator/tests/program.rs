//! The emulator as a program of its own: its start, its end, and what it leaves behind.

mod support;

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use support::program::Program;
use support::{Client, eventually, processes_with};

const NO_ARGUMENTS: [&str; 0] = [];

/// Runs a command that does not end, until it can be seen.
async fn run_for_ever(client: &Client, mark: &str) {
    let session = client.session().await;
    let args = json!({ "command": format!("(setsid sleep {mark} &); sleep {mark}"), "timeout_ms": 600_000 });
    let body = json!({ "sessionId": session, "name": "shell", "args": args.to_string() });
    let client = client.clone();
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
        let mut program = Program::start(temporary.path(), &NO_ARGUMENTS);
        let mark = format!("{}.{}", 3610 + number, std::process::id());
        run_for_ever(&program.client, &mark).await;
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
    let program = Program::start(temporary.path(), &NO_ARGUMENTS);
    let mark = format!("{}.{}", 3620, std::process::id());
    run_for_ever(&program.client, &mark).await;
    program.kill();
    eventually("the commands are gone", async || {
        (processes_with(&mark) == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_use_is_an_error_at_once() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for arguments in [
        vec!["--listen", &address],
        vec!["--listen", "127.0.0.1:0", "--admin-listen", &address],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_agb-emulator"))
            .args(arguments)
            .output()
            .unwrap();
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains(&address));
    }
}

/// The program with both its outputs at hand.
struct Talking {
    child: Child,
    output: BufReader<ChildStdout>,
    log: BufReader<ChildStderr>,
}

impl Talking {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_agb-emulator"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        Self {
            output: BufReader::new(child.stdout.take().expect("its output")),
            log: BufReader::new(child.stderr.take().expect("its log")),
            child,
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    /// Ends it and returns what it printed and logged meanwhile.
    fn end(mut self) -> (String, String) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        kill(Pid::from_raw(id), Signal::SIGTERM).expect("the program is there");
        let (mut printed, mut logged) = (String::new(), String::new());
        self.output.read_to_string(&mut printed).expect("text");
        self.log.read_to_string(&mut logged).expect("text");
        assert!(self.child.wait().expect("its end").success());
        (printed, logged)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_serves_from_the_moment_that_it_tells_where() {
    let mut program = Talking::start(&["--listen", "127.0.0.1:0"]);
    let url = program.line().replace("listening on ", "");
    let admin = program.line().replace("admin API and page on ", "");
    // At the first attempt each.
    let http = reqwest::Client::new();
    let health = http.get(format!("{admin}/health")).send().await.unwrap();
    assert_eq!(health.status(), 200);
    let client = Client::at(url, "key");
    client.get("/sdk/ListContexts", &[]).await.ok();
    let bound = admin.strip_prefix("http://").unwrap();
    let address: SocketAddr = bound.parse().unwrap();
    assert_eq!(address.ip(), Ipv4Addr::LOCALHOST);
    program.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_api_is_beside_the_api_unless_that_port_is_taken_or_it_is_not_wanted() {
    let (_taken, before) = a_taken_port_after_a_free_one();
    let mut program = Talking::start(&["--listen", &before]);
    assert!(program.line().ends_with(&before));
    let (printed, log) = program.end();
    assert_eq!(printed, "");
    assert!(log.contains("there is no admin API"));

    let mut program = Talking::start(&["--listen", "127.0.0.1:0", "--no-admin"]);
    program.line();
    assert_eq!(program.end().0, "");
}

fn a_taken_port_after_a_free_one() -> (TcpListener, String) {
    (0..100)
        .find_map(|_| {
            let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
            let port = taken.local_addr().expect("an address").port();
            let before = SocketAddr::from((Ipv4Addr::LOCALHOST, port - 1));
            TcpListener::bind(before).ok()?;
            Some((taken, before.to_string()))
        })
        .expect("two ports side by side, one of them free")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_is_a_line_of_json_in_the_log_and_no_key_is_in_it() {
    let mut program = Talking::start(&["--listen", "127.0.0.1:0"]);
    let url = program.line().replace("listening on ", "");
    let secret = Client::at(url, "a-very-secret-key");
    let answer = secret.get("/sdk/ListContexts", &[]).await;
    let (_, log) = program.end();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect();
    let request = lines
        .iter()
        .find(|line| line["operation"] == "ListContexts");
    let request = request.expect("the request's line");
    assert_eq!(request["status"], 200);
    assert_eq!(request["request_id"], answer.request_id.as_str());
    assert!(!log.contains("a-very-secret-key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_can_be_text() {
    let mut program = Talking::start(&["--listen", "127.0.0.1:0", "--log-format", "text"]);
    program.line();
    let (_, log) = program.end();
    let last = log.lines().last().expect("a line");
    assert!(
        last.contains("stopping") && !last.starts_with('{'),
        "{last}"
    );
}

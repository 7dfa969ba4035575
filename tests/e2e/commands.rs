//! The commands of the program, as processes.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use agb_emulator::FaultAction;
use agb_gateway::auth::NewToken;
use agb_gateway::proto::v1 as pb;
use agb_gateway::proto::v1::session_service_client::SessionServiceClient;

use figment::Figment;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::canary;
use crate::support::{CODE_IMAGE, KEY, World, connect, patience, reason, seconds, within};

/// The program, with nothing in its environment that could reach its configuration.
fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agb-gateway"));
    command.args(arguments).env_clear();
    command
}

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    program(arguments)
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines().map(str::to_owned).collect()
}

/// A running program that is killed (SIGKILL) when this is dropped.
pub(crate) struct Running(Child);

impl Running {
    fn terminate(&self) {
        let status = Command::new("kill")
            .args(["-TERM", &self.0.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }
}

impl Running {
    /// Ends it by a drain, which must end well.
    pub(crate) async fn end(mut self) {
        self.terminate();
        // Its clients have to hear of it meanwhile.
        let ended = tokio::task::spawn_blocking(move || self.0.wait().unwrap());
        assert!(ended.await.unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `serve` in front of the emulated AGB of `world`, and the address at which it says that it listens.
fn serve(world: &World) -> (Running, std::net::SocketAddr) {
    serve_with(world, &[])
}

/// The same with settings, as variables.
pub(crate) fn serve_with(
    world: &World,
    settings: &[(&str, &str)],
) -> (Running, std::net::SocketAddr) {
    let (running, serving) = serve_observed(world, settings);
    (running, serving.address)
}

/// Where a program says that it listens.
pub(crate) struct Serving {
    pub(crate) address: std::net::SocketAddr,
    pub(crate) metrics: Option<std::net::SocketAddr>,
}

/// The same, also telling where the metrics are.
pub(crate) fn serve_observed(world: &World, settings: &[(&str, &str)]) -> (Running, Serving) {
    let (running, mut lines) = spawn(world, settings);
    let mut metrics = None;
    let address = lines
        .by_ref()
        .find_map(|event| {
            let address = || event["address"].as_str().unwrap().parse().unwrap();
            if event["message"] == "serving metrics" {
                metrics = Some(address());
            }
            (event["message"] == "serving").then(address)
        })
        .expect("a line that tells the address");
    // Somebody has to go on reading, or the program would block at a full pipe.
    std::thread::spawn(move || lines.for_each(drop));
    (running, Serving { address, metrics })
}

/// The same, and what it logs.
pub(crate) fn serve_with_lines(
    world: &World,
    settings: &[(&str, &str)],
) -> (Running, UnboundedReceiver<serde_json::Value>) {
    let (running, lines) = spawn(world, settings);
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || lines.for_each(|line| drop(sender.send(line))));
    (running, receiver)
}

/// The lines up to the first one that is looked for.
pub(crate) async fn lines_until(
    lines: &mut UnboundedReceiver<serde_json::Value>,
    is_it: impl Fn(&serde_json::Value) -> bool,
) -> Vec<serde_json::Value> {
    let mut told = Vec::new();
    while !told.last().is_some_and(&is_it) {
        let next = tokio::time::timeout(patience().remaining(), lines.recv()).await;
        let Ok(Some(line)) = next else {
            panic!("no such line: {told:#?}");
        };
        told.push(line);
    }
    told
}

fn spawn(
    world: &World,
    settings: &[(&str, &str)],
) -> (
    Running,
    impl Iterator<Item = serde_json::Value> + Send + use<>,
) {
    let mut child = program(&["serve"])
        .env("AGB_API_KEY", KEY)
        .env("AGB_ENDPOINT", world.emulator.url())
        .env("AGB_GATEWAY_SERVER__LISTEN", "127.0.0.1:0")
        .env("AGB_GATEWAY_LOG__FILTER", "trace")
        .envs(settings.iter().copied())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let logs = BufReader::new(child.stderr.take().unwrap());
    let lines = logs.lines().map(|line| {
        let line = line.unwrap();
        canary::look_at(&line);
        serde_json::from_str(&line).unwrap()
    });
    (Running(child), lines)
}

/// A call that has begun at the gateway, and ends when there is a file `/tmp/end` in the session.
async fn held_call(
    world: &World,
    session_id: &str,
    gateway: std::net::SocketAddr,
) -> JoinHandle<Result<String, Status>> {
    let channel = connect(gateway).await;
    let request = pb::ExecuteCommandRequest {
        session_id: session_id.to_owned(),
        command: "touch /tmp/started; while [ ! -e /tmp/end ]; do sleep 0.01; done; echo done"
            .to_owned(),
        timeout: Some(seconds(50)),
        ..pb::ExecuteCommandRequest::default()
    };
    let call = tokio::spawn(async move {
        let mut sessions = SessionServiceClient::new(channel);
        let answer = sessions.execute_command(within(request)).await?;
        Ok(answer.into_inner().stdout)
    });
    let started = "while [ ! -e /tmp/started ]; do sleep 0.01; done";
    world.run(session_id, started).await;
    call
}

#[test]
fn serve_with_a_wrong_configuration_ends_at_once_with_a_line_for_each_problem() {
    let output = run(
        &["serve"],
        &[
            ("AGB_ENDPOINT", "ftp://agb"),
            ("AGB_GATEWAY_SERVER__LISTEN", "nowhere"),
            ("AGB_GATEWAY_SERVER__LISTNE", "127.0.0.1:1"),
        ],
    );
    assert_eq!(output.status.code(), Some(1));
    let lines = stderr(&output);
    assert_eq!(lines.len(), 5, "{lines:#?}");
    for (line, start) in lines[1..].iter().zip([
        "server.listen: ",
        "agb.endpoint: ",
        "agb.api_key_file: ",
        "server.listne: ",
    ]) {
        assert!(line.starts_with(start), "{line}");
    }
}

#[test]
fn serve_at_a_taken_address_ends_at_once() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(
        &["serve"],
        &[
            ("AGB_API_KEY", "k"),
            ("AGB_GATEWAY_SERVER__LISTEN", &address),
        ],
    );
    assert_eq!(output.status.code(), Some(1));
    let lines = stderr(&output);
    assert!(lines.last().unwrap().contains(&address), "{lines:?}");
}

#[test]
fn check_config_tells_whether_a_configuration_is_valid() {
    let good = run(&["check-config"], &[("AGB_API_KEY", "k")]);
    assert!(good.status.success());
    let bad = run(
        &["check-config", "--config", "/nonexistent.toml"],
        &[("AGB_API_KEY", "k")],
    );
    assert_eq!(bad.status.code(), Some(1));
    assert!(stderr(&bad)[1].contains("/nonexistent.toml"));
}

#[tokio::test(flavor = "multi_thread")]
async fn healthcheck_asks_a_running_gateway() {
    let world = World::start().await;
    let address = world.gateway_address().to_string();
    let healthy =
        tokio::task::spawn_blocking(move || run(&["healthcheck", "--address", &address], &[]));
    assert!(healthy.await.unwrap().status.success());
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let dead = run(&["healthcheck", "--address", &free.to_string()], &[]);
    assert_eq!(dead.status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn healthcheck_fails_where_a_gateway_is_not_serving() {
    let (reporter, service) = tonic_health::server::health_reporter();
    let not_serving = tonic_health::ServingStatus::NotServing;
    reporter.set_service_status("", not_serving).await;
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = incoming.local_addr().unwrap().to_string();
    let server = Server::builder().add_service(service);
    let serving = tokio::spawn(server.serve_with_incoming(incoming));
    let output =
        tokio::task::spawn_blocking(move || run(&["healthcheck", "--address", &address], &[]));
    let output = output.await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output)[0].contains("NOT_SERVING"), "{output:?}");
    serving.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn healthcheck_takes_the_name_of_a_host_and_shows_whether_agb_can_be_asked() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let new = NewToken::generate("probe").unwrap();
    let (good, bad) = (file("good", new.expose()), file("bad", "agbgw_no"));
    let settings = Figment::new()
        .merge(("auth.methods", ["token"]))
        .merge(("auth.token_file", file("tokens", &new.line)))
        .merge(("agb.max_attempts", 1));
    let world = World::with_settings(settings).await;
    let address = format!("localhost:{}", world.gateway_address().port());
    let probe = |arguments: &[&str]| {
        let mut command = program(&["healthcheck", "--address", &address]);
        command.args(arguments);
        tokio::task::spawn_blocking(move || command.output().unwrap())
    };
    assert!(probe(&[]).await.unwrap().status.success());
    let asks = ["--ask-agb", "--token-file"];
    let asked = probe(&[asks[0], asks[1], &good]).await.unwrap();
    assert!(asked.status.success(), "{asked:?}");
    assert_eq!(world.emulator.request_count("ListContexts"), 1);
    for arguments in [&asks[..1], &[asks[0], asks[1], &bad]] {
        let unknown = probe(arguments).await.unwrap();
        assert!(
            stderr(&unknown)[0].contains("authentication credentials"),
            "{unknown:?}"
        );
    }
    let refused = FaultAction::Refuse {
        code: "Down".to_owned(),
        message: "down".to_owned(),
        status: 503,
    };
    world.inject("ListContexts", 1, refused);
    let down = probe(&[asks[0], asks[1], &good]).await.unwrap();
    assert!(
        stderr(&down)[0].contains("could not list a context"),
        "{down:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_lets_running_calls_end_and_takes_no_new_ones() {
    let world = World::start().await;
    let session = world.create_session(CODE_IMAGE, vec![]).await;
    let (mut running, address) = serve(&world);
    let call = held_call(&world, &session, address).await;
    running.terminate();
    let mut pause = tokio::time::interval(Duration::from_millis(10));
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        pause.tick().await;
    }
    assert!(!call.is_finished());
    world.run(&session, "touch /tmp/end").await;
    assert_eq!(call.await.unwrap().unwrap(), "done\n");
    let exit = tokio::task::spawn_blocking(move || running.0.wait().unwrap());
    assert!(exit.await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_outlasts_the_drain_is_answered_before_the_program_ends() {
    let world = World::start().await;
    let session = world.create_session(CODE_IMAGE, vec![]).await;
    let timeout = [("AGB_GATEWAY_SERVER__DRAIN_TIMEOUT", "1s")];
    let (mut running, address) = serve_with(&world, &timeout);
    let call = held_call(&world, &session, address).await;
    running.terminate();
    // The command goes on until it is told to end, so only the drain can have ended the call.
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unknown);
    assert_eq!(reason(&status), "CUT_OFF");
    let exit = tokio::task::spawn_blocking(move || running.0.wait().unwrap());
    assert!(exit.await.unwrap().success());
    world.run(&session, "touch /tmp/end").await;
}

#[tokio::test]
async fn a_drain_is_told_to_those_who_watch_the_gateway_s_health_and_not_held_up_by_them() {
    let world = World::start().await;
    let (gateway, channel) = world.replica().await;
    let mut health = HealthClient::new(channel);
    let request = HealthCheckRequest::default();
    let mut watch = health.watch(within(request)).await.unwrap().into_inner();
    let first = watch.message().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);
    let drained = tokio::spawn(gateway.run_until(std::future::ready(())));
    let next = watch.message().await.unwrap().unwrap();
    assert_eq!(next.status(), ServingStatus::NotServing);
    assert!(watch.message().await.unwrap().is_none());
    drained.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn dev_serves_a_gateway_with_its_own_agb_and_says_how_to_call_it() {
    let mut child = program(&["dev", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut greeting = BufReader::new(child.stdout.take().unwrap());
    let mut running = Running(child);
    let mut text = String::new();
    let address = loop {
        let mut line = String::new();
        assert_ne!(greeting.read_line(&mut line).unwrap(), 0, "{text}");
        text.push_str(&line);
        if let Some(address) = line.trim().strip_prefix("gateway ") {
            break address.trim().parse().unwrap();
        }
    };
    let mut sessions = SessionServiceClient::new(connect(address).await);
    let request = pb::CreateSessionRequest {
        image_id: CODE_IMAGE.to_owned(),
        ..pb::CreateSessionRequest::default()
    };
    let session = sessions.create_session(within(request)).await.unwrap();
    let request = pb::ExecuteCommandRequest {
        session_id: session.into_inner().session.unwrap().session_id,
        command: "echo hello".to_owned(),
        timeout: Some(seconds(20)),
        ..pb::ExecuteCommandRequest::default()
    };
    let answer = sessions.execute_command(within(request)).await.unwrap();
    assert_eq!(answer.into_inner().stdout, "hello\n");
    drop(sessions);
    running.terminate();
    assert!(running.0.wait().unwrap().success());
    greeting.read_to_string(&mut text).unwrap();
    assert!(text.contains("grpcurl -plaintext"), "{text}");
}

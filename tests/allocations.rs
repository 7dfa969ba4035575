//! How often a call allocates, and how much: the whole way through the gateway and back. Callers are not known here and
//! nothing is exported; what those take is in the instructions that `bench/` counts.
//!
//! The gateway runs in a process of its own, this program again, so that neither its callers nor AGB count. One more allocation for
//! each of some calls is noise, one more copy of an answer is not: it goes beyond the bounds below.

#![allow(clippy::unwrap_used)] // A test that unwraps in vain has failed, which is right.

use std::alloc::System;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use agb_emulator::Emulator;
use agb_gateway::app::Gateway;
use agb_gateway::config::Config;
use agb_gateway::proto::v1::context_service_client::ContextServiceClient;
use agb_gateway::proto::v1::{
    Context, CreateContextRequest, GetContextRequest, ListContextsRequest,
    get_context_request::Selector,
};
use agb_gateway::telemetry;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tonic::transport::Channel;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The argument that makes this program the gateway.
const SERVE: &str = "serve-and-count";
const WARM_UP: u32 = 100;
const CALLS: u32 = 500;
/// So many that a copy of the answer is seen in the bytes.
const CONTEXTS: usize = 100;

/// What a call may take.
struct Bounds {
    allocations: f64,
    bytes: f64,
}

// A little above what was counted: 158.1 allocations of 55,860 bytes, and 655.1 of 146,873.
const GET_CONTEXT: Bounds = Bounds {
    allocations: 172.0,
    bytes: 60_000.0,
};
const LIST_CONTEXTS: Bounds = Bounds {
    allocations: 710.0,
    bytes: 157_000.0,
};

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if std::env::args().any(|argument| argument == SERVE) {
        return serve(&runtime);
    }
    runtime.block_on(measure());
}

/// Serves until stdin ends; for each line there it tells how many allocations there have been, and of how many bytes.
fn serve(runtime: &tokio::runtime::Runtime) {
    let config = Config::load(None).unwrap();
    let _logs = telemetry::start_logs(&config.log).unwrap();
    let gateway = runtime.block_on(Gateway::start(config)).unwrap();
    println!("{}", gateway.address());
    for question in std::io::stdin().lines() {
        question.unwrap();
        let stats = ALLOCATOR.stats();
        println!(
            "{} {}",
            stats.allocations + stats.reallocations,
            stats.bytes_allocated
        );
    }
}

/// The gateway's process.
struct Counted {
    process: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Counted {
    fn start(endpoint: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .arg(SERVE)
            .env("AGB_API_KEY", "measurement")
            .env("AGB_ENDPOINT", endpoint)
            .env("AGB_GATEWAY_SERVER__LISTEN", "127.0.0.1:0")
            .env("AGB_GATEWAY_TELEMETRY__METRICS_LISTEN", "127.0.0.1:0")
            // Nothing but calls.
            .env("AGB_GATEWAY_SESSION__SWEEP_INTERVAL", "0s")
            .env("AGB_GATEWAY_SECRETS__RELOAD_INTERVAL", "1h")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // The access log is written; nobody reads it here.
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap());
        Self { process, answers }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// Allocations and bytes so far.
    fn counts(&mut self) -> [f64; 2] {
        writeln!(self.process.stdin.as_mut().unwrap()).unwrap();
        let line = self.line();
        let counts: Vec<f64> = line
            .split(' ')
            .map(|count| count.parse().unwrap())
            .collect();
        counts.try_into().unwrap()
    }
}

async fn measure() {
    let emulator = Emulator::start(agb_emulator::Config::default())
        .await
        .unwrap();
    let mut gateway = Counted::start(&emulator.url());
    let channel = Channel::from_shared(format!("http://{}", gateway.line())).unwrap();
    let contexts = ContextServiceClient::new(channel.connect().await.unwrap());
    let mut id = String::new();
    for number in 0..CONTEXTS {
        let request = CreateContextRequest {
            context: Some(Context {
                name: format!("context-{number}"),
                ..Context::default()
            }),
            ..CreateContextRequest::default()
        };
        let answer = contexts.clone().create_context(request).await.unwrap();
        id = answer.into_inner().context.unwrap().context_id;
    }
    let get = || {
        let (mut contexts, id) = (contexts.clone(), id.clone());
        async move {
            let request = GetContextRequest {
                selector: Some(Selector::ContextId(id)),
                ..GetContextRequest::default()
            };
            contexts.get_context(request).await.unwrap();
        }
    };
    let list = || {
        let mut contexts = contexts.clone();
        async move {
            let request = ListContextsRequest {
                page_size: u32::try_from(CONTEXTS).unwrap().try_into().unwrap(),
                ..ListContextsRequest::default()
            };
            let answer = contexts.list_contexts(request).await.unwrap();
            assert_eq!(answer.into_inner().contexts.len(), CONTEXTS);
        }
    };
    let mut red = false;
    red |= exceeds("GetContext", &mut gateway, &GET_CONTEXT, get).await;
    red |= exceeds("ListContexts", &mut gateway, &LIST_CONTEXTS, list).await;
    emulator.stop().await;
    assert!(!red, "calls take more than they may");
}

async fn exceeds<F: Future<Output = ()>>(
    name: &str,
    gateway: &mut Counted,
    bounds: &Bounds,
    call: impl Fn() -> F,
) -> bool {
    for _ in 0..WARM_UP {
        call().await;
    }
    let before = gateway.counts();
    for _ in 0..CALLS {
        call().await;
    }
    let after = gateway.counts();
    let each = |index: usize| (after[index] - before[index]) / f64::from(CALLS);
    let (allocations, bytes) = (each(0), each(1));
    println!(
        "{name}: {allocations:.1} allocations a call (at most {}), {bytes:.0} bytes (at most {})",
        bounds.allocations, bounds.bytes
    );
    allocations > bounds.allocations || bytes > bounds.bytes
}

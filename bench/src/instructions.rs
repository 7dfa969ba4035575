//! How many instructions a call takes, counted by callgrind: the same on a busy machine as on an idle one, so that a change that makes
//! calls dearer shows by itself.
//!
//! The gateway with everything on, as it ships, with one worker thread; calls come one after the other. What a start takes is taken
//! out by the difference of two runs. Processors and libraries differ from machine to machine, so what is compared with the baselines
//! is the share of what the minimal gateway's `GetSession` takes in the same run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use crate::Failure;
use crate::contenders::{Bench, Telling, start_upstream, target};
use crate::load::{Connection, Target, Work, framed};
use crate::process::Server;
use crate::proto::ListSessionsRequest;
use crate::scenarios::get_sessions;

const FEW: u64 = 200;
const MANY: u64 = 1_200;
/// How much more than the baseline is still the same, and how much less: then the baseline is to be written anew.
const TOLERANCE: f64 = 0.05;
const MINIMAL: &str = "GetSession by the minimal gateway";

pub(crate) async fn compare(bench: &Bench, update: bool) -> Result<(), Failure> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.json");
    let list = framed(&ListSessionsRequest::default());
    let list = Work {
        path: "/agb.gateway.v1.SessionService/ListSessions",
        messages: Arc::new(move |_| list.clone()),
    };
    let minimal = a_call(
        of_minimal(bench, FEW).await?,
        of_minimal(bench, MANY).await?,
    );
    let mut counted = BTreeMap::from([(MINIMAL.to_owned(), minimal)]);
    for (name, work) in [("GetSession", get_sessions(100)), ("ListSessions", list)] {
        let few = of_gateway(bench, &work, FEW).await?;
        let many = of_gateway(bench, &work, MANY).await?;
        counted.insert(name.to_owned(), a_call(few, many));
    }
    if update {
        let text = serde_json::to_string_pretty(&counted)? + "\n";
        std::fs::write(file, &text)?;
        print!("{text}");
        return Ok(());
    }
    let baselines: BTreeMap<String, u64> = serde_json::from_slice(&std::fs::read(file)?)?;
    let share = |counts: &BTreeMap<String, u64>, name: &str| -> Option<f64> {
        Some(*counts.get(name)? as f64 / *counts.get(MINIMAL)? as f64)
    };
    let mut moved = Vec::new();
    for (name, count) in &counted {
        let now = share(&counted, name).ok_or("nothing was counted")?;
        let before = share(&baselines, name).ok_or("a call has no baseline")?;
        println!(
            "{name}: {count} instructions, {now:.3} of the minimal gateway's; by the baseline {before:.3}"
        );
        if (now / before - 1.0).abs() > TOLERANCE {
            moved.push(name.as_str());
        }
    }
    if moved.is_empty() {
        return Ok(());
    }
    Err(format!(
        "the instructions of {} have moved by more than {:.0} %; if that is meant, run with --update",
        moved.join(" and "),
        TOLERANCE * 100.0
    )
    .into())
}

fn a_call(few: u64, many: u64) -> u64 {
    (many - few) / (MANY - FEW)
}

/// All instructions of a gateway from its start to its end, with so many calls in between.
async fn of_gateway(bench: &Bench, work: &Work, calls: u64) -> Result<u64, Failure> {
    let upstream = start_upstream(&[])?;
    let collector = Server::start(&["collector"])?;
    let (mut command, profile) = callgrind(bench);
    command.arg(&bench.gateway);
    // Nothing that comes by the clock, since a slow machine would have more of it in the same number of calls.
    let quiet = [
        ("AGB_GATEWAY_SESSION__SWEEP_INTERVAL", "0s"),
        ("AGB_GATEWAY_TELEMETRY__OTLP__METRICS_INTERVAL", "1h"),
        ("AGB_GATEWAY_SECRETS__RELOAD_INTERVAL", "1h"),
        ("AGB_GATEWAY_TELEMETRY__TRACES__SAMPLE_RATIO", "0"),
    ];
    let everything = Telling::Everything {
        collector: &collector.url(),
    };
    let gateway =
        bench.start_gateway_by(command, "instructions", &upstream.url(), everything, &quiet)?;
    call(&gateway.target(), work, calls).await?;
    gateway.process.drain()?;
    total(&profile)
}

/// The same of the minimal gateway by reqwest.
async fn of_minimal(bench: &Bench, calls: u64) -> Result<u64, Failure> {
    let upstream = start_upstream(&[])?;
    let (mut command, profile) = callgrind(bench);
    command
        .arg(std::env::current_exe()?)
        .args(["minimal-reqwest", "--upstream", &upstream.url()]);
    let server = Server::start_command(command)?;
    call(&target(&server), &get_sessions(100), calls).await?;
    server.finish()?;
    total(&profile)
}

async fn call(target: &Target, work: &Work, calls: u64) -> Result<(), Failure> {
    let connection = Connection::open(target, work.path).await?;
    for number in 0..calls {
        connection.call((work.messages)(number)).await?;
    }
    Ok(())
}

fn callgrind(bench: &Bench) -> (Command, PathBuf) {
    let profile = bench.folder.join("callgrind.out");
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .env("TOKIO_WORKER_THREADS", "1");
    (command, profile)
}

fn total(profile: &Path) -> Result<u64, Failure> {
    let text = std::fs::read_to_string(profile)?;
    // So that the next run cannot take this one for its own.
    std::fs::remove_file(profile)?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals:"));
    let total = total.or_else(|| text.lines().find_map(|line| line.strip_prefix("summary:")));
    Ok(total.ok_or("callgrind tells no total")?.trim().parse()?)
}

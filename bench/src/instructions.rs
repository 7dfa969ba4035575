//! How many instructions a call takes, counted by callgrind: the same on a busy machine as on an idle one, so that a change that makes
//! calls dearer shows by itself.
//!
//! The gateway with everything on, as it ships, with one worker thread; calls come one after the other. What a start takes is taken
//! out by the difference of two runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use crate::Failure;
use crate::contenders::{Bench, Telling, start_upstream};
use crate::load::{Connection, Work, framed};
use crate::process::Server;
use crate::proto::ListSessionsRequest;
use crate::scenarios::get_sessions;

const FEW: u64 = 200;
const MANY: u64 = 1_200;
/// How much more than the baseline is still the same, and how much less: then the baseline is to be written anew.
const TOLERANCE: f64 = 0.05;

pub(crate) async fn compare(bench: &Bench, update: bool) -> Result<(), Failure> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.json");
    let mut counted = BTreeMap::new();
    let list = framed(&ListSessionsRequest::default());
    for (name, work) in [
        ("GetSession", get_sessions(100)),
        (
            "ListSessions",
            Work {
                path: "/agb.gateway.v1.SessionService/ListSessions",
                messages: Arc::new(move |_| list.clone()),
            },
        ),
    ] {
        let few = count(bench, &work, FEW).await?;
        let many = count(bench, &work, MANY).await?;
        counted.insert(name, (many - few) / (MANY - FEW));
    }
    if update {
        let text = serde_json::to_string_pretty(&counted)? + "\n";
        std::fs::write(file, &text)?;
        print!("{text}");
        return Ok(());
    }
    let baselines: BTreeMap<String, u64> = serde_json::from_slice(&std::fs::read(file)?)?;
    let mut moved = Vec::new();
    for (name, counted) in counted {
        let baseline = *baselines.get(name).ok_or("a call has no baseline")?;
        let ratio = counted as f64 / baseline as f64;
        println!("{name}: {counted} instructions, {ratio:.3} of the baseline's {baseline}");
        if (ratio - 1.0).abs() > TOLERANCE {
            moved.push(name);
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

/// All instructions of a gateway from its start to its end, with so many calls in between.
async fn count(bench: &Bench, work: &Work, calls: u64) -> Result<u64, Failure> {
    let upstream = start_upstream(&[])?;
    let collector = Server::start(&["collector"])?.url();
    let profile: PathBuf = bench.folder.join("callgrind.out");
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(&bench.gateway)
        .env("TOKIO_WORKER_THREADS", "1");
    // Nothing that comes by the clock, since a slow machine would have more of it in the same number of calls.
    let quiet = [
        ("AGB_GATEWAY_SESSION__SWEEP_INTERVAL", "0s"),
        ("AGB_GATEWAY_TELEMETRY__OTLP__METRICS_INTERVAL", "1h"),
        ("AGB_GATEWAY_SECRETS__RELOAD_INTERVAL", "1h"),
        ("AGB_GATEWAY_TELEMETRY__TRACES__SAMPLE_RATIO", "0"),
    ];
    let everything = Telling::Everything {
        collector: &collector,
    };
    let gateway =
        bench.start_gateway_by(command, "instructions", &upstream.url(), everything, &quiet)?;
    let connection = Connection::open(&gateway.target(), work.path).await?;
    for number in 0..calls {
        connection.call((work.messages)(number)).await?;
    }
    drop(connection);
    gateway.process.drain()?;
    let text = std::fs::read_to_string(&profile)?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals:"));
    let total = total.or_else(|| text.lines().find_map(|line| line.strip_prefix("summary:")));
    Ok(total.ok_or("callgrind tells no total")?.trim().parse()?)
}

//! At full load and at half of it: the gateway beside the limit, and beside Python.

use std::process::Command;

use super::{World, get_sessions, interleaved, ratio, same_answer, spread, upstream_counts};
use crate::Failure;
use crate::contenders::{Gateway, Telling, target};
use crate::load::{Measured, Target as Called, closed, open};
use crate::process::Server;
use crate::report::{Cell, Report, Section, Spread, Target};

const CONNECTIONS: usize = 4;
const STREAMS: usize = 64;
const POPULATION: usize = 1_000;
const NAMES: [&str; 6] = [
    "bare tonic echo",
    "minimal gateway, reqwest",
    "minimal gateway, hyper",
    "gateway, everything on",
    "gateway, tells nothing",
    "the other gateway, everything on",
];
const MINIMAL: usize = 1;
const ON: usize = 3;
const OFF: usize = 4;

pub(crate) async fn measure(world: &mut World, report: &mut Report) -> Result<(), Failure> {
    let upstream = world.upstream.url();
    let echo = Server::start(&["echo"])?;
    let minimal = Server::start(&["minimal-reqwest", "--upstream", &upstream])?;
    let hyper = Server::start(&["minimal-hyper", "--upstream", &upstream])?;
    let collector = world.collector.url();
    let everything = Telling::Everything {
        collector: &collector,
    };
    let on = world
        .bench
        .start_gateway("on", &upstream, everything, &[])?;
    let off = world
        .bench
        .start_gateway("off", &upstream, Telling::Nothing, &[])?;
    let mut targets = vec![
        target(&echo),
        target(&minimal),
        target(&hyper),
        on.target(),
        off.target(),
    ];
    let other = match &world.bench.other {
        None => None,
        Some(program) => {
            let program = Command::new(program);
            let bench = &world.bench;
            Some(bench.start_gateway_by(program, "other", &upstream, everything, &[])?)
        }
    };
    targets.extend(other.as_ref().map(Gateway::target));
    // The echo knows nothing but the id.
    same_answer(&targets[MINIMAL..], &get_sessions(POPULATION)).await?;
    full(world, report, &targets).await?;
    half(world, report, &targets).await?;
    if world.bench.python.is_some() {
        beside_python(world, report, &targets[ON]).await?;
    }
    let spans = world.collector.ask()?["spans"].as_u64().unwrap_or_default();
    if spans == 0 {
        return Err("no span has reached the collector".into());
    }
    on.process.drain()?;
    off.process.drain()
}

async fn full(world: &mut World, report: &mut Report, targets: &[Called]) -> Result<(), Failure> {
    let shape = world.settings.shape(CONNECTIONS, STREAMS);
    let work = get_sessions(POPULATION);
    let all = interleaved(targets, &work, shape, world.settings.rounds).await?;
    let rows = NAMES.iter().zip(&all);
    let rows = rows.map(|(name, rounds)| row(name, rounds, &all[MINIMAL]));
    report.sections.push(Section {
        title: "Full load".to_owned(),
        note: format!(
            "GetSession, closed loop, {STREAMS} streams over {CONNECTIONS} connections; ratios to the minimal gateway by reqwest."
        ),
        columns: COLUMNS.to_vec(),
        rows: rows.collect(),
    });
    let to_minimal = |figure: fn(&Measured) -> f64| ratio(&all[ON], &all[MINIMAL], figure);
    report.targets.extend([
        Target::at_least(
            "throughput, of the minimal gateway's",
            0.85,
            to_minimal(Measured::per_second),
        ),
        Target::at_most(
            "CPU per call, of the minimal gateway's",
            1.2,
            to_minimal(Measured::cpu_per_call),
        ),
        Target::at_least(
            "throughput with everything on, of that with nothing told",
            0.9,
            ratio(&all[ON], &all[OFF], Measured::per_second),
        ),
    ]);
    reused(world, report, &targets[ON]).await
}

/// Over how many connections AGB is called: counted where they arrive, while nobody else calls.
async fn reused(world: &mut World, report: &mut Report, on: &Called) -> Result<(), Failure> {
    let (connections, requests) = upstream_counts(&mut world.upstream)?;
    let shape = world.settings.shape(CONNECTIONS, STREAMS);
    closed(on, &get_sessions(POPULATION), shape).await?;
    let (connections_after, requests_after) = upstream_counts(&mut world.upstream)?;
    let (opened, made) = (connections_after - connections, requests_after - requests);
    if made == 0.0 || opened > made / 10.0 {
        return Err(format!("AGB saw {made} requests on {opened} new connections").into());
    }
    report.sections.push(Section {
        title: "Connections to AGB".to_owned(),
        note: "Counted by the upstream over one more round of full load, with its warm-up."
            .to_owned(),
        columns: vec!["requests", "connections opened", "opened per request"],
        rows: vec![vec![made.into(), opened.into(), (opened / made).into()]],
    });
    report.targets.push(Target::at_least(
        "AGB calls on reused connections",
        0.999,
        Spread::of([1.0 - opened / made]),
    ));
    Ok(())
}

async fn half(world: &World, report: &mut Report, targets: &[Called]) -> Result<(), Failure> {
    let shape = world.settings.shape(CONNECTIONS, STREAMS);
    let work = get_sessions(POPULATION);
    let full = closed(&targets[ON], &work, shape).await?;
    let rate = full.per_second() / 2.0;
    let mut all = vec![Vec::new(); targets.len()];
    for round in 0..world.settings.rounds {
        for (target, rounds) in targets.iter().zip(&mut all) {
            rounds.push(open(target, &work, shape, rate, round as u64).await?);
        }
    }
    let rows = NAMES.iter().zip(&all);
    let rows = rows.map(|(name, rounds)| row(name, rounds, &all[MINIMAL]));
    report.sections.push(Section {
        title: "Half load".to_owned(),
        note: format!(
            "The same at {rate:.0} calls a second, half of what the gateway does at full load: open loop, calls at random moments, timed \
             from when they should have begun."
        ),
        columns: COLUMNS.to_vec(),
        rows: rows.collect(),
    });
    report.targets.push(Target::at_most(
        "p99 at half load, of the minimal gateway's",
        1.25,
        ratio(&all[ON], &all[MINIMAL], |round| round.percentile(99.0)),
    ));
    Ok(())
}

async fn beside_python(world: &World, report: &mut Report, on: &Called) -> Result<(), Failure> {
    let Some(python) = &world.bench.python else {
        return Ok(());
    };
    let server = world
        .bench
        .start_python(python, &world.upstream.url(), None)?;
    let targets = [target(&server), on.clone()];
    same_answer(&targets, &get_sessions(POPULATION)).await?;
    let (work, rounds) = (get_sessions(POPULATION), world.settings.rounds);
    let shape = world.settings.shape(CONNECTIONS, STREAMS);
    let full = interleaved(&targets, &work, shape, rounds).await?;
    let rate = spread(&full[0], Measured::per_second).median / 2.0;
    let mut half = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        for (target, rounds) in targets.iter().zip(&mut half) {
            rounds.push(open(target, &work, shape, rate, round as u64).await?);
        }
    }
    let python = "grpc.aio around the SDK";
    report.sections.push(Section {
        title: "Beside Python".to_owned(),
        note: format!(
            "The same full load; and {rate:.0} calls a second, half of what the Python server does at full load. Ratios to the Python \
             server."
        ),
        columns: COLUMNS.to_vec(),
        rows: vec![
            row(python, &full[0], &full[0]),
            row(NAMES[ON], &full[1], &full[0]),
            row("half load: grpc.aio around the SDK", &half[0], &half[0]),
            row("half load: gateway, everything on", &half[1], &half[0]),
        ],
    });
    let p99 = |round: &Measured| round.percentile(99.0);
    report.targets.extend([
        Target::at_least(
            "throughput, of the Python server's",
            40.0,
            ratio(&full[1], &full[0], Measured::per_second),
        ),
        Target::at_most(
            "p99 at half of Python's load, of the Python server's",
            0.1,
            ratio(&half[1], &half[0], p99),
        ),
    ]);
    Ok(())
}

const COLUMNS: [&str; 9] = [
    "",
    "calls/s",
    "ratio",
    "p50 µs",
    "p99 µs",
    "ratio",
    "p99.9 µs",
    "CPU µs/call",
    "ratio",
];

fn row(name: &str, rounds: &[Measured], others: &[Measured]) -> Vec<Cell> {
    let percentile = |percent| spread(rounds, |round| round.percentile(percent)).into();
    vec![
        name.into(),
        spread(rounds, Measured::per_second).into(),
        ratio(rounds, others, Measured::per_second).into(),
        percentile(50.0),
        percentile(99.0),
        ratio(rounds, others, |round| round.percentile(99.0)).into(),
        percentile(99.9),
        spread(rounds, Measured::cpu_per_call).into(),
        ratio(rounds, others, Measured::cpu_per_call).into(),
    ]
}

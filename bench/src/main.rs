//! Measures the gateway on this machine: beside the limit, and beside what a team would write instead.
//!
//! It starts everything as processes on loopback, drives it with load of its own, and prints ratios of one run as Markdown, and as
//! JSON into a file. Everything ends with it.

// Figures are floating-point numbers; none is so large that one more would matter.
#![allow(clippy::cast_precision_loss)]

mod contenders;
mod instructions;
mod load;
mod process;
mod report;
mod scenarios;
mod servers;
mod setup;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use contenders::start_upstream;
use process::Server;
use report::Report;
use scenarios::{Settings, World};
use servers::relay::Relay;
use servers::upstream::Upstream;

/// The gateway's messages.
#[allow(
    clippy::all,
    clippy::pedantic,
    missing_docs,
    unreachable_pub,
    dead_code
)]
mod proto {
    tonic::include_proto!("agb.gateway.v1");
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// The gateway's program. Without it, cargo builds it as it ships.
    #[arg(long, global = true)]
    gateway: Option<PathBuf>,
    /// Another program of the gateway, measured beside it at full and at half load: for a before and an after.
    #[arg(long)]
    other: Option<PathBuf>,
    /// Shows within a minute that the harness works. It fails when a call fails or when counts are wrong; no figure is judged.
    #[arg(long)]
    quick: bool,
    /// Only these. Default: all.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Scenario>,
    /// How often each is measured, in turn with those that it is compared with.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each time.
    #[arg(long, default_value = "3s", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// Without the official SDK, which needs Python and its registry.
    #[arg(long)]
    no_python: bool,
    /// Where the figures go as JSON, too.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scenario {
    Throughput,
    Shapes,
    Far,
    Footprint,
    Flat,
    Watchers,
}

const ALL: [Scenario; 6] = [
    Scenario::Throughput,
    Scenario::Shapes,
    Scenario::Far,
    Scenario::Footprint,
    Scenario::Flat,
    Scenario::Watchers,
];

#[derive(Subcommand)]
enum Command {
    /// Counts the instructions of calls under callgrind, and compares them with the baselines.
    Instructions {
        /// Writes the baselines instead.
        #[arg(long)]
        update: bool,
    },
    /// Serves as AGB.
    Upstream(Upstream),
    /// Answers GetSession by itself.
    Echo,
    /// Answers GetSession by one call of reqwest.
    MinimalReqwest {
        /// The upstream's URL.
        #[arg(long)]
        upstream: String,
    },
    /// Answers GetSession by one call of hyper's client.
    MinimalHyper {
        /// The upstream's URL.
        #[arg(long)]
        upstream: String,
    },
    /// Takes spans and metrics.
    Collector,
    /// Carries bytes, and takes its time.
    Relay(Relay),
}

fn main() -> Result<(), Failure> {
    let cli = Cli::parse();
    match cli.command {
        None => runtime()?.block_on(measure(&cli)),
        Some(Command::Instructions { update }) => {
            let bench = setup::bench(cli.gateway.as_deref(), false)?;
            runtime()?.block_on(instructions::compare(&bench, update))
        }
        Some(Command::Echo) => runtime()?.block_on(servers::limit::echo()),
        Some(Command::MinimalReqwest { upstream }) => {
            runtime()?.block_on(servers::limit::by_reqwest(upstream))
        }
        Some(Command::MinimalHyper { upstream }) => {
            runtime()?.block_on(servers::limit::by_hyper(upstream))
        }
        // What is not measured stays out of the way: one thread is enough for it.
        Some(Command::Upstream(settings)) => {
            one_thread()?.block_on(servers::upstream::serve(settings))
        }
        Some(Command::Collector) => one_thread()?.block_on(servers::collector::serve()),
        Some(Command::Relay(relay)) => one_thread()?.block_on(servers::relay::serve(relay)),
    }
}

/// The same kind that the gateway has.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Runtime::new()
}

fn one_thread() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

async fn measure(cli: &Cli) -> Result<(), Failure> {
    let settings = if cli.quick {
        Settings {
            rounds: 1,
            warm_up: Duration::from_millis(200),
            duration: Duration::from_millis(300),
            is_quick: true,
        }
    } else {
        Settings {
            rounds: cli.rounds,
            warm_up: Duration::from_secs(1),
            duration: cli.duration,
            is_quick: false,
        }
    };
    let mut world = World {
        bench: setup::bench(cli.gateway.as_deref(), !cli.no_python && !cli.quick)?,
        upstream: start_upstream(&[])?,
        collector: Server::start(&["collector"])?,
        settings,
    };
    world.bench.other.clone_from(&cli.other);
    let only = if cli.only.is_empty() {
        &ALL
    } else {
        &*cli.only
    };
    let mut report = Report {
        machine: setup::machine()?,
        ..Report::default()
    };
    for scenario in only {
        eprintln!("measuring: {scenario:?}");
        let (world, report) = (&mut world, &mut report);
        match scenario {
            Scenario::Throughput => scenarios::throughput::measure(world, report).await?,
            Scenario::Shapes => scenarios::shapes::measure(world, report).await?,
            Scenario::Far => scenarios::far::measure(world, report).await?,
            Scenario::Footprint => scenarios::footprint::measure(world, report).await?,
            Scenario::Flat => scenarios::flat::measure(world, report).await?,
            Scenario::Watchers => scenarios::watchers::measure(world, report).await?,
        }
    }
    println!("{}", report.markdown());
    if let Some(file) = &cli.json {
        std::fs::write(file, serde_json::to_string_pretty(&report)?)?;
    }
    Ok(())
}

//! From one stream to 1,024, over 1 to 64 connections: where the gateway falls behind the minimal one.

use super::{World, get_sessions, interleaved, ratio, same_answer, spread};
use crate::Failure;
use crate::contenders::{Telling, target};
use crate::load::Measured;
use crate::process::Server;
use crate::report::{Report, Section};

const SHAPES: [(usize, usize); 7] = [
    (1, 1),
    (1, 16),
    (1, 256),
    (4, 64),
    (16, 256),
    (64, 64),
    (64, 1_024),
];

pub(crate) async fn measure(world: &mut World, report: &mut Report) -> Result<(), Failure> {
    let upstream = world.upstream.url();
    let minimal = Server::start(&["minimal-reqwest", "--upstream", &upstream])?;
    let collector = world.collector.url();
    let everything = Telling::Everything {
        collector: &collector,
    };
    // All at once, as the minimal one does, which has no such bound.
    let bounds = [("AGB_GATEWAY_AGB__MAX_CONCURRENT_REQUESTS", "2000")];
    let gateway = world
        .bench
        .start_gateway("shapes", &upstream, everything, &bounds)?;
    let targets = [target(&minimal), gateway.target()];
    same_answer(&targets, &get_sessions(1_000)).await?;
    let mut rows = Vec::new();
    for (connections, streams) in SHAPES {
        let shape = world.settings.shape(connections, streams);
        let all = interleaved(&targets, &get_sessions(1_000), shape, world.settings.rounds).await?;
        rows.push(vec![
            format!("{streams} over {connections}").into(),
            spread(&all[1], Measured::per_second).into(),
            ratio(&all[1], &all[0], Measured::per_second).into(),
            spread(&all[1], |round| round.percentile(50.0)).into(),
            spread(&all[1], |round| round.percentile(99.0)).into(),
            ratio(&all[1], &all[0], |round| round.percentile(99.0)).into(),
            ratio(&all[1], &all[0], Measured::cpu_per_call).into(),
        ]);
    }
    report.sections.push(Section {
        title: "Streams and connections".to_owned(),
        note: "GetSession, closed loop, everything on; ratios to the minimal gateway by reqwest."
            .to_owned(),
        columns: vec![
            "streams over connections",
            "calls/s",
            "ratio",
            "p50 µs",
            "p99 µs",
            "ratio",
            "CPU per call, ratio",
        ],
        rows,
    });
    gateway.process.drain()
}

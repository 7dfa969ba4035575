//! What the gateway is and takes: the size of the program, how soon it serves, memory for a connection.

use super::{World, get_sessions};
use crate::Failure;
use crate::contenders::{Telling, target as target_of};
use crate::load::{Connection, Target as Called, closed};
use crate::process::{Server, resident_kib};
use crate::report::{Report, Section, Spread, Target};

const STARTS: usize = 5;
const MIB: f64 = 1024.0 * 1024.0;

pub(crate) async fn measure(world: &mut World, report: &mut Report) -> Result<(), Failure> {
    let upstream = world.upstream.url();
    let collector = world.collector.url();
    let everything = Telling::Everything {
        collector: &collector,
    };
    let mut starts = Vec::new();
    let mut at_start = Vec::new();
    for _ in 0..STARTS {
        let gateway = world
            .bench
            .start_gateway("start", &upstream, everything, &[])?;
        starts.push(gateway.started_in.as_secs_f64() * 1e3);
        at_start.push(resident_kib(gateway.process.id())? / 1024.0);
        gateway.process.drain()?;
    }
    let size = std::fs::metadata(&world.bench.gateway)?.len() as f64 / MIB;
    let mut rows = vec![
        vec!["size of the program, MiB".into(), size.into()],
        vec!["until it serves, ms".into(), Spread::of(starts).into()],
        vec![
            "resident after the start, MiB".into(),
            Spread::of(at_start).into(),
        ],
    ];
    let (idle, active) = if world.settings.is_quick {
        (100, 10)
    } else {
        (10_000, 1_000)
    };
    let gateway = world
        .bench
        .start_gateway("idle", &upstream, everything, &[])?;
    let target = gateway.target();
    let (empty, full) = held(&target, idle).await?;
    gateway.process.drain()?;
    let server = Server::start(&["minimal-reqwest", "--upstream", &upstream])?;
    let (least_empty, least_full) = held(&target_of(&server), idle).await?;
    rows.push(vec![
        format!("resident with {idle} idle connections, each of which has made a call, MiB").into(),
        (full / 1024.0).into(),
    ]);
    rows.push(vec![
        "an idle connection, KiB".into(),
        ((full - empty) / f64::from(idle)).into(),
    ]);
    rows.push(vec![
        "an idle connection of the minimal gateway, KiB".into(),
        ((least_full - least_empty) / f64::from(idle)).into(),
    ]);
    if !world.settings.is_quick {
        report.targets.push(Target::at_most(
            "MiB with 10,000 idle connections",
            190.7,
            Spread::of([full / 1024.0]),
        ));
    }

    let gateway = world
        .bench
        .start_gateway("active", &upstream, everything, &[])?;
    let target = gateway.target();
    let empty = resident_kib(target.pid)?;
    let shape = world.settings.shape(active, active);
    closed(&target, &get_sessions(1_000), shape).await?;
    let each = (resident_kib(target.pid)? - empty) / active as f64;
    rows.push(vec![
        format!("an active connection (of {active}, each with a call under way all the time), KiB")
            .into(),
        each.into(),
    ]);
    report.sections.push(Section {
        title: "Footprint".to_owned(),
        note: "Everything on.".to_owned(),
        columns: vec!["", ""],
        rows,
    });
    gateway.process.drain()
}

/// Resident memory before and with so many connections that have made a call and wait, in KiB.
async fn held(target: &Called, count: u32) -> Result<(f64, f64), Failure> {
    let mut connections = Vec::new();
    let empty = resident_kib(target.pid)?;
    for _ in 0..count {
        let connection = Connection::open(target, super::GET_SESSION).await?;
        // Answered, so it is set up on both sides.
        connection.call((get_sessions(1).messages)(0)).await?;
        connections.push(connection);
    }
    Ok((empty, resident_kib(target.pid)?))
}

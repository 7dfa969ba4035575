//! Whether a call takes longer when there are more sessions and contexts.

use std::sync::Arc;

use super::{World, get_sessions, spread};
use crate::Failure;
use crate::contenders::{Telling, start_upstream};
use crate::load::{Measured, Work, closed, framed};
use crate::proto::get_context_request::Selector;
use crate::proto::{GetContextRequest, ListSessionsRequest};
use crate::report::{Report, Section, Spread, Target};
use crate::servers::upstream::context_id;

const POPULATIONS: [usize; 4] = [10, 100, 1_000, 10_000];

/// What is called, and what its target is called.
type Kind = (&'static str, fn(usize) -> Work);

const KINDS: [Kind; 3] = [
    ("GetSession", get_sessions),
    ("GetContext", get_contexts),
    ("ListSessions", |_| list_sessions()),
];

pub(crate) async fn measure(world: &mut World, report: &mut Report) -> Result<(), Failure> {
    let collector = world.collector.url();
    let mut sides = Vec::new();
    for population in POPULATIONS {
        let upstream = start_upstream(&["--population", &population.to_string()])?;
        let everything = Telling::Everything {
            collector: &collector,
        };
        let name = format!("flat-{population}");
        let gateway = world
            .bench
            .start_gateway(&name, &upstream.url(), everything, &[])?;
        sides.push((gateway, upstream));
    }
    let shape = world.settings.shape(4, 16);
    let mut rows = Vec::new();
    let mut growth = Vec::new();
    for (name, work) in KINDS {
        let mut all = vec![Vec::new(); POPULATIONS.len()];
        for _ in 0..world.settings.rounds {
            for (index, (gateway, _upstream)) in sides.iter().enumerate() {
                let work = work(POPULATIONS[index]);
                all[index].push(closed(&gateway.target(), &work, shape).await?);
            }
        }
        for (population, rounds) in POPULATIONS.iter().zip(&all) {
            rows.push(vec![
                format!("{name}, {population}").into(),
                spread(rounds, |round| round.percentile(50.0)).into(),
                spread(rounds, Measured::cpu_per_call).into(),
            ]);
        }
        let (few, many) = (&all[0], &all[POPULATIONS.len() - 1]);
        let pairs = many.iter().zip(few);
        growth.extend(pairs.map(|(many, few)| many.cpu_per_call() / few.cpu_per_call()));
    }
    report.sections.push(Section {
        title: "Sessions and contexts".to_owned(),
        note: "16 streams over 4 connections, each gateway in front of an AGB with so many sessions and contexts, all of which are asked \
               for in turn."
            .to_owned(),
        columns: vec!["call, population", "p50 µs", "CPU µs/call"],
        rows,
    });
    report.targets.push(Target::at_most(
        "CPU per call at 10,000 sessions and contexts, of that at 10",
        1.1,
        Spread::of(growth),
    ));
    for (gateway, _upstream) in sides {
        gateway.process.drain()?;
    }
    Ok(())
}

fn get_contexts(population: usize) -> Work {
    let population = population as u64;
    Work {
        path: "/agb.gateway.v1.ContextService/GetContext",
        messages: Arc::new(move |number| {
            let number = usize::try_from(number % population).unwrap_or_default();
            framed(&GetContextRequest {
                selector: Some(Selector::ContextId(context_id(number))),
                ..GetContextRequest::default()
            })
        }),
    }
}

fn list_sessions() -> Work {
    let message = framed(&ListSessionsRequest::default());
    Work {
        path: "/agb.gateway.v1.SessionService/ListSessions",
        messages: Arc::new(move |_| message.clone()),
    }
}

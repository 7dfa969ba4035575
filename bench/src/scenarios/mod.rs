//! What is measured: a file for each question.

pub(crate) mod far;
pub(crate) mod flat;
pub(crate) mod footprint;
pub(crate) mod shapes;
pub(crate) mod throughput;
pub(crate) mod watchers;

use std::sync::Arc;
use std::time::Duration;

use crate::Failure;
use crate::contenders::Bench;
use crate::load::{Connection, Measured, Shape, Target, Work, closed, framed};
use crate::process::Server;
use crate::proto::GetSessionRequest;
use crate::report::Spread;
use crate::servers::upstream::session_id;

pub(crate) const GET_SESSION: &str = "/agb.gateway.v1.SessionService/GetSession";

/// What all scenarios need.
pub(crate) struct World {
    pub(crate) bench: Bench,
    /// Plain HTTP on loopback.
    pub(crate) upstream: Server,
    pub(crate) collector: Server,
    pub(crate) settings: Settings,
}

/// How long, and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) rounds: usize,
    pub(crate) warm_up: Duration,
    pub(crate) duration: Duration,
    /// Shows that the harness works; the figures are worth nothing.
    pub(crate) is_quick: bool,
}

impl Settings {
    pub(crate) fn shape(&self, connections: usize, streams: usize) -> Shape {
        Shape {
            connections,
            streams,
            warm_up: self.warm_up,
            duration: self.duration,
        }
    }
}

/// `GetSession` of sessions in turn, of which there are so many.
pub(crate) fn get_sessions(population: usize) -> Work {
    let population = population as u64;
    Work {
        path: GET_SESSION,
        messages: Arc::new(move |number| {
            let number = usize::try_from(number % population).unwrap_or_default();
            framed(&GetSessionRequest {
                session_id: session_id(number),
            })
        }),
    }
}

/// Fails unless all answer the same: then they did the same work.
pub(crate) async fn same_answer(targets: &[Target], work: &Work) -> Result<(), Failure> {
    let mut answers = Vec::new();
    for target in targets {
        let connection = Connection::open(target, work.path).await?;
        answers.push(connection.answer((work.messages)(0)).await?);
    }
    if answers.iter().any(|answer| *answer != answers[0]) {
        return Err(format!("answers differ: {answers:?}").into());
    }
    Ok(())
}

/// All in turn, again and again: for each its rounds.
pub(crate) async fn interleaved(
    targets: &[Target],
    work: &Work,
    shape: Shape,
    rounds: usize,
) -> Result<Vec<Vec<Measured>>, Failure> {
    let mut all = vec![Vec::new(); targets.len()];
    for _ in 0..rounds {
        for (target, rounds) in targets.iter().zip(&mut all) {
            rounds.push(closed(target, work, shape).await?);
        }
    }
    Ok(all)
}

/// A figure of each round.
pub(crate) fn spread(rounds: &[Measured], figure: impl Fn(&Measured) -> f64) -> Spread {
    Spread::of(rounds.iter().map(figure))
}

/// A figure of each round, as a share of the other's in the same round.
pub(crate) fn ratio(
    rounds: &[Measured],
    others: &[Measured],
    figure: impl Fn(&Measured) -> f64,
) -> Spread {
    Spread::of(
        rounds
            .iter()
            .zip(others)
            .map(|(round, other)| figure(round) / figure(other)),
    )
}

/// How many connections the upstream has taken, and how many requests.
pub(crate) fn upstream_counts(upstream: &mut Server) -> Result<(f64, f64), Failure> {
    let counts = upstream.ask()?;
    let connections = counts["connections"].as_f64().ok_or("no connections")?;
    let requests = counts["requests"].as_object().ok_or("no requests")?;
    let requests = requests.values().filter_map(serde_json::Value::as_f64);
    Ok((connections, requests.sum()))
}

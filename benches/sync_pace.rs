//! How soon the end of a sync is seen, and how many looks that takes: this gateway beside the official SDK's fixed pace and two
//! published pollers. Simulated time, seeded: every run prints the same figures. It fails when a target is missed.
//!
//! `cargo bench --bench sync_pace` simulates many syncs; `cargo test` runs the same with few.

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agb_gateway::agb;
use agb_gateway::config::Config;
use agb_gateway::domain::{Direction, MountPath, SyncTask};
use agb_gateway::resilience::{Deadline, Drain};
use agb_gateway::secret::Keyring;
use agb_gateway::sync::{Start, Syncs, TokenKeys, Upstream};
use agb_gateway::telemetry::Telemetry;
use figment::Figment;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

const PATH: &str = "/home/data";
/// How many syncs of a context are over before one is measured.
const EARLIER_SYNCS: u32 = 12;
/// The session's life bounds every wait.
const LONGEST: Duration = Duration::from_mins(30);

fn main() -> ExitCode {
    // `cargo bench` says so; `cargo test` does not.
    let count = if std::env::args().any(|arg| arg == "--bench") {
        4_000
    } else {
        400
    };
    println!(
        "{count} syncs a row, seeded. Looks include the one before the start. Lag: from the end of the sync to the answer.\n"
    );
    let mut missed = Vec::new();
    for (name, median, target_looks, target_lag) in [
        ("median 30 s, sigma 1", 30.0, Some(10.0), 0.75),
        ("median 0.8 s, sigma 1", 0.8, None, 0.060),
    ] {
        println!(
            "| durations: lognormal, {name} | looks | mean lag (s) | p99 lag (s) |\n| --- | --- | --- | --- |"
        );
        let durations = Durations { median, count };
        let fixed = durations.polled("the SDK: every 1.5 s", |_, _| 1.5);
        durations.polled(
            "google-api-core: up to 1 s, times 1.5, up to 20 s",
            |look, random| random.unit() * (1.5_f64.powi(look)).min(20.0),
        );
        durations.polled(
            "Smithy waiters: from 2 s, doubling, up to 120 s",
            |look, random| {
                let longest = (2.0 * 2.0_f64.powi(look)).min(120.0);
                2.0 + random.unit() * (longest - 2.0)
            },
        );
        let none = durations.gateway("the gateway, no history", None);
        let close = durations.gateway("the gateway, history within 10 %", Some(0.1));
        let rough = durations.gateway("the gateway, history within 30 %", Some(0.3));
        println!();
        for (row, figures) in [
            ("no history", none),
            ("within 10 %", close),
            ("within 30 %", rough),
        ] {
            if figures.looks > fixed.looks && figures.lag > fixed.lag {
                missed.push(format!(
                    "{name}, {row}: worse than the fixed pace in looks and in lag"
                ));
            }
        }
        if target_looks.is_some_and(|target| close.looks > target) {
            missed.push(format!("{name}, within 10 %: {} looks", close.looks));
        }
        if close.lag > target_lag {
            missed.push(format!("{name}, within 10 %: a lag of {} s", close.lag));
        }
    }
    if missed.is_empty() {
        println!("every target is met");
        return ExitCode::SUCCESS;
    }
    eprintln!("missed:\n{}", missed.join("\n"));
    ExitCode::FAILURE
}

/// What a row tells.
#[derive(Clone, Copy)]
struct Figures {
    looks: f64,
    lag: f64,
}

/// One look and answer after the other, until the end has been seen.
struct Seen {
    looks: u32,
    lag: f64,
}

struct Durations {
    median: f64,
    count: u32,
}

impl Durations {
    /// Row by row the same durations.
    fn drawn(&self) -> (Random, Vec<f64>) {
        let mut random = Random::new();
        let durations = (0..self.count)
            .map(|_| self.median * random.normal().exp())
            .collect();
        (random, durations)
    }

    /// A poller that first looks at once and then after each pause.
    fn polled(&self, name: &str, pause: impl Fn(i32, &mut Random) -> f64) -> Figures {
        let (mut random, durations) = self.drawn();
        let seen = durations.into_iter().map(|duration| {
            let (mut elapsed, mut looks) = (0.0, 1);
            while elapsed < duration {
                elapsed += pause(i32::try_from(looks - 1).unwrap_or(i32::MAX), &mut random);
                looks += 1;
            }
            Seen {
                looks,
                lag: elapsed - duration,
            }
        });
        row(name, seen.collect())
    }

    /// The gateway itself, on paused time. `variation`: how far, at most, each sync of a context is off its usual duration.
    fn gateway(&self, name: &str, variation: Option<f64>) -> Figures {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build();
        let runtime = runtime.expect("a runtime");
        let (mut random, durations) = self.drawn();
        let seen = runtime.block_on(async {
            let agb = Arc::new(Agb::new());
            let syncs = syncs(&agb);
            let mut seen = Vec::new();
            for (context, usual) in durations.into_iter().enumerate() {
                let earlier = if variation.is_some() {
                    EARLIER_SYNCS
                } else {
                    0
                };
                let mut last = None;
                for session in 0..=earlier {
                    let off = variation.unwrap_or(0.0) * (2.0 * random.unit() - 1.0);
                    let duration = Duration::from_secs_f64(usual * (1.0 + off));
                    last = Some(agb.sync(&syncs, context, session, duration).await);
                }
                seen.extend(last);
            }
            seen
        });
        row(name, seen)
    }
}

fn row(name: &str, mut seen: Vec<Seen>) -> Figures {
    seen.sort_by(|one, other| one.lag.total_cmp(&other.lag));
    #[allow(clippy::cast_precision_loss)] // A few thousand.
    let count = seen.len() as f64;
    let figures = Figures {
        looks: seen.iter().map(|seen| f64::from(seen.looks)).sum::<f64>() / count,
        lag: seen.iter().map(|seen| seen.lag).sum::<f64>() / count,
    };
    let p99 = &seen[seen.len() * 99 / 100];
    println!(
        "| {name} | {:.1} | {:.3} | {:.3} |",
        figures.looks, figures.lag, p99.lag
    );
    figures
}

/// An AGB in which every sync is one task that runs for as long as it is told.
#[derive(Debug)]
struct Agb {
    begin: Instant,
    state: Mutex<AgbState>,
}

#[derive(Debug, Default)]
struct AgbState {
    /// By session.
    tasks: HashMap<String, Task>,
    looks: u32,
}

#[derive(Debug)]
struct Task {
    context_id: String,
    duration: Duration,
    started: Option<Instant>,
}

impl Agb {
    fn new() -> Self {
        Self {
            begin: Instant::now(),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, AgbState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn sync(&self, syncs: &Syncs, context: usize, session: u32, duration: Duration) -> Seen {
        let context_id = format!("c-{context}");
        let session_id = format!("s-{context}-{session}");
        let task = Task {
            context_id: context_id.clone(),
            duration,
            started: None,
        };
        self.state().tasks = HashMap::from([(session_id.clone(), task)]);
        self.state().looks = 0;
        let start = Start {
            session_id,
            place: MountPath::try_new(PATH).ok().map(|path| (context_id, path)),
            direction: Some(Direction::Upload),
        };
        let begin = Instant::now();
        let target = syncs.start(start, Deadline::after(LONGEST)).await;
        let target = target.expect("the sync starts");
        // Long after any session would have ended.
        let deadline = Deadline::after(100 * LONGEST);
        syncs.wait(&target, deadline).await.expect("it succeeds");
        Seen {
            looks: self.state().looks,
            lag: begin.elapsed().as_secs_f64() - duration.as_secs_f64(),
        }
    }

    /// Milliseconds since the epoch, in AGB's count.
    fn count(&self, instant: Instant) -> i64 {
        let elapsed = instant.saturating_duration_since(self.begin).as_millis();
        1_760_517_000_000 + i64::try_from(elapsed).unwrap_or(i64::MAX)
    }
}

impl Upstream for Agb {
    fn look<'a>(
        &'a self,
        session_id: &'a str,
        _: Deadline,
    ) -> BoxFuture<'a, Result<Vec<SyncTask>, agb::Error>> {
        let mut state = self.state();
        state.looks += 1;
        let task = state.tasks.get(session_id);
        let task = task.and_then(|task| {
            let start = task.started?;
            let end = start + task.duration;
            let finished = end <= Instant::now();
            Some(SyncTask {
                context_id: task.context_id.clone(),
                path: PATH.to_owned(),
                direction: Direction::Upload,
                agb_status: if finished { "Success" } else { "Running" }.to_owned(),
                error_message: String::new(),
                start: self.count(start),
                finish: if finished { self.count(end) } else { 0 },
            })
        });
        std::future::ready(Ok(task.into_iter().collect())).boxed()
    }

    fn start<'a>(&'a self, start: &'a Start, _: Deadline) -> BoxFuture<'a, Result<(), agb::Error>> {
        if let Some(task) = self.state().tasks.get_mut(&start.session_id) {
            task.started = Some(Instant::now());
        }
        std::future::ready(Ok(())).boxed()
    }

    fn look_deadline(&self) -> Deadline {
        Deadline::after(LONGEST)
    }
}

/// The gateway's syncs with the settings that ship.
fn syncs(agb: &Arc<Agb>) -> Syncs {
    let config = Config::read(&Figment::new(), Some("key".to_owned())).expect("the defaults");
    let drain = Drain::new(config.server.drain_timeout);
    let keys = TokenKeys::new(
        Keyring::of_secret("key", "default"),
        config.sync.token_lifetime,
    );
    Syncs::new(
        agb.clone(),
        &config.sync.settings,
        keys,
        drain,
        Telemetry::off(),
    )
}

/// Random numbers that are the same in every run.
struct Random(fastrand::Rng);

impl Random {
    fn new() -> Self {
        Self(fastrand::Rng::with_seed(7))
    }

    /// From 0 up to 1.
    fn unit(&mut self) -> f64 {
        self.0.f64()
    }

    /// Around 0 with a standard deviation of 1, by the method of Box and Muller.
    fn normal(&mut self) -> f64 {
        let (one, other) = (1.0 - self.unit(), self.unit());
        (-2.0 * one.ln()).sqrt() * (2.0 * std::f64::consts::PI * other).cos()
    }
}

//! No false completion: seeded histories of one session, with all that can go wrong at AGB and on the way, in simulated time.
//! What the gateway tells is checked against what has truly happened, by a model that knows nothing of how the gateway works.
//! The control is the official SDK's rule over the same histories, which must fail.
//!
//! `cargo test --test histories` plays 100,000 of them; `-- --seed 4711` plays one and tells its story; `-- --count 1000` plays so
//! many, and `--base` says which one is the first.

mod actors;
mod answers;
mod cost;
mod plan;
mod random;
mod replica;
mod sdk;
mod story;
mod tally;
mod task;
mod truth;
mod weather;
mod world;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use clap::Parser;
use tokio::runtime::Builder;

use crate::plan::Plan;
use crate::tally::Tally;
use crate::world::World;

/// So many stories of violations are told.
const MOST_STORIES: usize = 3;
const NAME: &str = "histories";

/// Plays histories of syncs against the gateway's rule, and against the SDK's.
#[derive(Debug, Parser)]
struct Arguments {
    /// Plays this one alone, and tells its story.
    #[arg(long)]
    seed: Option<u64>,
    /// How many to play.
    #[arg(long, default_value_t = 100_000)]
    count: u64,
    /// The seed of the first one.
    #[arg(long, default_value_t = 0)]
    base: u64,
    #[command(flatten)]
    harness: Harness,
}

/// What `cargo test` passes on to every test.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "they are libtest's flags")]
struct Harness {
    /// Plays nothing unless one of these is part of this test's name.
    filters: Vec<String>,
    #[arg(long, hide = true)]
    skip: Vec<String>,
    #[arg(long, hide = true)]
    exact: bool,
    #[arg(long, hide = true)]
    list: bool,
    #[arg(long, hide = true)]
    ignored: bool,
    #[arg(long, hide = true)]
    include_ignored: bool,
    #[arg(long, hide = true)]
    nocapture: bool,
    #[arg(long, hide = true)]
    no_capture: bool,
    #[arg(long, hide = true)]
    show_output: bool,
    #[arg(long, short, hide = true)]
    quiet: bool,
    #[arg(long, hide = true)]
    test_threads: Option<usize>,
    #[arg(long, hide = true)]
    color: Option<String>,
    #[arg(long, hide = true)]
    format: Option<String>,
    #[arg(short = 'Z', hide = true)]
    unstable: Vec<String>,
}

impl Harness {
    fn wants_this(&self) -> bool {
        let matches = |filter: &String| NAME.contains(filter.as_str());
        let is_named = self.filters.is_empty() || self.filters.iter().any(matches);
        is_named && !self.skip.iter().any(matches) && !self.ignored
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.harness.list {
        println!("{NAME}: test");
        return ExitCode::SUCCESS;
    }
    if !arguments.harness.wants_this() {
        return ExitCode::SUCCESS;
    }
    match arguments.seed {
        Some(seed) => replay(seed),
        None => play_all(&arguments),
    }
}

/// Plays one history, on a clock of its own.
fn play(plan: &Plan, is_told: bool) -> (World, Tally) {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let (world, mut tally) = runtime.block_on(actors::play(plan.clone(), is_told));
    tally.looks = u64::try_from(world.looks.len()).unwrap_or(0);
    tally.histories = 1;
    tally.avoided = world.avoided;
    (world, tally)
}

fn replay(seed: u64) -> ExitCode {
    let plan = Plan::of(seed);
    let (world, tally) = play(&plan, true);
    print!("{}", story::story(&plan, &world));
    println!("{tally}");
    println!(
        "the SDK claims completion falsely: {}",
        sdk::claims_falsely(&plan)
    );
    ExitCode::from(u8::from(!world.violations.is_empty()))
}

fn play_all(arguments: &Arguments) -> ExitCode {
    let begin = Instant::now();
    let next = AtomicU64::new(0);
    let total = Mutex::new(Tally::default());
    let bad = Mutex::new(Vec::new());
    let threads = arguments
        .harness
        .test_threads
        .unwrap_or_else(|| thread::available_parallelism().map_or(2, std::num::NonZero::get));
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                let mut tally = Tally::default();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= arguments.count {
                        break;
                    }
                    let plan = Plan::of(arguments.base + number);
                    let (world, played) = play(&plan, false);
                    tally.add(&played);
                    tally.false_claims += u64::from(sdk::claims_falsely(&plan));
                    if let Some(violation) = world.violations.into_iter().next() {
                        bad.lock().expect("no panic").push((plan.seed, violation));
                    }
                }
                total.lock().expect("no panic").add(&tally);
            });
        }
    });
    let mut bad = bad.into_inner().expect("no panic");
    bad.sort_unstable();
    report(
        arguments,
        &total.into_inner().expect("no panic"),
        &bad,
        begin,
    )
}

fn report(arguments: &Arguments, total: &Tally, bad: &[(u64, String)], begin: Instant) -> ExitCode {
    for (seed, violation) in bad.iter().take(MOST_STORIES) {
        let plan = Plan::of(*seed);
        println!("{}", story::story(&plan, &play(&plan, true).0));
        println!("{violation}\nreplay: cargo test --test {NAME} -- --seed {seed}\n");
    }
    for (seed, violation) in bad.iter().skip(MOST_STORIES).take(20) {
        println!("seed {seed}: {violation}");
    }
    println!("seeds from {}: {total}", arguments.base);
    println!(
        "the gateway's rule: {} histories with violations in {} histories ({:.1} s)",
        bad.len(),
        total.histories,
        begin.elapsed().as_secs_f64()
    );
    println!(
        "the SDK's rule: {} false completions in {} histories",
        total.false_claims, total.histories
    );
    if total.false_claims == 0 && total.histories > 0 {
        println!("the histories are too tame: the SDK's rule must fail");
    }
    let is_good = bad.is_empty() && (total.false_claims > 0 || total.histories == 0);
    ExitCode::from(u8::from(!is_good))
}

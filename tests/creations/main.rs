//! Seeded histories of session creation: two replicas, callers that leave, answers that are lost, a replica that is killed or cut
//! off, sweepers; in simulated time, against an AGB that is simulated too. After each history:
//!
//! - all answers of one `request_id` name the same session, and at most one session of it lives;
//! - every session that was answered lives, and so does every one that is none of the gateway's;
//! - every other session that lives was marked as handed over.
//!
//! `--seed N` replays one history and tells what the gateway logs, `--count N` runs so many (10,000).

#![allow(clippy::unwrap_used)] // A test that unwraps in vain has failed, which is right.

mod agb;
mod history;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use history::{Figures, run};

const DEFAULT_COUNT: u64 = 10_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1)?.parse::<u64>().ok()
    };
    if let Some(seed) = number("--seed") {
        tracing_subscriber::fmt()
            .with_env_filter("agb_gateway=debug")
            .with_ansi(false)
            .init();
        return match run(seed) {
            Ok(figures) => {
                println!("{figures:?}");
                ExitCode::SUCCESS
            }
            Err(broken) => {
                eprintln!("seed {seed}: {broken}");
                ExitCode::FAILURE
            }
        };
    }
    let count = number("--count").unwrap_or(DEFAULT_COUNT);
    let next = Arc::new(AtomicU64::new(0));
    let broken = Arc::new(Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            let (next, broken) = (Arc::clone(&next), Arc::clone(&broken));
            std::thread::spawn(move || {
                let mut total = Figures::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= count {
                        return total;
                    }
                    match run(seed) {
                        Ok(figures) => total.add(&figures),
                        Err(what) => broken.lock().unwrap().push(format!("seed {seed}: {what}")),
                    }
                }
            })
        })
        .collect();
    let mut total = Figures::default();
    for worker in workers {
        total.add(&worker.join().unwrap());
    }
    let broken = broken.lock().unwrap();
    println!("{count} histories, {} broken: {total:?}", broken.len());
    for what in broken.iter().take(10) {
        eprintln!("{what}");
    }
    // Histories in which nothing meets or fails would show nothing.
    let is_worth_it = count < DEFAULT_COUNT || total.covers_everything();
    if !is_worth_it {
        eprintln!("the histories do not cover what they should");
    }
    if broken.is_empty() && is_worth_it {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

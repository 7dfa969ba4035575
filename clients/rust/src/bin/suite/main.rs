//! The contract suite in Rust. One line of JSON for each case of the list that CONTRACT names.

mod cases;
mod connect;
mod service_config;
mod world;

use std::time::Instant;

use serde_json::{Value, json};

/// Why the contract does not hold.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// An error unless something holds.
macro_rules! check {
    ($holds:expr, $($told:tt)+) => {
        if !$holds {
            return Err(format!($($told)+).into());
        }
    };
}
pub(crate) use check;

#[tokio::main]
async fn main() -> Outcome {
    let contract: Value = serde_json::from_str(&std::fs::read_to_string(world::env("CONTRACT")?)?)?;
    let world = world::World::new()?;
    for case in contract["cases"].as_array().ok_or("no cases")? {
        let start = Instant::now();
        let error = cases::run(&world, case).await.err();
        let line = json!({
            "case": case["name"],
            "error": error.map(|error| error.to_string()),
            "ms": u64::try_from(start.elapsed().as_millis())?,
        });
        println!("{line}");
    }
    Ok(())
}

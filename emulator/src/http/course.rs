//! The course of a request that was written down: it waits as its faults want, is worked on or not, and is answered or not.

use axum::response::Response;
use tokio::time::{Duration, sleep, timeout};

use super::connection::{ConnectionControl, ConnectionEnd};
use super::log_entry::LogEntry;
use super::scripted::{self, Outcome, Refuse, Struck};

/// What the caller is told.
enum Told {
    Answer(Response),
    Nothing(ConnectionEnd),
}

/// Takes a request to its end. The work begins only when it is wanted; `refuse` says how this part of the API refuses.
pub(super) async fn run<W: Future<Output = Response>>(
    struck: Struck,
    connection: &ConnectionControl,
    entry: LogEntry,
    refuse: Refuse,
    work: impl FnOnce() -> W,
) -> Response {
    wait(struck.delay).await;
    let told = tell(struck.outcome, refuse, work).await;
    wait(struck.answer_delay).await;
    let answer = match told {
        Told::Answer(answer) => answer,
        Told::Nothing(end) => {
            entry.ended(end);
            connection.end(end).await
        }
    };
    if let Some(cut) = struck.cut {
        connection.cut_answer(cut);
    }
    entry.answered(answer.status());
    answer
}

/// Does the work, or what a fault wants in its place or after it.
async fn tell<W: Future<Output = Response>>(
    outcome: Option<Outcome>,
    refuse: Refuse,
    work: impl FnOnce() -> W,
) -> Told {
    match outcome {
        None => Told::Answer(work().await),
        Some(Outcome::Instead(action)) => Told::Answer(scripted::answer(action, refuse)),
        Some(Outcome::EndBeforeWork(end)) => Told::Nothing(end),
        Some(Outcome::EndDuringWork(end, delay)) => {
            // It goes on in its own task.
            let _ = timeout(delay, work()).await;
            Told::Nothing(end)
        }
        Some(Outcome::EndAfterWork(end)) => {
            work().await;
            Told::Nothing(end)
        }
        Some(Outcome::AfterWork(action)) => {
            work().await;
            Told::Answer(scripted::answer(action, refuse))
        }
    }
}

async fn wait(duration: Duration) {
    if !duration.is_zero() {
        sleep(duration).await;
    }
}

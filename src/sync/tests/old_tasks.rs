//! Tasks of before, which are never taken for those of a sync.

use super::*;
use crate::resilience::Budget;
use crate::sync::board::Board;
use crate::sync::history::History;
use crate::sync::poller::Common;
use crate::sync::starts::Starts;
use crate::telemetry::Telemetry;

#[tokio::test(start_paused = true)]
async fn what_any_look_has_shown_is_old_also_where_the_look_before_the_start_leaves_it_out() {
    let looks = AtomicU32::new(0);
    let (syncs, _) = syncs(move |_| {
        let is_left_out = looks.fetch_add(1, Ordering::Relaxed) == 1;
        Ok(if is_left_out {
            vec![]
        } else {
            vec![task("Success")]
        })
    });
    // Before any start the script shows nothing.
    start_in(&syncs, "other").await;
    let session = Target::Session("s".to_owned());
    let seen = syncs.status(&session, within(10)).await.unwrap();
    assert_eq!(seen.tasks.len(), 1);
    let target = start(&syncs).await;
    let error = syncs.wait(&target, within(3600)).await.unwrap_err();
    assert!(matches!(error.outcome, Outcome::NotObserved(_)), "{error}");
    assert_eq!(error.report.unwrap().tasks, []);
}

fn common(upstream: Arc<Script>) -> Common {
    Common {
        upstream,
        patience: Patience {
            grace: 30 * SECOND,
            settle: SECOND,
        },
        pace: Pace::try_new(Duration::from_millis(50), 2 * SECOND, 0.1).unwrap(),
        history: History::new(1),
        budget: Budget::new(1_000),
        drain: Drain::new(SECOND),
        starts: Starts::new(1),
        telemetry: Telemetry::off(),
    }
}

#[tokio::test(start_paused = true)]
async fn no_look_from_before_a_token_came_counts_for_its_sync() {
    let (first, script) = syncs(|_| Ok(vec![]));
    let token = start(&first).await.ticket().unwrap().token.clone();
    let target = replica(&script).read_token(&token).unwrap();
    let common = common(script);
    let mut board = Board::default();
    let now = Instant::now();
    let _somebody_else = board.join(&Target::Session("s".to_owned()), now, &common);
    board.take(Ok(vec![]), now, now, &common);
    let known = board.join(&target, now + 2 * SECOND, &common);
    let mut looks_at = |seconds| {
        let begun = now + Duration::from_secs(seconds);
        board.take(Ok(vec![]), begun, begun, &common);
    };
    looks_at(31);
    assert!(known.borrow().end.is_none(), "29 s are not the grace");
    looks_at(32);
    assert!(known.borrow().end.is_some());
}

#[tokio::test(start_paused = true)]
async fn no_look_from_before_the_asking_counts_though_someone_has_asked_and_left() {
    let (_, script) = syncs(|_| Ok(vec![]));
    let common = common(script);
    let session = Target::Session("s".to_owned());
    let mut board = Board::default();
    let now = Instant::now();
    drop(board.join(&session, now, &common));
    let known = board.join(&session, now + 2 * SECOND, &common);
    let begun = now + SECOND;
    let look = Ok(vec![task("Success")]);
    board.take(look, begun, now + 3 * SECOND, &common);
    assert!(known.borrow().end.is_none());
}

//! Tasks of before, which are never taken for those of a sync.

use super::*;

#[tokio::test(start_paused = true)]
async fn no_look_from_before_a_token_came_counts_for_its_sync() {
    let (first, script) = syncs(|_| Ok(vec![]));
    let second = replica(&script);
    let looking = second.clone();
    let session = Target::Session("s".to_owned());
    let _looking = tokio::spawn(async move {
        // An unfinished task elsewhere keeps the poller looking.
        let _ = looking.wait(&session, within(3600)).await;
    });
    sleep(SECOND).await;
    let begin = Instant::now();
    let token = start(&first).await.ticket().unwrap().token.clone();
    let target = second.read_token(&token).unwrap();
    let error = second.wait(&target, within(3600)).await.unwrap_err();
    assert!(matches!(error.outcome, Outcome::NotObserved(_)), "{error}");
    assert!(begin.elapsed() >= 30 * SECOND, "{:?}", begin.elapsed());
}

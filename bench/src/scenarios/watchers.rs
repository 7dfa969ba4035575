//! Many watch the sync of one session: how often AGB is asked, and what memory a watcher takes.

use std::time::Duration;

use tokio::task::JoinSet;

use super::World;
use crate::Failure;
use crate::contenders::{Telling, start_upstream};
use crate::load::{Connection, framed};
use crate::process::{Server, resident_kib};
use crate::proto::WatchSyncRequest;
use crate::proto::watch_sync_request::Target as Watched;
use crate::report::{Report, Section, Spread, Target};
use crate::servers::upstream::session_id;

const WATCH: &str = "/agb.gateway.v1.SyncService/WatchSync";
/// A connection carries at most so many calls at once.
const PER_CONNECTION: usize = 500;

pub(crate) async fn measure(world: &mut World, report: &mut Report) -> Result<(), Failure> {
    let (counts, settle, window) = if world.settings.is_quick {
        ([1, 50, 200], Duration::from_secs(1), Duration::from_secs(2))
    } else {
        // By then looks have become as rare as they get.
        (
            [1, 1_000, 10_000],
            Duration::from_secs(20),
            Duration::from_secs(28),
        )
    };
    let mut rows = Vec::new();
    let mut looks = Vec::new();
    for watchers in counts {
        let figures = watch(world, watchers, settle, window).await?;
        looks.push(figures.looks);
        rows.push(vec![
            watchers.to_string().into(),
            figures.looks.into(),
            figures.kib_each.into(),
            (1024.0 * 1024.0 / figures.kib_each).into(),
        ]);
    }
    report.sections.push(Section {
        title: "Watchers of one sync".to_owned(),
        note: format!(
            "WatchSync of one session whose tasks do not end; AGB's looks (GetContextInfo) counted for {window:?} after {settle:?}."
        ),
        columns: vec!["watchers", "looks", "KiB each", "watchers per GiB"],
        rows,
    });
    let growth = looks[counts.len() - 1] / looks[0];
    if world.settings.is_quick {
        // A watcher more must not be a look more.
        if looks[counts.len() - 1] > looks[0] + 50.0 {
            return Err(format!("more watchers cost more looks: {looks:?}").into());
        }
        return Ok(());
    }
    report.targets.push(Target::at_most(
        "looks at AGB with 10,000 watchers, of those with one",
        1.05,
        Spread::of([growth]),
    ));
    Ok(())
}

struct Figures {
    looks: f64,
    kib_each: f64,
}

async fn watch(
    world: &World,
    watchers: usize,
    settle: Duration,
    window: Duration,
) -> Result<Figures, Failure> {
    let mut upstream = start_upstream(&[])?;
    let collector = world.collector.url();
    let everything = Telling::Everything {
        collector: &collector,
    };
    let gateway = world
        .bench
        .start_gateway("watchers", &upstream.url(), everything, &[])?;
    let target = gateway.target();
    let before = resident_kib(target.pid)?;
    let message = framed(&WatchSyncRequest {
        target: Some(Watched::SessionId(session_id(0))),
        heartbeat_interval: None,
    });
    let mut all = JoinSet::new();
    for first in (0..watchers).step_by(PER_CONNECTION) {
        let connection = Connection::open(&target, WATCH).await?;
        for _ in first..watchers.min(first + PER_CONNECTION) {
            let mut answer = connection.begin(message.clone()).await?;
            // The snapshot: it watches.
            answer.body.data().await.ok_or("a watcher sees nothing")??;
            all.spawn(async move {
                while let Some(data) = answer.body.data().await {
                    let length = data?.len();
                    answer.body.flow_control().release_capacity(length)?;
                }
                Err::<(), Failure>("a watcher's stream has ended".into())
            });
        }
    }
    tokio::time::sleep(settle).await;
    let asked = looks(&mut upstream)?;
    tokio::time::sleep(window).await;
    let looks = looks(&mut upstream)? - asked;
    let kib_each = (resident_kib(target.pid)? - before) / watchers as f64;
    if let Some(ended) = all.try_join_next() {
        ended??;
    }
    Ok(Figures { looks, kib_each })
}

fn looks(upstream: &mut Server) -> Result<f64, Failure> {
    let looks = &upstream.ask()?["requests"]["GetContextInfo"];
    Ok(looks.as_f64().ok_or("AGB was not asked")?)
}

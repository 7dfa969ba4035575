//! How sessions come to be and how they end.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use tokio::sync::{RwLock, watch};
use tokio::time::{Duration, sleep};

use super::internal;
use super::state::{Session, SessionStatus};
use crate::app::App;
use crate::browser::Browser;
use crate::fault::SyncDirection;
use crate::ids;
use crate::owner::OwnerId;
use crate::sandbox::Machine;
use crate::sync::{Mount, Part, TaskBook, TaskPlan, start_tasks};
use crate::tool::Watched;
use crate::world::World;

/// What a new session shall be.
pub(crate) struct CreateRequest {
    pub(crate) owner: OwnerId,
    pub(crate) image: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) mounts: Vec<Arc<Mount>>,
    pub(crate) idle_timeout: Option<Duration>,
    /// For the downloads that the creation starts.
    pub(crate) downloads: TaskPlan,
}

/// Makes a session and starts its downloads.
pub(crate) async fn create(app: &Arc<App>, request: CreateRequest) -> io::Result<Arc<Session>> {
    let id = ids::session_id();
    let (folder, owner) = (app.sessions_folder().join(&id), app.sandbox.file_owner());
    let mounts = request.mounts.clone();
    let world = tokio::task::spawn_blocking(move || {
        let world = World::create(folder, owner)?;
        for mount in &mounts {
            world.make_folder(&mount.path)?;
            mount.begin_use()?;
        }
        Ok::<_, io::Error>(world)
    })
    .await
    .map_err(io::Error::other)??;
    let now = app.clock.instant();
    let resource_id = ids::resource_id();
    let machine = Machine::new(
        app.sandbox.clone(),
        world.folder(),
        &resource_id,
        app.config.session_disk_bytes,
    );
    let session = Arc::new(Session {
        id,
        owner: request.owner,
        image: request.image,
        token: ids::token(),
        resource_id,
        app_instance_id: ids::app_instance_id(),
        labels: Mutex::new(request.labels),
        world,
        machine,
        mounts: request.mounts,
        internal_mounts: Mutex::default(),
        watched: Watched::default(),
        browser: Browser::default(),
        code_runs: AtomicU64::new(0),
        tasks: TaskBook::default(),
        in_use: RwLock::default(),
        clock: app.clock.clone(),
        life_ends: now + app.config.max_session_life,
        // Longer than it lives makes no difference, and could not be added to a time.
        idle_timeout: request
            .idle_timeout
            .unwrap_or(app.config.idle_timeout)
            .min(app.config.max_session_life),
        last_call: Mutex::new(now),
        status: watch::Sender::new(SessionStatus::Running),
    });
    app.sessions.insert(Arc::clone(&session));
    let downloaded = session
        .mounts
        .iter()
        .filter(|mount| mount.policy.auto_download)
        .map(|mount| Part::whole(Arc::clone(mount)))
        .collect();
    drop(start_tasks(
        app,
        &session,
        downloaded,
        SyncDirection::Download,
        &request.downloads,
    ));
    app.tasks
        .spawn(release_when_idle(Arc::clone(app), Arc::clone(&session)));
    Ok(session)
}

async fn release_when_idle(app: Arc<App>, session: Arc<Session>) {
    while !session.ends_in().is_zero() {
        tokio::select! {
            () = app.clock.reaches(session.ends_at()) => {}
            () = session.ending() => return,
        }
    }
    tracing::info!(
        session = session.id,
        "releasing a session that was idle or at the end of its life"
    );
    release(&app, &session, &TaskPlan::default());
}

/// Begins to release a session; does nothing when that has begun already. [`Session::finished`] tells its end.
pub(crate) fn release(app: &Arc<App>, session: &Arc<Session>, uploads: &TaskPlan) {
    if !session.advance(SessionStatus::Deleting) {
        return;
    }
    app.tasks.spawn(carry_out_release(
        Arc::clone(app),
        Arc::clone(session),
        uploads.clone(),
    ));
}

async fn carry_out_release(app: Arc<App>, session: Arc<Session>, uploads: TaskPlan) {
    // The commands see that the session is ending; wait until the last of them is gone. Then what they left
    // running goes, so that nothing changes any more while it is uploaded.
    drop(session.in_use.write().await);
    session.machine.end().await;
    let uploaded = session
        .mounts
        .iter()
        .filter(|mount| mount.policy.auto_upload)
        .map(|mount| Part::whole(Arc::clone(mount)))
        .collect();
    start_tasks(&app, &session, uploaded, SyncDirection::Upload, &uploads).await;
    for mount in session.all_mounts() {
        mount.at_rest().await;
    }
    sleep(app.config.release_duration).await;
    internal::remove(&app, &session).await;
    session.advance(SessionStatus::Finished);
    remove_world(Arc::clone(&session)).await;
    sleep(app.config.finished_retention).await;
    app.sessions.remove(&session.id);
}

/// Ends a session at once and forgets it: its commands are ended, and nothing is uploaded.
pub(crate) async fn discard(app: &App, session: &Arc<Session>) {
    session.advance(SessionStatus::Deleting);
    drop(session.in_use.write().await);
    session.machine.end().await;
    // Its sync tasks give up; only what moves already goes on to its end.
    session.advance(SessionStatus::Finished);
    for mount in session.all_mounts() {
        mount.at_rest().await;
    }
    remove_world(Arc::clone(session)).await;
    app.sessions.remove(&session.id);
}

async fn remove_world(session: Arc<Session>) {
    let id = session.id.clone();
    match tokio::task::spawn_blocking(move || session.world.remove()).await {
        Ok(Ok(())) => {}
        // A release and a reset may have met.
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {}
        failed => tracing::warn!(
            session = id,
            ?failed,
            "the folder of an ended session was not removed"
        ),
    }
}

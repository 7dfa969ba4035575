//! A running emulator: its start, its end, and what a test asks of it.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Duration, sleep, timeout};

use crate::admin;
use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::fault::Faults;
use crate::http;
use crate::request_log::RecordedRequest;
use crate::reset::reset;
use crate::sandbox::{CommandEnd, CommandLimits, CommandSpec, Kind, Machine, Output};
use crate::storage::StorageError;
use crate::world::World;

/// How long the isolation check may take.
const CHECK_LIMIT: Duration = Duration::from_secs(10);
/// How long commands may take to end when the emulator stops.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// How long files that have had their time may stay on the disk. Nobody sees them meanwhile.
const RECYCLE_PAUSE: Duration = Duration::from_mins(1);

/// Why an emulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The temporary folder cannot be made.
    #[error("cannot make a temporary folder: {0}")]
    Folder(#[from] io::Error),
    /// The data directory cannot be used: another emulator has it, or its content cannot be read.
    #[error("cannot use the data directory {path}: {reason}")]
    DataDir {
        /// The directory that was asked for.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// A running emulator. It ends when it is stopped or dropped, and leaves nothing behind but its data directory, if it has one.
pub struct Emulator {
    address: SocketAddr,
    app: Arc<App>,
    servers: Vec<JoinHandle<()>>,
}

/// What the isolation check prints is nothing to anybody.
struct Unheard;

impl Output for Unheard {
    fn take(&mut self, _: Kind, _: &[u8]) {}
}

impl Emulator {
    /// Starts to serve. Once this returns, calls are answered.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let (listener, address) = listen(config.listen).await?;
        let admin = match config.admin_listen {
            Some(asked) => Some(listen(asked).await?),
            None => None,
        };
        let url = url_of(address);
        let admin_url = admin.as_ref().map(|(_, address)| url_of(*address));
        let data_dir = config.data_dir.clone();
        let app = tokio::task::spawn_blocking(move || App::create(config, url, admin_url))
            .await
            .map_err(io::Error::other)?;
        let app = Arc::new(app.map_err(|error| match (data_dir, error) {
            (None, StorageError::Io(error)) => StartError::Folder(error),
            (path, error) => StartError::DataDir {
                path: path.unwrap_or_default(),
                reason: error.to_string(),
            },
        })?);
        app.tasks.spawn(recycle(Arc::clone(&app)));
        let mut servers = vec![tokio::spawn(http::serve(listener, http::router(&app)))];
        if let Some((listener, _)) = admin {
            servers.push(tokio::spawn(http::serve(listener, admin::router(&app))));
        }
        Ok(Self {
            address,
            app,
            servers,
        })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL for callers on this machine, without a trailing slash.
    pub fn url(&self) -> String {
        self.app.url.clone()
    }

    /// The base URL of the admin API and its page, if it is served; see [`Config::admin_listen`].
    pub fn admin_url(&self) -> Option<&str> {
        self.app.admin_url.as_deref()
    }

    /// The script of faults.
    pub fn faults(&self) -> &Faults {
        &self.app.faults
    }

    /// The clock, which can be moved forward: by it, files are recycled, sessions end that are idle or have had their life, and
    /// presigned URLs expire.
    pub fn clock(&self) -> &Clock {
        &self.app.clock
    }

    /// Takes an API key back, and gives its owner another one, as when a key is rotated.
    pub fn rotate_key(&self, old: &str, new: &str) {
        self.app.owners.rotate(old, new);
    }

    /// The last requests, oldest first; see [`Config::request_log_capacity`].
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.app.requests.last()
    }

    /// How many requests there were for an operation, the last segment of the path: `SyncContext`,
    /// `createSession`, `mcp`.
    pub fn request_count(&self, operation: &str) -> u64 {
        self.app.requests.count(operation)
    }

    /// How many requests there were for each operation.
    pub fn request_counts(&self) -> BTreeMap<String, u64> {
        self.app.requests.counts()
    }

    /// Ends every session without its uploads, deletes every context, and forgets all faults and requests.
    pub async fn reset(&self) {
        reset(&self.app).await;
    }

    /// Runs an empty command in a world of its own. The error says why this host cannot isolate commands, and
    /// so will refuse all of them.
    pub async fn check_isolation(&self) -> Result<(), String> {
        let folder = self.app.sessions_folder().join("isolation-check");
        let owner = self.app.sandbox.file_owner();
        let world = tokio::task::spawn_blocking(move || World::create(folder, owner))
            .await
            .map_err(|error| error.to_string())?
            .map_err(|error| error.to_string())?;
        let machine = Machine::new(
            self.app.sandbox.clone(),
            world.folder(),
            "check",
            self.app.config.session_disk_bytes,
        );
        let spec = CommandSpec {
            program: "/bin/sh".to_owned(),
            arguments: vec!["-c".to_owned(), ":".to_owned()],
            working_directory: "/".to_owned(),
            ..CommandSpec::default()
        };
        let limits = CommandLimits {
            duration: CHECK_LIMIT,
            output_bytes: 0,
        };
        let end = machine
            .run(spec, limits, &mut Unheard, std::future::pending())
            .await;
        machine.end().await;
        // Left over at worst until the emulator ends.
        let _ = tokio::task::spawn_blocking(move || world.remove()).await;
        match end {
            Ok(CommandEnd::Exited { code: 0, .. }) => Ok(()),
            Ok(other) => Err(format!(
                "a command in a world of its own went wrong: {other:?}"
            )),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Ends every session's processes and all background work, and removes the temporary folder.
    pub async fn stop(mut self) {
        for server in &mut self.servers {
            server.abort();
            let _ = server.await;
        }
        // First the commands, each to its very end: what still writes would be in the way of the removal.
        let _ = timeout(STOP_GRACE, self.app.sessions.end_commands()).await;
        let mut tasks = self.app.tasks.stop();
        while tasks.join_next().await.is_some() {}
        // Last of all: the data directory is free for another emulator once this returns.
        let app = Arc::clone(&self.app);
        let _ = tokio::task::spawn_blocking(move || app.contexts.close()).await;
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        for server in &self.servers {
            server.abort();
        }
        // The tasks hold the rest; the last of them removes the folder when it goes.
        drop(self.app.tasks.stop());
    }
}

/// Removes files that have had their time: at the start, from time to time, and when the clock was moved.
async fn recycle(app: Arc<App>) {
    let mut clock = app.clock.moves();
    loop {
        let contexts = app.contexts.all();
        let swept = tokio::task::spawn_blocking(move || {
            for context in contexts {
                match context.recycle() {
                    Ok(0) => {}
                    Ok(files) => tracing::info!(context = context.id, files, "files were recycled"),
                    Err(error) => tracing::warn!(context = context.id, %error, "recycling failed"),
                }
            }
        });
        let _ = swept.await;
        tokio::select! {
            () = sleep(RECYCLE_PAUSE) => {}
            moved = clock.changed() => if moved.is_err() { return },
        }
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let listen_error = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen_error)?;
    let bound = listener.local_addr().map_err(listen_error)?;
    Ok((listener, bound))
}

fn url_of(address: SocketAddr) -> String {
    let mut reachable = address;
    if address.ip().is_unspecified() {
        reachable.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("http://{reachable}")
}

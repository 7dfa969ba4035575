//! The server's side of a world: it is made when it is first needed, takes requests until its session ends, and is
//! made anew when it has gone away meanwhile.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{Shutdown, shutdown};
use nix::unistd::geteuid;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::OUTER_ARGUMENT;
use super::guard::DiskGuard;
use super::protocol::{
    self, Kind, Order, OuterSpec, PREFIX_BYTES, Report, Request, SOCKET, WorldSpec,
};

/// The host user that sessions run as when the server is root: the customary `nobody`.
const UNPRIVILEGED_ID: u32 = 65_534;
/// How long a world may take to be made.
const START_LIMIT: Duration = Duration::from_secs(10);
/// How long a world may take to end after it was told to, before the outer helper is killed as well.
const END_GRACE: Duration = Duration::from_secs(2);

/// Knows how to make worlds.
#[derive(Debug, Clone)]
pub(crate) struct Sandbox {
    program: PathBuf,
    become_ids: Option<(u32, u32)>,
}

/// The machine that a session appears to be.
#[derive(Debug)]
pub(crate) struct Machine {
    sandbox: Sandbox,
    folder: PathBuf,
    hostname: String,
    guard: Arc<DiskGuard>,
    world: Mutex<Option<World>>,
}

/// A world that was made.
#[derive(Debug)]
struct World {
    /// The session's folder, held open: its path may be too long for a socket's.
    folder: File,
    /// Shutting it down is the order to end.
    control: Arc<UnixStream>,
    helper: Child,
    /// Ends with the world.
    _watch: AbortOnDropHandle<()>,
}

/// A connection to a worker that has its order.
#[derive(Debug)]
pub(super) struct Worker(pub(super) UnixStream);

/// The request was refused because this host cannot isolate it.
#[derive(Debug, thiserror::Error)]
#[error("this host cannot isolate commands, so none is run: {0}")]
pub(crate) struct CannotIsolate(pub(super) String);

impl Sandbox {
    pub(crate) fn new(program: Option<PathBuf>) -> Self {
        Self {
            program: program.unwrap_or_else(|| PathBuf::from("/proc/self/exe")),
            become_ids: geteuid()
                .is_root()
                .then_some((UNPRIVILEGED_ID, UNPRIVILEGED_ID)),
        }
    }

    /// The host user and group that must own a session's files; `None` when they are ours anyway.
    pub(crate) fn file_owner(&self) -> Option<(u32, u32)> {
        self.become_ids
    }
}

impl Machine {
    /// For the session whose folder is given; its files may take that many bytes.
    pub(crate) fn new(sandbox: Sandbox, folder: &Path, hostname: &str, disk_bytes: u64) -> Self {
        Self {
            sandbox,
            folder: folder.to_owned(),
            hostname: hostname.to_owned(),
            guard: Arc::new(DiskGuard::new(folder, disk_bytes)),
            world: Mutex::default(),
        }
    }

    /// How much of its disk the session has, and how much it uses, in bytes.
    pub(crate) async fn disk(&self) -> (u64, u64) {
        (self.guard.quota(), self.guard.measure().await)
    }

    /// Whether the session uses more of its disk than it has.
    pub(super) fn disk_is_full(&self) -> bool {
        self.guard.is_full()
    }

    pub(super) fn quota(&self) -> u64 {
        self.guard.quota()
    }

    /// Asks for a single answer of a file tool or of the metrics.
    pub(crate) async fn ask(
        &self,
        request: Request,
    ) -> Result<Result<String, String>, CannotIsolate> {
        let mut worker = self.open(request).await?;
        match worker.receive().await {
            Ok((Kind::Message, json)) => match protocol::decode(&json) {
                Ok(Report::Answer(answer)) => Ok(answer),
                Ok(Report::NotStarted(reason)) => Ok(Err(reason)),
                Ok(Report::CannotIsolate(reason)) => Err(CannotIsolate(reason)),
                other => Ok(Err(format!("an unexpected report: {other:?}"))),
            },
            Ok(_) => Ok(Err("an unexpected piece".to_owned())),
            Err(error) => Ok(Err(format!("the session gave no answer: {error}"))),
        }
    }

    /// Connects to a port on which something in the session listens; `Err` within says why it cannot.
    pub(crate) async fn connect(
        &self,
        port: u16,
    ) -> Result<Result<UnixStream, String>, CannotIsolate> {
        let mut worker = self.open(Request::Connect(port)).await?;
        match worker.receive().await {
            Ok((Kind::Message, json)) => match protocol::decode(&json) {
                Ok(Report::Connected) => Ok(Ok(worker.0)),
                Ok(Report::NotStarted(reason)) => Ok(Err(reason)),
                other => Ok(Err(format!("an unexpected report: {other:?}"))),
            },
            Ok(_) => Ok(Err("an unexpected piece".to_owned())),
            Err(error) => Ok(Err(format!("the session gave no answer: {error}"))),
        }
    }

    /// Hands a request to a worker of its own.
    pub(super) async fn open(&self, request: Request) -> Result<Worker, CannotIsolate> {
        let order = Order {
            file_bytes: self.guard.room().await,
            request,
        };
        let order = protocol::encode(&order).map_err(cannot_isolate)?;
        let mut world = self.world.lock().await;
        if let Some(present) = world.as_ref()
            && let Ok(mut connection) = present.connect().await
            && connection.write_all(&order).await.is_ok()
        {
            return Ok(Worker(connection));
        }
        if let Some(gone) = world.take() {
            gone.end().await;
        }
        let new = self.make_world().await?;
        let mut connection = new.connect().await.map_err(cannot_isolate)?;
        connection.write_all(&order).await.map_err(cannot_isolate)?;
        *world = Some(new);
        Ok(Worker(connection))
    }

    /// Ends every process of the session. The next request makes a new world.
    pub(crate) async fn end(&self) {
        // Held meanwhile, so that no new world is made beside the one that ends.
        let mut world = self.world.lock().await;
        if let Some(world) = world.take() {
            world.end().await;
        }
    }

    async fn make_world(&self) -> Result<World, CannotIsolate> {
        timeout(START_LIMIT, self.try_make_world())
            .await
            .unwrap_or_else(|_| Err(CannotIsolate("the world was not ready in time".to_owned())))
    }

    async fn try_make_world(&self) -> Result<World, CannotIsolate> {
        let folder = File::open(&self.folder).map_err(cannot_isolate)?;
        let (mut control, helper) = self.start_helper().map_err(cannot_isolate)?;
        match self.introduce(&mut control).await {
            Ok(Report::Ready) => {
                let (guard, control) = (Arc::clone(&self.guard), Arc::new(control));
                let watched = Arc::clone(&control);
                Ok(World {
                    folder,
                    control,
                    helper,
                    _watch: AbortOnDropHandle::new(tokio::spawn(async move {
                        guard.watch().await;
                        shut_down(&watched);
                    })),
                })
            }
            Ok(Report::CannotIsolate(reason)) => Err(CannotIsolate(reason)),
            Ok(other) => Err(CannotIsolate(format!("an unexpected report: {other:?}"))),
            Err(error) => Err(CannotIsolate(format!(
                "{} gave no report ({error}); its main must begin with agb_emulator::sandbox::run_if_asked()",
                self.sandbox.program.display()
            ))),
        }
    }

    fn start_helper(&self) -> io::Result<(UnixStream, Child)> {
        let (near, far) = StdUnixStream::pair()?;
        near.set_nonblocking(true)?;
        let helper = Command::new(&self.sandbox.program)
            .arg(OUTER_ARGUMENT)
            .current_dir(&self.folder)
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(far)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        Ok((UnixStream::from_std(near)?, helper))
    }

    async fn introduce(&self, control: &mut UnixStream) -> io::Result<Report> {
        let outer = OuterSpec {
            become_ids: self.sandbox.become_ids,
        };
        let world = WorldSpec {
            hostname: self.hostname.clone(),
        };
        control.write_all(&protocol::encode(&outer)?).await?;
        control.write_all(&protocol::encode(&world)?).await?;
        protocol::decode(&receive(control).await?.1)
    }
}

impl World {
    async fn connect(&self) -> io::Result<UnixStream> {
        UnixStream::connect(format!(
            "/proc/self/fd/{}/{SOCKET}",
            self.folder.as_raw_fd()
        ))
        .await
    }

    /// Returns when every process of the world is gone.
    async fn end(self) {
        let mut helper = self.helper;
        shut_down(&self.control);
        if timeout(END_GRACE, helper.wait()).await.is_err() {
            let _ = helper.kill().await;
        }
    }
}

impl Worker {
    /// The next piece.
    pub(super) async fn receive(&mut self) -> io::Result<(Kind, Vec<u8>)> {
        receive(&mut self.0).await
    }

    /// Tells the worker to end what it does, and waits until it has: until it closes its end.
    pub(super) async fn end(mut self) -> bool {
        let _ = self.0.shutdown().await;
        timeout(
            END_GRACE,
            tokio::io::copy(&mut self.0, &mut tokio::io::sink()),
        )
        .await
        .is_ok()
    }
}

/// The other side sees its end.
fn shut_down(control: &UnixStream) {
    // It fails only when the other side has gone already.
    let _ = shutdown(control.as_raw_fd(), Shutdown::Both);
}

async fn receive(stream: &mut UnixStream) -> io::Result<(Kind, Vec<u8>)> {
    let mut prefix = [0; PREFIX_BYTES];
    stream.read_exact(&mut prefix).await?;
    let (kind, length) = protocol::read_prefix(prefix)?;
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    Ok((kind, bytes))
}

fn cannot_isolate(error: impl std::fmt::Display) -> CannotIsolate {
    CannotIsolate(format!("starting the helper: {error}"))
}

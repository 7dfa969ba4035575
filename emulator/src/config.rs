//! What an emulator can be told before it starts.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// The settings of one emulator. `Config::default()` suits tests: a free port, any key, short delays.
#[derive(Clone)]
pub struct Config {
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Where contexts and their files are kept, so that they survive the emulator, and its sudden end. `None`: in a
    /// temporary folder that goes with it.
    pub data_dir: Option<PathBuf>,
    /// Where to serve the admin API and its page; port 0 picks a free one. `None`: nowhere. It asks for no key and
    /// shows what every key owns, so it belongs on loopback.
    pub admin_listen: Option<SocketAddr>,
    /// Keys that are accepted as bearer keys. Empty: every key is, and each owns what it makes.
    pub api_keys: Vec<String>,
    /// The program to re-execute for isolated commands; its `main` must begin with
    /// [`sandbox::run_if_asked`](crate::sandbox::run_if_asked). `None`: the running program.
    /// Test binaries have a `main` that is not ours and name another program here.
    pub sandbox_program: Option<PathBuf>,
    /// How far the clock is behind the system's when the emulator starts: what AGB dates is then so much older for its callers.
    pub clock_behind: Duration,
    /// How long a sync task takes at least.
    pub sync_duration: Duration,
    /// How much longer a sync task takes for each MiB that it moves.
    pub sync_duration_per_mib: Duration,
    /// How long after an accepted `SyncContext` its task shows in `GetContextInfo`. Until then only older
    /// tasks show, as with AGB.
    pub task_visibility_delay: Duration,
    /// How many of the latest tasks of one (context, path, task type) `GetContextInfo` shows; at least 1.
    pub task_history: usize,
    /// How long a context stays `clearing`, and as long again `pre-available`.
    pub clear_duration: Duration,
    /// How long a release takes at least, beside the uploads that precede it.
    pub release_duration: Duration,
    /// How long a released session still answers `FINISH` before it is not found.
    pub finished_retention: Duration,
    /// After how long without a call a session is released, unless its creation says otherwise.
    pub idle_timeout: Duration,
    /// After how long a session is released in any case.
    pub max_session_life: Duration,
    /// How long a presigned URL of a context file holds.
    pub presigned_url_life: Duration,
    /// How many bytes the files of one session may take on the disk.
    pub session_disk_bytes: u64,
    /// How many sessions may live at once; more are answered with `data.success: false`.
    pub max_sessions: usize,
    /// The longest that a command may run, whatever it asks for.
    pub max_command_duration: Duration,
    /// How many bytes of a command's stdout, and of its stderr, are kept. The rest is read and dropped.
    pub max_output_bytes: usize,
    /// The most that an archive from outside may come to when a download extracts it, in bytes. An archive that a sync packed
    /// may be as large as what was packed.
    pub max_unpacked_bytes: u64,
    /// The most files that such an archive may hold.
    pub max_unpacked_files: usize,
    /// The largest request body that is read, in bytes.
    pub max_request_bytes: usize,
    /// How many of the last requests [`Emulator::requests`](crate::Emulator::requests) remembers.
    pub request_log_capacity: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            data_dir: None,
            admin_listen: None,
            api_keys: Vec::new(),
            sandbox_program: None,
            clock_behind: Duration::ZERO,
            sync_duration: Duration::from_millis(300),
            sync_duration_per_mib: Duration::from_millis(5),
            task_visibility_delay: Duration::from_millis(50),
            task_history: 1,
            clear_duration: Duration::from_millis(150),
            release_duration: Duration::from_millis(100),
            finished_retention: Duration::from_secs(2),
            idle_timeout: Duration::from_mins(5),
            max_session_life: Duration::from_mins(30),
            presigned_url_life: Duration::from_hours(1),
            session_disk_bytes: 20 * 1024 * 1024 * 1024,
            max_sessions: 100,
            max_command_duration: Duration::from_mins(15),
            max_output_bytes: 1024 * 1024,
            max_unpacked_bytes: 4 * 1024 * 1024 * 1024,
            max_unpacked_files: 100_000,
            max_request_bytes: 16 * 1024 * 1024,
            request_log_capacity: 1000,
        }
    }
}

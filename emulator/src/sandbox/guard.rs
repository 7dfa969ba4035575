//! Keeps a session within its disk. Without root there is no quota of the file system's own, so: no file can be
//! made longer than what is left (the kernel refuses it), and the whole is measured while the session's processes run.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::time::{Duration, Instant, sleep};

use super::disk;

/// How often a running world is measured.
const PACE: Duration = Duration::from_millis(250);
/// Measuring may take this share of the time at most, however many files there are.
const SHARE: u32 = 10;
/// How far over its quota a session may be before its processes are ended: folders and the ends of blocks cost more
/// than a process can know.
const GRACE_BYTES: u64 = 1024 * 1024;

const NEVER: u64 = u64::MAX;

/// The disk of one session.
#[derive(Debug)]
pub(super) struct DiskGuard {
    folder: PathBuf,
    quota: u64,
    /// `NEVER` until it is measured.
    used: AtomicU64,
    full: AtomicBool,
}

impl DiskGuard {
    pub(super) fn new(folder: &Path, quota: u64) -> Self {
        Self {
            folder: folder.to_owned(),
            quota,
            used: AtomicU64::new(NEVER),
            full: AtomicBool::new(false),
        }
    }

    pub(super) fn quota(&self) -> u64 {
        self.quota
    }

    /// Whether the last measure was too much.
    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// How many bytes the next request may add. What was full is measured anew: it may have been cleaned up.
    pub(super) async fn room(&self) -> u64 {
        let mut used = self.used.load(Ordering::Relaxed);
        if self.is_full() || used == NEVER {
            used = self.measure().await;
        }
        self.quota.saturating_sub(used)
    }

    pub(super) async fn measure(&self) -> u64 {
        let folder = self.folder.clone();
        let used = tokio::task::spawn_blocking(move || disk::usage(&folder))
            .await
            .unwrap_or(0);
        self.used.store(used, Ordering::Relaxed);
        self.full.store(used > self.quota, Ordering::Relaxed);
        used
    }

    /// Returns when the session has come to use more than it has. One that is over already may go on as long as
    /// it grows no further than by what an empty file or a folder costs, so that it can be cleaned up.
    pub(super) async fn watch(&self) {
        let most = self.quota.saturating_add(GRACE_BYTES);
        let mut allowed = most.max(self.measure().await.saturating_add(GRACE_BYTES));
        loop {
            let began = Instant::now();
            let used = self.measure().await;
            if used > allowed {
                return;
            }
            allowed = most.max(allowed.min(used.saturating_add(GRACE_BYTES)));
            sleep(PACE.max(began.elapsed() * SHARE)).await;
        }
    }
}

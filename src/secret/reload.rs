//! Files that are read again when they change: keys, certificates, tokens.
//!
//! Their content is compared, and not their times or names, so that every way to change a file is seen: written in place,
//! renamed over, or swapped by a symlink further up, as Kubernetes does with mounted secrets.

use std::fmt;
use std::mem;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use opentelemetry::KeyValue;
use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, MissedTickBehavior};

use crate::telemetry::Telemetry;

/// How often files are looked at, and who hears of what has changed.
#[derive(Clone, Debug)]
pub struct Looking {
    /// How long between two looks.
    pub interval: Duration,
    /// Who hears of it.
    pub telemetry: Telemetry,
}

/// A value that is made from files, and made anew when they change. Clones share it.
pub struct Reloaded<T> {
    value: watch::Receiver<Arc<T>>,
    source: Option<Arc<Mutex<Source<T>>>>,
}

impl<T: Send + Sync + 'static> Reloaded<T> {
    /// A value that stays.
    pub fn fixed(value: T) -> Self {
        Self {
            value: watch::channel(Arc::new(value)).1,
            source: None,
        }
    }

    /// Reads the files now, and again and again for as long as somebody holds the value. `make` gets their contents in
    /// the order of the paths. What it refuses at the start is the error; what it refuses later is logged under `name`, and the
    /// value before it stays. Its error must not repeat a secret.
    pub async fn watch(
        name: impl Into<String>,
        paths: Vec<PathBuf>,
        looking: Looking,
        mut make: impl FnMut(&[Vec<u8>]) -> Result<T, String> + Send + 'static,
    ) -> Result<Self, String> {
        let contents = read(&paths).await?;
        let (sender, value) = watch::channel(Arc::new(make(&contents)?));
        let source = Arc::new(Mutex::new(Source {
            name: name.into(),
            paths,
            seen: digests(&contents),
            looked: Instant::now(),
            is_missing: false,
            make: Box::new(make),
            sender,
            telemetry: looking.telemetry,
        }));
        tokio::spawn(look_regularly(Arc::downgrade(&source), looking.interval));
        Ok(Self {
            value,
            source: Some(source),
        })
    }

    /// The value as it is now.
    pub fn current(&self) -> Arc<T> {
        self.value.borrow().clone()
    }

    /// The value as the files have it now, unless they were read after `since` anyway: for who has learned from elsewhere that
    /// the value is of yesterday.
    pub async fn refreshed(&self, since: Instant) -> Arc<T> {
        if let Some(source) = &self.source {
            let mut source = source.lock().await;
            if source.looked <= since {
                source.look().await;
            }
        }
        self.current()
    }
}

impl<T> Clone for Reloaded<T> {
    fn clone(&self) -> Self {
        Self {
            value: self.value.clone(),
            source: self.source.clone(),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Reloaded<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.borrow().fmt(formatter)
    }
}

type Make<T> = dyn FnMut(&[Vec<u8>]) -> Result<T, String> + Send;

struct Source<T> {
    name: String,
    paths: Vec<PathBuf>,
    seen: Vec<[u8; 32]>,
    looked: Instant,
    is_missing: bool,
    make: Box<Make<T>>,
    sender: watch::Sender<Arc<T>>,
    telemetry: Telemetry,
}

impl<T> Source<T> {
    async fn look(&mut self) {
        let name = &self.name;
        self.looked = Instant::now();
        let contents = match read(&self.paths).await {
            Ok(contents) => contents,
            Err(error) => {
                tracing::warn!(name, error, "could not be read again; the old one stays");
                // A file that is being replaced is gone for a moment; the next look tells.
                if mem::replace(&mut self.is_missing, true) {
                    self.count("failed");
                }
                return;
            }
        };
        self.is_missing = false;
        let digests = digests(&contents);
        if digests == self.seen {
            return;
        }
        self.seen = digests;
        let made = (self.make)(&contents);
        self.count(if made.is_ok() { "changed" } else { "failed" });
        match made {
            Ok(value) => {
                self.sender.send_replace(Arc::new(value));
                tracing::info!(name, "read again");
            }
            Err(error) => tracing::error!(name, error, "is not valid; the old one stays"),
        }
    }

    fn count(&self, outcome: &'static str) {
        let attributes = [
            KeyValue::new("agb_gateway.secret", self.name.clone()),
            KeyValue::new("agb_gateway.outcome", outcome),
        ];
        let reloads = &self.telemetry.instruments().secret_reloads;
        reloads.add(1, &attributes);
    }
}

async fn look_regularly<T: Send + Sync + 'static>(
    source: Weak<Mutex<Source<T>>>,
    interval: Duration,
) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let Some(source) = source.upgrade() else {
            return;
        };
        source.lock().await.look().await;
    }
}

async fn read(paths: &[PathBuf]) -> Result<Vec<Vec<u8>>, String> {
    let mut contents = Vec::with_capacity(paths.len());
    for path in paths {
        let content = tokio::fs::read(path).await;
        contents.push(content.map_err(|error| format!("{}: {error}", path.display()))?);
    }
    Ok(contents)
}

fn digests(contents: &[Vec<u8>]) -> Vec<[u8; 32]> {
    contents
        .iter()
        .map(|content| Sha256::digest(content).into())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn often() -> Looking {
        every(Duration::from_millis(1))
    }

    fn every(interval: Duration) -> Looking {
        Looking {
            interval,
            telemetry: Telemetry::off(),
        }
    }

    fn number(contents: &[Vec<u8>]) -> Result<u32, String> {
        let text = String::from_utf8_lossy(&contents[0]);
        text.trim().parse().map_err(|_| "no number".to_owned())
    }

    async fn becomes(reloaded: &mut Reloaded<u32>, expected: u32) {
        let waited = reloaded.value.wait_for(|value| **value == expected);
        let waited = tokio::time::timeout(Duration::from_secs(10), waited).await;
        assert!(waited.is_ok(), "never became {expected}");
    }

    #[tokio::test]
    async fn what_kubernetes_swaps_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (version, content) in [("v1", "1"), ("v2", "2")] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("key"), content).unwrap();
        }
        symlink("v1", at("..data")).unwrap();
        symlink("..data/key", at("key")).unwrap();
        let mut reloaded = Reloaded::watch("key", vec![at("key")], often(), number)
            .await
            .unwrap();
        assert_eq!(*reloaded.current(), 1);

        symlink("v2", at("..new")).unwrap();
        fs::rename(at("..new"), at("..data")).unwrap();
        becomes(&mut reloaded, 2).await;
    }

    #[tokio::test]
    async fn what_is_not_valid_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let missing = Reloaded::watch("key", vec![path.clone()], often(), number).await;
        assert!(missing.is_err());
        fs::write(&path, "x").unwrap();
        let refused = Reloaded::watch("key", vec![path.clone()], often(), number).await;
        assert_eq!(refused.err().as_deref(), Some("no number"));

        fs::write(&path, "1").unwrap();
        let (counter, mut tries) = watch::channel(0);
        let make = move |contents: &[Vec<u8>]| {
            counter.send_modify(|tries| *tries += 1);
            number(contents)
        };
        let mut reloaded = Reloaded::watch("key", vec![path.clone()], often(), make)
            .await
            .unwrap();
        fs::write(&path, "x").unwrap();
        tries.wait_for(|tries| *tries >= 2).await.unwrap();
        assert_eq!(*reloaded.current(), 1);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "3").unwrap();
        becomes(&mut reloaded, 3).await;
    }

    #[tokio::test]
    async fn who_knows_better_need_not_wait_for_the_next_look() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "1").unwrap();
        let never = every(Duration::from_hours(1));
        let reloaded = Reloaded::watch("key", vec![path.clone()], never, number)
            .await
            .unwrap();
        fs::write(&path, "2").unwrap();
        assert_eq!(*reloaded.current(), 1);
        let before = Instant::now();
        assert_eq!(*reloaded.refreshed(before).await, 2);
        fs::write(&path, "3").unwrap();
        assert_eq!(*reloaded.refreshed(before).await, 2, "it was read since");
    }
}

//! Where an issuer's keys come from, and how they stay current.

use std::path::PathBuf;
use std::time::Duration;

use jsonwebtoken::DecodingKey;
use opentelemetry::KeyValue;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use super::keys::{Algorithm, Found, Keys};
use super::{IssuerSettings, fetch};
use crate::secret::{Looking, Reloaded};
use crate::telemetry::Telemetry;

/// How long until keys are fetched again after that has failed, where the refresh is not sooner anyway.
const AFTER_FAILURE: Duration = Duration::from_secs(10);

/// Where an issuer's keys are.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// In a file, which is read again when it changes.
    File(PathBuf),
    /// At a URL.
    Url(RemoteKeys),
}

/// A JWKS at a URL.
#[derive(Clone, Debug)]
pub struct RemoteKeys {
    /// Where it is: `https`, or `http` on loopback.
    pub url: String,
    /// The CAs to trust instead of the system's, as PEM.
    pub ca_file: Option<PathBuf>,
    /// The bearer token to send, as Kubernetes' API server asks for.
    pub bearer_token_file: Option<PathBuf>,
    /// How often keys are fetched: 1 s to 1 day. Default: 10 min.
    pub refresh: Duration,
    /// How long after a fetch the next one is made for a key that is not known: 10 ms to 1 h. Default: 30 s.
    pub unknown_key_pause: Duration,
    /// How long a fetch may take: 100 ms to 1 min. Default: 5 s.
    pub timeout: Duration,
}

/// Keys that stay current.
#[derive(Debug)]
pub(super) enum Source {
    File(Reloaded<Keys>),
    Url(Remote),
}

/// Keys that a task fetches for as long as this is held.
#[derive(Debug)]
pub(super) struct Remote {
    state: watch::Receiver<State>,
    wanted: mpsc::Sender<()>,
    settings: RemoteKeys,
}

#[derive(Debug, Default)]
struct State {
    /// Those of the last fetch that succeeded.
    keys: Option<Keys>,
    fetches: u64,
    last: Option<Instant>,
}

impl Source {
    /// Reads a file, which must be there; a URL may be down.
    pub(super) async fn start(issuer: &IssuerSettings, looking: Looking) -> Result<Self, String> {
        match &issuer.keys {
            KeySource::File(path) => {
                let make = |contents: &[Vec<u8>]| Keys::parse(&contents[0]);
                let paths = vec![path.clone()];
                let keys = Reloaded::watch("JWKS", paths, looking, make).await;
                let named = |error| format!("{}: {error}", path.display());
                Ok(Self::File(keys.map_err(named)?))
            }
            KeySource::Url(remote) => {
                let counting = Counting {
                    issuer: issuer.name.clone(),
                    telemetry: looking.telemetry,
                };
                Ok(Self::Url(Remote::start(remote.clone(), counting)))
            }
        }
    }

    /// The key that a token names.
    pub(super) async fn key(&self, id: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
        let found = match self {
            Self::File(keys) => keys.current().find(id, algorithm),
            Self::Url(remote) => remote.find(id, algorithm).await,
        };
        match found {
            Found::Key(key) => Some(*key),
            Found::Unfit | Found::Unknown => None,
        }
    }
}

impl Remote {
    fn start(settings: RemoteKeys, counting: Counting) -> Self {
        let (sender, state) = watch::channel(State::default());
        let (wanted, wishes) = mpsc::channel(1);
        tokio::spawn(keep_current(settings.clone(), counting, sender, wishes));
        Self {
            state,
            wanted,
            settings,
        }
    }

    /// A key that is not known may be new: then the keys are fetched, unless they just were, and all who ask wait for the same fetch.
    async fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Found {
        let mut state = self.state.clone();
        let seen = {
            let now = state.borrow_and_update();
            let found = now.find(id, algorithm);
            let is_fresh = now
                .last
                .is_some_and(|last| last.elapsed() < self.settings.unknown_key_pause);
            if is_fresh || !matches!(found, Found::Unknown) {
                return found;
            }
            now.fetches
        };
        // When it is full, somebody else has asked.
        let _ = self.wanted.try_send(());
        let fetched = state.wait_for(|now| now.fetches > seen);
        match timeout(self.settings.timeout, fetched).await {
            Ok(Ok(now)) => now.find(id, algorithm),
            Ok(Err(_)) | Err(_) => Found::Unknown,
        }
    }
}

impl State {
    fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Found {
        match &self.keys {
            Some(keys) => keys.find(id, algorithm),
            None => Found::Unknown,
        }
    }
}

/// Counts the fetches of an issuer's keys.
struct Counting {
    issuer: String,
    telemetry: Telemetry,
}

impl Counting {
    fn count(&self, outcome: &'static str) {
        let attributes = [
            KeyValue::new("agb_gateway.issuer", self.issuer.clone()),
            KeyValue::new("agb_gateway.outcome", outcome),
        ];
        let fetches = &self.telemetry.instruments().jwks_fetches;
        fetches.add(1, &attributes);
    }
}

/// Fetches again and again, until nobody holds the keys any more.
async fn keep_current(
    settings: RemoteKeys,
    counting: Counting,
    sender: watch::Sender<State>,
    mut wishes: mpsc::Receiver<()>,
) {
    loop {
        let fetched = tokio::select! {
            () = sender.closed() => return,
            fetched = fetch::keys(&settings) => fetched,
        };
        let pause = match &fetched {
            Ok(_) => settings.refresh,
            Err(_) => settings.refresh.min(AFTER_FAILURE),
        };
        let url = &settings.url;
        match &fetched {
            Ok(_) => {
                counting.count("fetched");
                tracing::debug!(url, "the keys of JWTs were fetched");
            }
            Err(error) => {
                counting.count("failed");
                tracing::warn!(url, error, "the keys of JWTs could not be fetched");
            }
        }
        sender.send_modify(|state| {
            state.keys = fetched.ok().or_else(|| state.keys.take());
            state.fetches += 1;
            state.last = Some(Instant::now());
        });
        // A wish from before this fetch costs one more at worst.
        let asked_for = async {
            sleep(settings.unknown_key_pause).await;
            wishes.recv().await
        };
        tokio::select! {
            () = sender.closed() => return,
            () = sleep(pause) => {}
            _ = asked_for => {}
        }
    }
}

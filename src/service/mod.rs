//! The gRPC services, one file each: translate a request, call, translate the answer. They have no policy of their own.
//!
//! A trait method is thin: it takes the deadline out of the request and calls a plain function that can be read alone.

pub mod background;
mod context;
mod incoming;
mod mapping_policy;
mod page_token;
mod scope;
mod session;
mod shell;
mod sync;
mod sync_policy;
mod translate;
mod walk;

use std::collections::BTreeMap;
use std::sync::Arc;

use tonic::{Request, Status};

use crate::agb::{Client, Tools};
use crate::creation::Creations;
use crate::domain::{Limits, Preset};
use crate::resilience::{Deadline, Pace};
use crate::status::Failure;
use crate::sync::Syncs;
use crate::telemetry::Telemetry;
use background::Background;

pub use context::ContextService;
pub use mapping_policy::MappingPolicyService;
pub use page_token::PageTokens;
pub use scope::Owned;
pub use session::SessionService;
pub use sync::SyncService;
pub use sync_policy::SyncPolicyService;
pub(crate) use translate::{duration, timestamp, to_struct};

/// What the services work with.
#[derive(Clone, Debug)]
pub struct Backend {
    /// Calls AGB.
    pub client: Client,
    /// Calls tools in sessions.
    pub tools: Tools,
    /// Work that outlives its caller.
    pub background: Background,
    /// Creates sessions.
    pub creations: Creations,
    /// Starts and follows syncs.
    pub syncs: Syncs,
    /// How soon to look again whether a session is gone, or a context cleared.
    pub pace: Pace,
    /// How many files and folders of a context one call looks at.
    pub max_walk_entries: usize,
    /// Writes and reads page tokens.
    pub page_tokens: PageTokens,
    /// How much callers may ask for.
    pub limits: Limits,
    /// Which sessions are whose, where rules fix labels.
    pub owned: Owned,
    /// The presets of the configuration, by name.
    pub presets: Arc<BTreeMap<String, Preset>>,
    /// Who hears of what happens.
    pub telemetry: Telemetry,
}

/// The answers of a streaming RPC.
type BoxStream<T> = futures_util::stream::BoxStream<'static, Result<T, Status>>;

/// The deadline that the deadline layer has put into the request.
fn deadline<T>(request: &Request<T>) -> Result<Deadline, Status> {
    request
        .extensions()
        .get::<Deadline>()
        .copied()
        .ok_or_else(|| Failure::Internal("the deadline layer is missing").into())
}

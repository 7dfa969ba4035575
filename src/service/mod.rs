//! The gRPC services, one file each: translate a request, call, translate the answer. They have no policy of their own.
//!
//! A trait method is thin: it takes the deadline out of the request and calls a plain function that can be read alone.

mod context;
mod mapping_policy;
mod page_token;
mod session;
mod sync;
mod sync_policy;
mod translate;

use tonic::Request;

use crate::agb::Client;
use crate::resilience::Deadline;
use crate::sync::Syncs;

pub use context::ContextService;
pub use mapping_policy::MappingPolicyService;
pub use session::SessionService;
pub use sync::SyncService;
pub use sync_policy::SyncPolicyService;

/// What the services work with.
#[derive(Clone, Debug)]
pub struct Backend {
    /// Calls AGB.
    pub client: Client,
    /// Starts and follows syncs.
    pub syncs: Syncs,
    /// How soon to look again whether a session is gone.
    pub release_pace: crate::resilience::Pace,
}

/// The deadline that the deadline layer has put into the request.
fn deadline<T>(request: &Request<T>) -> Result<Deadline, tonic::Status> {
    request
        .extensions()
        .get::<Deadline>()
        .copied()
        .ok_or_else(|| tonic::Status::internal("the deadline layer is missing"))
}

//! Sessions: isolated environments that come and go.

mod internal;
mod lifecycle;
mod state;
mod store;

pub(crate) use internal::load as load_internal;
pub(crate) use lifecycle::{CreateRequest, create, discard, release};
pub(crate) use state::{Session, SessionStatus};
pub(crate) use store::Sessions;

//! Who calls, and what they may do: from the credentials of a call to a [`Caller`], or to a refusal.
//!
//! [`Guard::admit`] is the one way in. Credentials that are there and not accepted are the end: no weaker way is tried then.
//! It knows nothing of gRPC's statuses (`status` does), and nothing of what a tenant is beyond its name.

mod caller;
mod guard;
mod jwt;
mod pattern;
mod peer;
mod quota;
mod refusal;
mod rights;
mod rules;
mod settings;
mod token;

pub use caller::{Caller, TenantRef};
pub use guard::{Guard, KEY_HEADER};
pub use jwt::{Algorithm, IssuerSettings, KeySource, RemoteKeys};
pub use pattern::Pattern;
pub use peer::Peer;
pub use quota::QuotaSettings;
pub use refusal::{Credentials, Denied, Refusal};
pub use rights::{Right, Rights, right_for, rights_by_path};
pub use rules::Rule;
pub use settings::{AuthConfig, DEFAULT_TENANT, Method};
pub use token::{NewToken, principal_name};

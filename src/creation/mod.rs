//! What a session goes through from AGB's creation of it until a caller has it: made once, chosen once, handed over, or released.
//!
//! AGB takes no key that makes a creation safe to repeat. The only thing that happens together with a creation is that labels are
//! put on the session, so everything rests on labels of the gateway's own ([`Stamp`]): who made it, for which `request_id`, until
//! when it is nobody's to touch, and a proof that a gateway of this account wrote all that. [`decide`] is the rule, a pure
//! function; [`Creations`] acts on it, and [`Sweeper`] releases what nobody handed over. What is guaranteed, under which
//! assumptions, is in `docs/idempotency.md`. Nothing here knows gRPC.

mod acquire;
mod creations;
mod decide;
mod flight;
mod reconcile;
mod stamp;
mod sweeper;
mod told;
mod upstream;

pub use creations::{Clock, Creations, Error, Request, Settings};
pub use decide::{Seen, Step, Timing, decide};
pub use flight::{Claimed, Flight};
pub use reconcile::Made;
pub use stamp::{Claim, Keys, Parameters, Phase, Stamp};
pub use sweeper::{Sweep, Sweeper};
pub use told::Told;
pub use upstream::{LabelMap, Listed, Upstream};

//! Archives: how a sync packs files into one, and how it unpacks one that it cannot trust.
//!
//! They are zip archives. What is where in a session or a context is not known here.

mod pack;
mod unpack;

pub(crate) use pack::Packer;
pub(crate) use unpack::{Limits, Member, Trust, Unpacker};

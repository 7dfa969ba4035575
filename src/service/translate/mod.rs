//! Between protobuf messages and domain types. Wrong fields are collected, not thrown.

mod answer;
mod field;
mod json;
mod sync_policy;

pub(crate) use answer::timestamp;
pub(crate) use field::duration;
pub(super) use field::{choice, duration_up_to, identifier, name, sole_identifier};
pub(super) use json::from_struct;
pub(crate) use json::to_struct;
pub(super) use sync_policy::preset_with;

//! Between protobuf messages and domain types. Wrong fields are collected, not thrown.

mod answer;
mod field;
mod json;
mod sync_policy;

pub(super) use answer::timestamp;
pub(super) use field::{choice, duration, duration_up_to, identifier, name, sole_identifier};
pub(super) use json::{from_struct, to_struct};
pub(super) use sync_policy::preset_with;

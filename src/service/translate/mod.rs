//! Between protobuf messages and domain types. Wrong fields are collected, not thrown.

mod answer;
mod field;
mod sync_policy;

pub(super) use field::{choice, duration, identifier, name};
pub(super) use sync_policy::sync_policy;

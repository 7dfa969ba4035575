//! The user and group of a new user namespace.

use std::fs;
use std::io;

/// Maps `inside` to `outside`, for the user and the group, in the namespace that the process just made.
pub(super) fn write(inside: u32, outside_user: u32, outside_group: u32) -> io::Result<()> {
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{inside} {outside_user} 1"))?;
    fs::write("/proc/self/gid_map", format!("{inside} {outside_group} 1"))
}

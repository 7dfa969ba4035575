//! What each RPC needs: a table with one row for each, which `tests/rights.rs` holds to the protos.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

/// What a caller may do. A role of the configuration bears the name of the right that it gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Calls that change nothing: what there is, how it is, and what files hold.
    Read,
    /// Create, use and delete sessions: commands, code, tools, files, syncs, and links into them.
    Sessions,
    /// Create, change, clear and delete contexts, and their files.
    Contexts,
    /// Everything.
    Admin,
}

impl Right {
    /// Every right.
    pub const ALL: [Self; 4] = [Self::Read, Self::Sessions, Self::Contexts, Self::Admin];

    /// The name, as it stands in the configuration and in errors.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Sessions => "sessions",
            Self::Contexts => "contexts",
            Self::Admin => "admin",
        }
    }

    /// The right of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|right| right.name() == name)
    }
}

impl fmt::Display for Right {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A set of rights.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights(Vec<Right>);

impl Rights {
    /// These rights.
    pub fn new(rights: impl IntoIterator<Item = Right>) -> Self {
        Self(rights.into_iter().collect())
    }

    /// Every right.
    pub fn all() -> Self {
        Self::new([Right::Admin])
    }

    /// Whether they cover a right; `admin` covers each.
    pub fn cover(&self, right: Right) -> bool {
        self.0.contains(&right) || self.0.contains(&Right::Admin)
    }
}

/// The right that the method of a path needs; `None` when there is no such method.
pub fn right_for(path: &str) -> Option<Right> {
    BY_PATH.get(path).copied()
}

/// Every row: the path of a method, and the right that it needs.
pub fn rights_by_path() -> impl Iterator<Item = (String, Right)> {
    TABLE.iter().flat_map(|(service, rows)| {
        rows.iter()
            .map(move |(method, right)| (format!("/agb.gateway.v1.{service}/{method}"), *right))
    })
}

static BY_PATH: LazyLock<BTreeMap<String, Right>> = LazyLock::new(|| rights_by_path().collect());

type Rows = &'static [(&'static str, Right)];

/// A link into a session changes nothing itself, but whoever has it can: so that is no `Read`, and neither is a URL to upload to.
const TABLE: &[(&str, Rows)] = &[
    (
        "ContextService",
        &[
            ("GetContext", Right::Read),
            ("CreateContext", Right::Contexts),
            ("ListContexts", Right::Read),
            ("UpdateContext", Right::Contexts),
            ("DeleteContext", Right::Contexts),
            ("ClearContext", Right::Contexts),
            ("ListContextFiles", Right::Read),
            ("DeleteContextFile", Right::Contexts),
            ("CreateUploadUrl", Right::Contexts),
            ("CreateDownloadUrl", Right::Read),
            ("UploadContextFile", Right::Contexts),
            ("DownloadContextFile", Right::Read),
        ],
    ),
    (
        "SessionService",
        &[
            ("CreateSession", Right::Sessions),
            ("GetSession", Right::Read),
            ("ListSessions", Right::Read),
            ("DeleteSession", Right::Sessions),
            ("KeepSessionAlive", Right::Sessions),
            ("SetSessionLabels", Right::Sessions),
            ("GetSessionLabels", Right::Read),
            ("ExecuteCommand", Right::Sessions),
            ("RunCode", Right::Sessions),
            ("ListTools", Right::Read),
            ("CallTool", Right::Sessions),
            ("ReadFile", Right::Read),
            ("WriteFile", Right::Sessions),
            ("ListDirectory", Right::Read),
            ("GetSessionLink", Right::Sessions),
            ("GetCdpLink", Right::Sessions),
            ("GetSessionMetrics", Right::Read),
            ("GetSessionResource", Right::Sessions),
            ("InitBrowser", Right::Sessions),
            ("LoadInternalContexts", Right::Sessions),
        ],
    ),
    (
        "SyncService",
        &[
            ("SyncContexts", Right::Sessions),
            ("GetSyncStatus", Right::Read),
            ("WaitForSync", Right::Read),
            ("WatchSync", Right::Read),
        ],
    ),
    (
        "SyncPolicyService",
        &[
            ("GetDefaultSyncPolicy", Right::Read),
            ("ListSyncPolicies", Right::Read),
            ("GetSyncPolicy", Right::Read),
            ("ValidateSyncPolicy", Right::Read),
        ],
    ),
    (
        "MappingPolicyService",
        &[
            ("ResolveMapping", Right::Read),
            ("InspectMapping", Right::Read),
            ("VerifyMapping", Right::Read),
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_covers_itself_and_admin_everything() {
        for held in Right::ALL {
            assert_eq!(Right::of_name(held.name()), Some(held));
            for needed in Right::ALL {
                let covers = Rights::new([held]).cover(needed);
                assert_eq!(covers, held == needed || held == Right::Admin);
            }
        }
        assert!(!Rights::default().cover(Right::Read));
    }
}

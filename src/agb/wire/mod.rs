//! AGB's messages as they are on the wire: requests, the envelope around answers, and the data inside.
//!
//! Every type mirrors AGB's words; nothing here decides anything. What the words mean to the gateway is said in the
//! conversions to `domain` types.

mod context;
mod envelope;
mod policy;
mod session;
mod sync;
mod time;
mod tool;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::operation::Operation;

pub use context::{
    ClearContext, ContextData, ContextFileData, DeleteContext, DeleteContextFile,
    DescribeContextFiles, FileUrlData, GetContext, GetContextFileDownloadUrl,
    GetContextFileUploadUrl, ListContexts, ModifyContext,
};
pub use envelope::{Envelope, Page};
pub use policy::policy_text;
pub use session::{
    CreateSession, CreatedSessionData, DesktopInfoData, GetAndLoadInternalContext, GetCdpLink,
    GetLabel, GetLink, GetLinkedSession, GetMcpResource, GetSession, GetSessionInfo, InitBrowser,
    InitBrowserData, InternalContextData, LabelData, LinkData, LinkedSessionData, ListSession,
    ListedSessionData, PersistenceData, RefreshSessionIdleTime, ReleaseSession,
    ReleaseSessionAsync, ResourceData, SessionData, SessionInfoData, SetLabel, label_text,
};
pub use sync::{ContextInfoData, GetContextInfo, SyncContext};
pub use time::timestamp;
pub use tool::{
    CallTool, CallToolDirect, ListTools, ListedTool, ShellOutput, ToolContent, ToolResult,
    direct_tool_result, tool_servers,
};

/// A request of one operation: its parameters by AGB's names. What is `None` is left out.
pub trait Call: Serialize {
    /// The row of the table.
    const OPERATION: &'static Operation;
    /// What the envelope's `data` holds.
    type Data: DeserializeOwned;
}

/// The `data` of operations that answer nothing more than success; whatever stands there is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoData;

impl<'de> Deserialize<'de> for NoData {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_ignored| Self)
    }
}

/// Reads a null as the type's default: AGB writes null where it has nothing to say.
fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads a text that nothing depends on: a number is written out, and anything else is empty. A session that was created must
/// not be lost because something beside its id has another shape.
fn lenient<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => text,
        serde_json::Value::Number(number) => number.to_string(),
        _ => String::new(),
    })
}

/// Declares which row of the table a request belongs to.
macro_rules! call {
    ($request:ident $(<$lifetime:lifetime>)? => $operation:ident, $data:ty) => {
        impl $crate::agb::wire::Call for $request $(<$lifetime>)? {
            const OPERATION: &'static $crate::agb::operation::Operation =
                &$crate::agb::operation::$operation;
            type Data = $data;
        }
    };
}
use call;

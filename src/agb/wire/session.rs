//! Sessions.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{NoData, call, lenient, nullable};
use crate::domain::{Session, SessionState};

/// Creates a session.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateSession {
    /// The image.
    pub image_id: String,
    /// The labels as JSON text.
    pub labels: Option<String>,
    /// The contexts to mount.
    pub persistence_data_list: Option<Vec<PersistenceData>>,
    /// AGB's id of a session policy.
    pub mcp_policy_id: Option<String>,
    /// After how many idle seconds the session is released.
    pub timeout: Option<u64>,
}
call!(CreateSession => CREATE_SESSION, CreatedSessionData);

/// A context to mount.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PersistenceData {
    /// AGB's id of the context.
    pub context_id: String,
    /// Where to mount it.
    pub path: String,
    /// The policy as JSON text.
    pub policy: String,
}

macro_rules! session_requests {
    ($($(#[$doc:meta])* $request:ident => $operation:ident, $data:ty;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Serialize)]
            #[serde(rename_all = "camelCase")]
            pub struct $request<'a> {
                /// AGB's id of the session.
                pub session_id: &'a str,
            }
            call!($request<'_> => $operation, $data);
        )*
    };
}

session_requests! {
    /// Asks for a session.
    GetSession => GET_SESSION, SessionData;
    /// The same, with the way to its tools.
    GetLinkedSession => GET_SESSION, LinkedSessionData;
    /// Asks for the status of a session.
    GetSessionInfo => GET_SESSION_INFO, SessionInfoData;
    /// Releases a session; asynchronous.
    ReleaseSessionAsync => RELEASE_SESSION_ASYNC, NoData;
    /// Releases a session; the older call.
    ReleaseSession => RELEASE_SESSION, NoData;
    /// Resets the idle timer.
    RefreshSessionIdleTime => REFRESH_SESSION_IDLE_TIME, NoData;
    /// Asks for the link to the browser's debugging protocol.
    GetCdpLink => GET_CDP_LINK, LinkData;
    /// Asks how to connect to the desktop.
    GetMcpResource => GET_MCP_RESOURCE, ResourceData;
}

/// Asks for a page of sessions.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListSession<'a> {
    /// At most so many.
    pub max_results: u32,
    /// AGB's token of the page.
    pub next_token: Option<&'a str>,
    /// The labels to filter by, as JSON text.
    pub labels: &'a str,
    /// Whether ended sessions are listed too.
    pub is_all: Option<bool>,
}
call!(ListSession<'_> => LIST_SESSION, Vec<ListedSessionData>);

/// Replaces the labels.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SetLabel<'a> {
    /// AGB's id of the session.
    pub session_id: &'a str,
    /// The labels as JSON text. AGB writes this name with a capital.
    #[serde(rename = "Labels")]
    pub labels: String,
}
call!(SetLabel<'_> => SET_LABEL, NoData);

/// Asks for the labels.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GetLabel<'a> {
    /// AGB's id of the session.
    pub session_id: &'a str,
    /// At most so many.
    pub max_results: Option<u32>,
    /// AGB's token of the page.
    pub next_token: Option<&'a str>,
}
call!(GetLabel<'_> => GET_LABEL, LabelData);

/// Asks for a link to a port.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GetLink<'a> {
    /// AGB's id of the session.
    pub session_id: &'a str,
    /// The protocol.
    pub protocol_type: Option<&'a str>,
    /// The port in the session.
    pub port: Option<u16>,
}
call!(GetLink<'_> => GET_LINK, LinkData);

/// Starts the browser.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InitBrowser<'a> {
    /// AGB's id of the session.
    pub session_id: &'a str,
    /// Where the browser keeps its data.
    pub persistent_path: &'a str,
    /// Options as JSON text.
    pub browser_option: Option<String>,
}
call!(InitBrowser<'_> => INIT_BROWSER, InitBrowserData);

/// Loads AGB's own contexts.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GetAndLoadInternalContext<'a> {
    /// AGB's id of the session.
    pub session_id: &'a str,
    /// The kinds as JSON text: a list of words.
    pub context_types: String,
}
call!(GetAndLoadInternalContext<'_> => GET_AND_LOAD_INTERNAL_CONTEXT, Vec<InternalContextData>);

/// A created session.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CreatedSessionData {
    /// The session.
    #[serde(flatten)]
    pub linked: LinkedSessionData,
    /// `false`: the creation failed, although the envelope says otherwise.
    pub success: Option<bool>,
    /// Why it failed.
    #[serde(deserialize_with = "lenient")]
    pub err_msg: String,
    /// AGB's id of the task that creates it.
    #[serde(deserialize_with = "lenient")]
    pub task_id: String,
    /// Its address in AGB's network.
    #[serde(deserialize_with = "lenient")]
    pub network_interface_ip: String,
}

/// A session.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionData {
    /// AGB's id.
    pub session_id: String,
    /// AGB's word for the state.
    #[serde(deserialize_with = "lenient")]
    pub status: String,
    /// AGB's page for people.
    #[serde(deserialize_with = "nullable")]
    pub resource_url: SecretString,
    /// AGB's id of the instance.
    #[serde(deserialize_with = "lenient")]
    pub app_instance_id: String,
    /// AGB's id of the machine.
    #[serde(deserialize_with = "lenient")]
    pub resource_id: String,
}

/// A session, and the way to its tools that does not lead through AGB's endpoint.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LinkedSessionData {
    /// The session.
    #[serde(flatten)]
    pub session: SessionData,
    /// The session's own link.
    pub link_url: SecretString,
    /// Opens it.
    pub token: SecretString,
    /// The tools with their servers: a list, or a list as JSON text.
    pub tool_list: Value,
}

impl SessionData {
    /// The session in the gateway's terms. AGB leaves the id out of some answers, so the one that was asked for is given.
    pub fn into_session(self, asked_for: &str) -> Session {
        let id = if self.session_id.is_empty() {
            asked_for.to_owned()
        } else {
            self.session_id
        };
        Session {
            id,
            state: SessionState::from_agb(&self.status),
            resource_url: self.resource_url,
            app_instance_id: self.app_instance_id,
            resource_id: self.resource_id,
        }
    }
}

/// The status of a session.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct SessionInfoData {
    /// AGB's word.
    pub status: String,
}

/// A session in a list.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListedSessionData {
    /// AGB's id.
    pub session_id: String,
    /// AGB's word for the state.
    pub session_status: String,
}

/// The labels of a session.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct LabelData {
    /// As JSON text.
    pub labels: String,
}

impl LabelData {
    /// The labels by key. The error says what is wrong with them, and repeats none.
    pub fn read(&self) -> Result<BTreeMap<String, String>, &'static str> {
        if self.labels.is_empty() {
            return Ok(BTreeMap::new());
        }
        serde_json::from_str(&self.labels).map_err(|_| "data.labels is no JSON object of texts")
    }
}

/// Labels as AGB carries them: JSON text.
pub fn label_text(labels: &BTreeMap<String, String>) -> String {
    serde_json::json!(labels).to_string()
}

/// A link: a secret.
#[derive(Debug, Deserialize)]
pub struct LinkData {
    /// The URL.
    pub url: SecretString,
}

/// How to connect to a session's desktop.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceData {
    /// AGB's id of the session.
    pub session_id: String,
    /// AGB's page for people.
    pub resource_url: SecretString,
    /// The desktop, where there is one.
    pub desktop_info: Option<DesktopInfoData>,
}

/// A desktop.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DesktopInfoData {
    /// The id of the application.
    #[serde(deserialize_with = "nullable")]
    pub app_id: String,
    /// Lets in who holds it.
    #[serde(deserialize_with = "nullable")]
    pub auth_code: SecretString,
    /// As AGB words them; may hold secrets.
    #[serde(deserialize_with = "nullable")]
    pub connection_properties: SecretString,
    /// AGB's id of the machine.
    #[serde(deserialize_with = "nullable")]
    pub resource_id: String,
    /// AGB's word for the kind of machine.
    #[serde(deserialize_with = "nullable")]
    pub resource_type: String,
    /// Lets in who holds it.
    #[serde(deserialize_with = "nullable")]
    pub ticket: SecretString,
}

/// A started browser.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct InitBrowserData {
    /// Where it listens in the session.
    #[serde(deserialize_with = "lenient")]
    pub port: String,
}

/// One of AGB's own contexts.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InternalContextData {
    /// AGB's id.
    pub context_id: String,
    /// AGB's word for the kind.
    pub context_type: String,
    /// Where the session mounts it.
    pub context_path: String,
}

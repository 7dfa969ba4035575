//! Contexts and their files.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{NoData, call, lenient, time::timestamp};
use crate::domain::{Context, ContextState};

/// Asks for a context by id or by name; `allow_create` goes with a name only.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GetContext<'a> {
    /// AGB's id.
    pub id: Option<&'a str>,
    /// The name.
    pub name: Option<&'a str>,
    /// Whether to make the context when there is none.
    pub allow_create: bool,
    /// The region in which the name is looked up.
    pub login_region_id: Option<&'a str>,
}
call!(GetContext<'_> => GET_CONTEXT, Option<ContextData>);

/// Asks for a page of contexts.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListContexts<'a> {
    /// At most so many.
    pub max_results: u32,
    /// AGB's token of the page.
    pub next_token: Option<&'a str>,
}
call!(ListContexts<'_> => LIST_CONTEXTS, Vec<ContextData>);

/// Renames a context.
#[derive(Debug, Serialize)]
pub struct ModifyContext<'a> {
    /// AGB's id.
    pub id: &'a str,
    /// The new name.
    pub name: &'a str,
}
call!(ModifyContext<'_> => MODIFY_CONTEXT, NoData);

/// Deletes a context.
#[derive(Debug, Serialize)]
pub struct DeleteContext<'a> {
    /// AGB's id.
    pub id: &'a str,
}
call!(DeleteContext<'_> => DELETE_CONTEXT, NoData);

/// Clears a context; asynchronous.
#[derive(Debug, Serialize)]
pub struct ClearContext<'a> {
    /// AGB's id.
    pub id: &'a str,
}
call!(ClearContext<'_> => CLEAR_CONTEXT, NoData);

/// Asks for a page of files.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DescribeContextFiles<'a> {
    /// AGB's id of the context.
    pub context_id: &'a str,
    /// The folder.
    pub parent_folder_path: &'a str,
    /// The page, from 1.
    pub page_number: u32,
    /// At most so many.
    pub page_size: u32,
}
call!(DescribeContextFiles<'_> => DESCRIBE_CONTEXT_FILES, Vec<ContextFileData>);

/// Deletes a file.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeleteContextFile<'a> {
    /// AGB's id of the context.
    pub context_id: &'a str,
    /// The path of the file in the context.
    pub file_path: &'a str,
}
call!(DeleteContextFile<'_> => DELETE_CONTEXT_FILE, NoData);

/// Asks for a URL to write to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GetContextFileUploadUrl<'a> {
    /// AGB's id of the context.
    pub context_id: &'a str,
    /// The path of the file in the context.
    pub file_path: &'a str,
}
call!(GetContextFileUploadUrl<'_> => GET_CONTEXT_FILE_UPLOAD_URL, FileUrlData);

/// Asks for a URL to read from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GetContextFileDownloadUrl<'a> {
    /// AGB's id of the context.
    pub context_id: &'a str,
    /// The path of the file in the context.
    pub file_path: &'a str,
}
call!(GetContextFileDownloadUrl<'_> => GET_CONTEXT_FILE_DOWNLOAD_URL, FileUrlData);

/// A context.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContextData {
    /// AGB's id. Empty where there is no such context.
    pub id: String,
    /// The name.
    pub name: String,
    /// When it was created, in a form that AGB chooses.
    pub create_time: Value,
    /// When it was last used, in a form that AGB chooses.
    pub last_used_time: Value,
    /// AGB's word for the state; empty in lists.
    #[serde(deserialize_with = "lenient")]
    pub state: String,
}

impl From<ContextData> for Context {
    fn from(data: ContextData) -> Self {
        Self {
            create_time: timestamp(&data.create_time),
            last_used_time: timestamp(&data.last_used_time),
            state: ContextState::from_agb(&data.state),
            id: data.id,
            name: data.name,
        }
    }
}

/// A file of a context.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContextFileData {
    /// AGB's id of the file.
    #[serde(deserialize_with = "lenient")]
    pub file_id: String,
    /// The last part of the path.
    #[serde(deserialize_with = "lenient")]
    pub file_name: String,
    /// The path in the context.
    pub file_path: String,
    /// AGB's word for the kind.
    #[serde(deserialize_with = "lenient")]
    pub file_type: String,
    /// When it was created, in a form that AGB chooses.
    pub gmt_create: Value,
    /// When it was changed, in a form that AGB chooses.
    pub gmt_modified: Value,
    /// The size in bytes.
    pub size: u64,
    /// AGB's word for the state.
    #[serde(deserialize_with = "lenient")]
    pub status: String,
}

/// A URL that needs no key: a secret.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileUrlData {
    /// The URL.
    pub url: SecretString,
    /// When it ceases to work, in a form that AGB chooses.
    #[serde(default)]
    pub expire_time: Value,
}

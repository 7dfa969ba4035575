//! The operations on the files of a context.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

use super::call::Call;
use super::envelope::{Answer, Refusal, Reply};
use super::on_disk;
use crate::app::App;
use crate::clock::timestamp;
use crate::context::FileEntry;
use crate::path::AbsolutePath;

/// Page sizes beyond this are brought down to it.
const MAX_PAGE: usize = 1000;
/// The page size when the caller names none.
const DEFAULT_PAGE: usize = 50;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireFile {
    file_id: Option<String>,
    file_name: String,
    file_path: String,
    file_type: &'static str,
    gmt_create: Option<String>,
    gmt_modified: Option<String>,
    size: Option<u64>,
    status: &'static str,
}

impl From<FileEntry> for WireFile {
    fn from(entry: FileEntry) -> Self {
        match entry {
            FileEntry::File(path, file) => Self {
                file_id: Some(file.id),
                file_name: path.file_name().to_owned(),
                file_path: path.to_string(),
                file_type: "FILE",
                gmt_create: Some(timestamp(file.created_ms)),
                gmt_modified: Some(timestamp(file.modified_ms)),
                size: Some(file.blob.size()),
                status: "AVAILABLE",
            },
            FileEntry::Folder(path) => Self {
                file_id: None,
                file_name: path.file_name().to_owned(),
                file_path: path.to_string(),
                file_type: "FOLDER",
                gmt_create: None,
                gmt_modified: None,
                size: None,
                status: "AVAILABLE",
            },
        }
    }
}

pub(super) async fn list(State(app): State<Arc<App>>, call: Call) -> Answer {
    let context = call.context(&app, call.required("contextId")?)?;
    let folder = read_path(
        "parentFolderPath",
        call.query("parentFolderPath").unwrap_or("/"),
    )?;
    let number = call.positive("pageNumber", 1)?;
    let size = call.positive("pageSize", DEFAULT_PAGE)?.min(MAX_PAGE);
    // The listing may be long: off the threads that serve requests.
    let children = on_disk(move || context.files.children(&folder)).await?;
    let count = children.len();
    let skipped = (number - 1).saturating_mul(size);
    let page: Vec<_> = children
        .into_iter()
        .skip(skipped)
        .take(size)
        .map(WireFile::from)
        .collect();
    Ok(Reply::data(&page).beside("count", count))
}

pub(super) async fn delete(State(app): State<Arc<App>>, call: Call) -> Answer {
    let context = call.context(&app, call.required("contextId")?)?;
    let path = read_path("filePath", call.required("filePath")?)?;
    let wanted = path.clone();
    match on_disk(move || context.remove(&wanted)).await? {
        Ok(true) => Ok(Reply::empty()),
        Ok(false) => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "InvalidFile.NotFound",
            format!("file not found: {path}"),
        )),
        Err(error) => Err(Refusal::invalid(error.to_string())),
    }
}

pub(super) fn read_path(parameter: &str, text: &str) -> Result<AbsolutePath, Refusal> {
    AbsolutePath::parse(text).map_err(|error| Refusal::invalid(format!("{parameter}: {error}")))
}

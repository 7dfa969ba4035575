//! The walk through the files of a context: page after page, folder after folder.

use std::ops::ControlFlow;

use super::context::list_page;
use super::{Backend, page_token};
use crate::agb::wire::ContextFileData;
use crate::resilience::Deadline;
use crate::status::{Failure, Resource};

/// A file of a context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FoundFile {
    /// The path in the context.
    pub(super) path: String,
    /// The size in bytes.
    pub(super) size: u64,
}

/// Visits every file below a folder until `visit` breaks. Fails when there are more entries than the configured limit.
pub(super) async fn walk(
    backend: &Backend,
    context_id: &str,
    folder: &str,
    deadline: Deadline,
    mut visit: impl FnMut(FoundFile) -> ControlFlow<()>,
) -> Result<(), Failure> {
    let mut folders = vec![folder.to_owned()];
    let mut entries = 0;
    let page_size = page_token::number(backend.limits.file_pages.max);
    while let Some(folder) = folders.pop() {
        for page_number in 1.. {
            let page = list_page(
                backend,
                context_id,
                &folder,
                page_number,
                page_size,
                deadline,
            )
            .await
            .map_err(|error| {
                let resource = Resource::Context(context_id.to_owned());
                Failure::agb(error, "listing the files of the context", Some(resource))
            })?;
            let next = !page.files.is_empty() && page.has_next(page_number, page_size);
            entries += page.files.len();
            if entries > backend.max_walk_entries {
                return Err(Failure::LimitExceeded {
                    what: "files and folders of the context that one call looks at".to_owned(),
                    setting: "mapping.max_entries",
                    limit: backend.max_walk_entries,
                });
            }
            for file in page.files {
                if is_folder(&file) {
                    // A listing that names its own folder must not make the walk go round.
                    if file.file_path.trim_end_matches('/').len()
                        > folder.trim_end_matches('/').len()
                    {
                        folders.push(file.file_path);
                    }
                } else if visit(found(file)).is_break() {
                    return Ok(());
                }
            }
            if !next {
                break;
            }
        }
    }
    Ok(())
}

fn is_folder(file: &ContextFileData) -> bool {
    let kind = file.file_type.to_ascii_lowercase();
    kind.contains("folder") || kind.starts_with("dir")
}

fn found(file: ContextFileData) -> FoundFile {
    FoundFile {
        path: file.file_path,
        size: file.size,
    }
}

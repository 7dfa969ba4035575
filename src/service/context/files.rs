//! Files of a context: list, delete, presigned URLs; and the walk through all of them.

use secrecy::ExposeSecret as _;

use super::super::{Backend, page_token, translate};
use crate::agb::{self, wire};
use crate::domain::{Violations, absolute_path, file_path};
use crate::proto::v1 as pb;
use crate::resilience::Deadline;
use crate::status::{Failure, Resource};

/// A page of files as AGB tells it.
pub(in crate::service) struct Page {
    pub(in crate::service) files: Vec<wire::ContextFileData>,
    pub(in crate::service) total: u32,
}

impl Page {
    /// Whether there are more pages after this one. Where AGB does not count, a page that is full may not be the last.
    pub(in crate::service) fn has_next(&self, page_number: u32, page_size: u32) -> bool {
        let full = u64::try_from(self.files.len()).is_ok_and(|count| count >= page_size.into());
        match self.total {
            0 => full,
            total => u64::from(page_number) * u64::from(page_size) < u64::from(total),
        }
    }
}

pub(in crate::service) async fn list_page(
    backend: &Backend,
    context_id: &str,
    parent_folder_path: &str,
    page_number: u32,
    page_size: u32,
    deadline: Deadline,
) -> Result<Page, agb::Error> {
    let call = wire::DescribeContextFiles {
        context_id,
        parent_folder_path,
        page_number,
        page_size,
    };
    let answer = backend.client.call(&call, deadline).await?;
    Ok(Page {
        files: answer.data,
        total: answer.page.total,
    })
}

pub(super) async fn list_context_files(
    backend: &Backend,
    request: &pb::ListContextFilesRequest,
    deadline: Deadline,
) -> Result<pb::ListContextFilesResponse, Failure> {
    let parent_path = match request.parent_path.as_str() {
        "" => "/",
        path => path,
    };
    let mut violations = Violations::default();
    violations.check("context_id", translate::identifier(&request.context_id));
    violations.check("parent_path", absolute_path(parent_path));
    let page_size = violations
        .check(
            "page_size",
            page_token::size(request.page_size, backend.limits.file_pages),
        )
        .unwrap_or_default();
    // AGB counts in pages, so the token holds for one size of page only.
    let list = format!("files {} {parent_path} {page_size}", request.context_id);
    let token = violations.check(
        "page_token",
        backend.page_tokens.read(&list, &request.page_token),
    );
    violations.into_result()?;
    let page_number = token
        .flatten()
        .and_then(|token| token.parse().ok())
        .unwrap_or(1);
    let page = list_page(
        backend,
        &request.context_id,
        parent_path,
        page_number,
        page_size,
        deadline,
    )
    .await
    .map_err(|error| {
        let resource = Resource::Context(request.context_id.clone());
        Failure::agb(error, "listing the files of the context", Some(resource))
    })?;
    let next = if page.has_next(page_number, page_size) {
        page_number.saturating_add(1).to_string()
    } else {
        String::new()
    };
    Ok(pb::ListContextFilesResponse {
        files: page.files.into_iter().map(pb::ContextFile::from).collect(),
        next_page_token: backend.page_tokens.write(&list, &next),
        total_size: i32::try_from(page.total).unwrap_or(i32::MAX),
    })
}

pub(super) async fn delete_context_file(
    backend: &Backend,
    request: &pb::DeleteContextFileRequest,
    deadline: Deadline,
) -> Result<(), Failure> {
    validate(&request.context_id, &request.path)?;
    let call = wire::DeleteContextFile {
        context_id: &request.context_id,
        file_path: &request.path,
    };
    match backend.client.call(&call, deadline).await {
        Ok(_answer) => Ok(()),
        Err(error) if request.allow_missing && error.is_file_not_found() => Ok(()),
        Err(error) => Err(failed(
            error,
            "deleting the file",
            &request.context_id,
            &request.path,
        )),
    }
}

pub(super) async fn create_upload_url(
    backend: &Backend,
    request: &pb::CreateUploadUrlRequest,
    deadline: Deadline,
) -> Result<pb::CreateUploadUrlResponse, Failure> {
    let mut violations = Violations::default();
    violations.check("context_id", translate::identifier(&request.context_id));
    violations.check("path", file_path(&request.path));
    violations.into_result()?;
    let data = upload_url(backend, &request.context_id, &request.path, deadline).await?;
    Ok(pb::CreateUploadUrlResponse {
        url: data.url.expose_secret().to_owned(),
        expire_time: wire::timestamp(&data.expire_time).map(translate::timestamp),
    })
}

pub(super) async fn create_download_url(
    backend: &Backend,
    request: &pb::CreateDownloadUrlRequest,
    deadline: Deadline,
) -> Result<pb::CreateDownloadUrlResponse, Failure> {
    validate(&request.context_id, &request.path)?;
    let data = download_url(backend, &request.context_id, &request.path, deadline).await?;
    Ok(pb::CreateDownloadUrlResponse {
        url: data.url.expose_secret().to_owned(),
        expire_time: wire::timestamp(&data.expire_time).map(translate::timestamp),
    })
}

pub(super) async fn upload_url(
    backend: &Backend,
    context_id: &str,
    file_path: &str,
    deadline: Deadline,
) -> Result<wire::FileUrlData, Failure> {
    let call = wire::GetContextFileUploadUrl {
        context_id,
        file_path,
    };
    let answer = backend.client.call(&call, deadline).await;
    let doing = "making a URL to write to";
    Ok(answer
        .map_err(|error| failed(error, doing, context_id, file_path))?
        .data)
}

pub(super) async fn download_url(
    backend: &Backend,
    context_id: &str,
    file_path: &str,
    deadline: Deadline,
) -> Result<wire::FileUrlData, Failure> {
    let call = wire::GetContextFileDownloadUrl {
        context_id,
        file_path,
    };
    let answer = backend.client.call(&call, deadline).await;
    let doing = "making a URL to read from";
    Ok(answer
        .map_err(|error| failed(error, doing, context_id, file_path))?
        .data)
}

/// Checks the two fields that name a file.
pub(super) fn validate(context_id: &str, path: &str) -> Result<(), Violations> {
    let mut violations = Violations::default();
    violations.check("context_id", translate::identifier(context_id));
    violations.check("path", absolute_path(path));
    violations.into_result()
}

pub(super) fn failed(error: agb::Error, doing: &str, context_id: &str, path: &str) -> Failure {
    let resource = Resource::ContextFile {
        context_id: context_id.to_owned(),
        path: path.to_owned(),
    };
    Failure::agb(error, doing, Some(resource))
}

//! ContextService. What takes more than one call of AGB has a file of its own.

mod clear;
mod files;
mod transfer;

use futures_util::StreamExt as _;
use tonic::{Request, Response, Status, Streaming};

use super::{Backend, BoxStream, deadline, page_token, translate};
pub(super) use files::list_page;

use crate::agb::wire;
use crate::domain::{Context, Violations};
use crate::proto::v1 as pb;
use crate::proto::v1::context_service_server as server;
use crate::proto::v1::get_context_request::Selector;
use crate::resilience::Deadline;
use crate::status::{Failure, Resource};

const LIST: &str = "contexts";

/// Contexts: named storage that outlives sessions.
#[derive(Clone, Debug)]
pub struct ContextService(pub Backend);

#[tonic::async_trait]
impl server::ContextService for ContextService {
    async fn get_context(
        &self,
        request: Request<pb::GetContextRequest>,
    ) -> Result<Response<pb::GetContextResponse>, Status> {
        let deadline = deadline(&request)?;
        let context = get_context(&self.0, request.into_inner(), deadline).await?;
        Ok(Response::new(pb::GetContextResponse {
            context: Some(context.into()),
        }))
    }

    async fn create_context(
        &self,
        request: Request<pb::CreateContextRequest>,
    ) -> Result<Response<pb::CreateContextResponse>, Status> {
        let deadline = deadline(&request)?;
        let context = create_context(&self.0, request.into_inner(), deadline).await?;
        Ok(Response::new(pb::CreateContextResponse {
            context: Some(context.into()),
        }))
    }

    async fn list_contexts(
        &self,
        request: Request<pb::ListContextsRequest>,
    ) -> Result<Response<pb::ListContextsResponse>, Status> {
        let deadline = deadline(&request)?;
        let answer = list_contexts(&self.0, &request.into_inner(), deadline).await?;
        Ok(Response::new(answer))
    }

    async fn update_context(
        &self,
        request: Request<pb::UpdateContextRequest>,
    ) -> Result<Response<pb::UpdateContextResponse>, Status> {
        let deadline = deadline(&request)?;
        let context = update_context(&self.0, request.into_inner(), deadline).await?;
        Ok(Response::new(pb::UpdateContextResponse {
            context: Some(context.into()),
        }))
    }

    async fn delete_context(
        &self,
        request: Request<pb::DeleteContextRequest>,
    ) -> Result<Response<pb::DeleteContextResponse>, Status> {
        let deadline = deadline(&request)?;
        delete_context(&self.0, &request.into_inner(), deadline).await?;
        Ok(Response::new(pb::DeleteContextResponse {}))
    }

    async fn clear_context(
        &self,
        request: Request<pb::ClearContextRequest>,
    ) -> Result<Response<pb::ClearContextResponse>, Status> {
        let deadline = deadline(&request)?;
        let context_id = request.into_inner().context_id;
        let context = clear::clear_context(&self.0, &context_id, deadline).await?;
        Ok(Response::new(pb::ClearContextResponse {
            context: Some(context.into()),
        }))
    }

    async fn list_context_files(
        &self,
        request: Request<pb::ListContextFilesRequest>,
    ) -> Result<Response<pb::ListContextFilesResponse>, Status> {
        let deadline = deadline(&request)?;
        let answer = files::list_context_files(&self.0, &request.into_inner(), deadline).await?;
        Ok(Response::new(answer))
    }

    async fn delete_context_file(
        &self,
        request: Request<pb::DeleteContextFileRequest>,
    ) -> Result<Response<pb::DeleteContextFileResponse>, Status> {
        let deadline = deadline(&request)?;
        files::delete_context_file(&self.0, &request.into_inner(), deadline).await?;
        Ok(Response::new(pb::DeleteContextFileResponse {}))
    }

    async fn create_upload_url(
        &self,
        request: Request<pb::CreateUploadUrlRequest>,
    ) -> Result<Response<pb::CreateUploadUrlResponse>, Status> {
        let deadline = deadline(&request)?;
        let answer = files::create_upload_url(&self.0, &request.into_inner(), deadline).await?;
        Ok(Response::new(answer))
    }

    async fn create_download_url(
        &self,
        request: Request<pb::CreateDownloadUrlRequest>,
    ) -> Result<Response<pb::CreateDownloadUrlResponse>, Status> {
        let deadline = deadline(&request)?;
        let answer = files::create_download_url(&self.0, &request.into_inner(), deadline).await?;
        Ok(Response::new(answer))
    }

    async fn upload_context_file(
        &self,
        request: Request<Streaming<pb::UploadContextFileRequest>>,
    ) -> Result<Response<pb::UploadContextFileResponse>, Status> {
        let deadline = deadline(&request)?;
        let answer = transfer::upload_context_file(&self.0, request.into_inner(), deadline).await?;
        Ok(Response::new(answer))
    }

    type DownloadContextFileStream = BoxStream<pb::DownloadContextFileResponse>;

    async fn download_context_file(
        &self,
        request: Request<pb::DownloadContextFileRequest>,
    ) -> Result<Response<Self::DownloadContextFileStream>, Status> {
        let deadline = deadline(&request)?;
        let request = request.into_inner();
        let pieces = transfer::download_context_file(&self.0, request, deadline).await?;
        Ok(Response::new(pieces.boxed()))
    }
}

async fn get_context(
    backend: &Backend,
    request: pb::GetContextRequest,
    deadline: Deadline,
) -> Result<Context, Failure> {
    let mut violations = Violations::default();
    let region = region(&request.login_region_id, &mut violations);
    let (id, name) = match request.selector {
        Some(Selector::ContextId(id)) => (
            violations.check("context_id", translate::identifier(&id)),
            None,
        ),
        Some(Selector::Name(name)) => (
            None,
            violations.check("name", translate::name(&name, &backend.limits)),
        ),
        None => {
            violations.add("selector", "needs one of context_id and name");
            (None, None)
        }
    };
    violations.into_result()?;
    let call = wire::GetContext {
        id: id.as_deref(),
        name: name.as_deref(),
        allow_create: false,
        login_region_id: region.as_deref(),
    };
    fetch(backend, &call, "getting the context", deadline).await
}

async fn create_context(
    backend: &Backend,
    request: pb::CreateContextRequest,
    deadline: Deadline,
) -> Result<Context, Failure> {
    let mut violations = Violations::default();
    let region = region(&request.login_region_id, &mut violations);
    let context = request.context.unwrap_or_default();
    let name = violations.check(
        "context.name",
        translate::name(&context.name, &backend.limits),
    );
    if !context.context_id.is_empty() {
        violations.add(
            "context.context_id",
            "must be empty: AGB chooses the id, a context is created by its name",
        );
    }
    violations.into_result()?;
    let call = wire::GetContext {
        id: None,
        name: name.as_deref(),
        allow_create: true,
        login_region_id: region.as_deref(),
    };
    fetch(backend, &call, "creating the context", deadline).await
}

async fn fetch(
    backend: &Backend,
    call: &wire::GetContext<'_>,
    doing: &str,
    deadline: Deadline,
) -> Result<Context, Failure> {
    let asked_for = call.id.or(call.name).unwrap_or_default();
    let resource = Some(Resource::Context(asked_for.to_owned()));
    match backend.client.call(call, deadline).await {
        Ok(answer) => match answer.data {
            Some(data) if !data.id.is_empty() => Ok(data.into()),
            // AGB can say success and hold nothing: that is its way of saying that there is no such context.
            _ => Err(Failure::NotFound {
                doing: doing.to_owned(),
                resource: Resource::Context(asked_for.to_owned()),
                request_id: answer.request_id,
            }),
        },
        Err(error) => Err(Failure::agb(error, doing, resource)),
    }
}

async fn list_contexts(
    backend: &Backend,
    request: &pb::ListContextsRequest,
    deadline: Deadline,
) -> Result<pb::ListContextsResponse, Failure> {
    let mut violations = Violations::default();
    let max_results = violations.check(
        "page_size",
        page_token::size(request.page_size, backend.limits.pages),
    );
    let next_token = violations.check(
        "page_token",
        backend.page_tokens.read(LIST, &request.page_token),
    );
    violations.into_result()?;
    let next_token = next_token.flatten();
    let call = wire::ListContexts {
        max_results: max_results.unwrap_or_default(),
        next_token: next_token.as_deref(),
    };
    let answer = backend
        .client
        .call(&call, deadline)
        .await
        .map_err(|error| Failure::agb(error, "listing contexts", None))?;
    Ok(pb::ListContextsResponse {
        contexts: answer
            .data
            .into_iter()
            .map(|data| Context::from(data).into())
            .collect(),
        next_page_token: backend.page_tokens.write(LIST, &answer.page.next_token),
        total_size: i32::try_from(answer.page.total).unwrap_or(i32::MAX),
    })
}

async fn update_context(
    backend: &Backend,
    request: pb::UpdateContextRequest,
    deadline: Deadline,
) -> Result<Context, Failure> {
    let mut violations = Violations::default();
    let context = request.context.unwrap_or_default();
    violations.check(
        "context.context_id",
        translate::identifier(&context.context_id),
    );
    violations.check(
        "context.name",
        translate::name(&context.name, &backend.limits),
    );
    for path in request.update_mask.iter().flat_map(|mask| &mask.paths) {
        if path != "name" {
            violations.add("update_mask", format!("may hold `name` only, got {path:?}"));
        }
    }
    violations.into_result()?;
    let call = wire::ModifyContext {
        id: &context.context_id,
        name: &context.name,
    };
    backend
        .client
        .call(&call, deadline)
        .await
        .map_err(|error| {
            let resource = Resource::Context(context.context_id.clone());
            Failure::agb(error, "renaming the context", Some(resource))
        })?;
    let call = wire::GetContext {
        id: Some(&context.context_id),
        ..wire::GetContext::default()
    };
    fetch(backend, &call, "getting the renamed context", deadline).await
}

async fn delete_context(
    backend: &Backend,
    request: &pb::DeleteContextRequest,
    deadline: Deadline,
) -> Result<(), Failure> {
    let id = &request.context_id;
    translate::sole_identifier("context_id", id)?;
    match backend
        .client
        .call(&wire::DeleteContext { id }, deadline)
        .await
    {
        Ok(_answer) => Ok(()),
        Err(error) if request.allow_missing && error.is_context_not_found() => Ok(()),
        Err(error) => {
            let resource = Resource::Context(id.clone());
            Err(Failure::agb(error, "deleting the context", Some(resource)))
        }
    }
}

fn region(region: &str, violations: &mut Violations) -> Option<String> {
    if region.is_empty() {
        return None;
    }
    violations.check("login_region_id", translate::identifier(region))
}

//! ContextService.

use tonic::{Request, Response, Status, Streaming};

use super::{Backend, deadline, page_token, translate};
use crate::agb::wire;
use crate::domain::{Context, Violations};
use crate::proto::v1 as pb;
use crate::proto::v1::context_service_server as server;
use crate::proto::v1::get_context_request::Selector;
use crate::resilience::Deadline;
use crate::status::{Failure, Resource};

const LIST: &str = "contexts";
const DEFAULT_PAGE_SIZE: u32 = 10;
const MAX_PAGE_SIZE: u32 = 100;

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
        _request: Request<pb::UpdateContextRequest>,
    ) -> Result<Response<pb::UpdateContextResponse>, Status> {
        Err(Failure::NotImplemented("UpdateContext").into())
    }

    async fn delete_context(
        &self,
        request: Request<pb::DeleteContextRequest>,
    ) -> Result<Response<pb::DeleteContextResponse>, Status> {
        let deadline = deadline(&request)?;
        delete_context(&self.0, &request.into_inner().context_id, deadline).await?;
        Ok(Response::new(pb::DeleteContextResponse {}))
    }

    async fn clear_context(
        &self,
        _request: Request<pb::ClearContextRequest>,
    ) -> Result<Response<pb::ClearContextResponse>, Status> {
        Err(Failure::NotImplemented("ClearContext").into())
    }

    async fn list_context_files(
        &self,
        _request: Request<pb::ListContextFilesRequest>,
    ) -> Result<Response<pb::ListContextFilesResponse>, Status> {
        Err(Failure::NotImplemented("ListContextFiles").into())
    }

    async fn delete_context_file(
        &self,
        _request: Request<pb::DeleteContextFileRequest>,
    ) -> Result<Response<pb::DeleteContextFileResponse>, Status> {
        Err(Failure::NotImplemented("DeleteContextFile").into())
    }

    async fn create_upload_url(
        &self,
        _request: Request<pb::CreateUploadUrlRequest>,
    ) -> Result<Response<pb::CreateUploadUrlResponse>, Status> {
        Err(Failure::NotImplemented("CreateUploadUrl").into())
    }

    async fn create_download_url(
        &self,
        _request: Request<pb::CreateDownloadUrlRequest>,
    ) -> Result<Response<pb::CreateDownloadUrlResponse>, Status> {
        Err(Failure::NotImplemented("CreateDownloadUrl").into())
    }

    async fn upload_context_file(
        &self,
        _request: Request<Streaming<pb::UploadContextFileRequest>>,
    ) -> Result<Response<pb::UploadContextFileResponse>, Status> {
        Err(Failure::NotImplemented("UploadContextFile").into())
    }

    type DownloadContextFileStream =
        tokio_stream::Empty<Result<pb::DownloadContextFileResponse, Status>>;

    async fn download_context_file(
        &self,
        _request: Request<pb::DownloadContextFileRequest>,
    ) -> Result<Response<Self::DownloadContextFileStream>, Status> {
        Err(Failure::NotImplemented("DownloadContextFile").into())
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
        Some(Selector::Name(name)) => (None, violations.check("name", translate::name(&name))),
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
    let name = violations.check("context.name", translate::name(&context.name));
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
        page_token::size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE),
    );
    let next_token = violations.check("page_token", page_token::read(LIST, &request.page_token));
    violations.into_result()?;
    let next_token = next_token.flatten();
    let call = wire::ListContexts {
        max_results: max_results.unwrap_or(DEFAULT_PAGE_SIZE),
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
        next_page_token: page_token::write(LIST, &answer.page.next_token),
        total_size: i32::try_from(answer.page.total).unwrap_or(i32::MAX),
    })
}

async fn delete_context(
    backend: &Backend,
    context_id: &str,
    deadline: Deadline,
) -> Result<(), Failure> {
    let mut violations = Violations::default();
    violations.check("context_id", translate::identifier(context_id));
    violations.into_result()?;
    backend
        .client
        .call(&wire::DeleteContext { id: context_id }, deadline)
        .await
        .map_err(|error| {
            let resource = Resource::Context(context_id.to_owned());
            Failure::agb(error, "deleting the context", Some(resource))
        })?;
    Ok(())
}

fn region(region: &str, violations: &mut Violations) -> Option<String> {
    if region.is_empty() {
        return None;
    }
    violations.check("login_region_id", translate::identifier(region))
}

//! SessionService. What takes more than one call of AGB has a file of its own.

mod access;
mod code;
mod command;
mod create;
mod delete;
mod file;
mod labels;
mod new_session;
mod tools;

use futures_util::StreamExt as _;
use tonic::{Request, Response, Status, Streaming};

use super::scope::{Scope, owned};
use super::{Backend, BoxStream, deadline, translate};
use crate::agb::wire;
use crate::domain::Session;
use crate::proto::v1 as pb;
use crate::proto::v1::session_service_server as server;
use crate::resilience::Deadline;
use crate::status::{Failure, Resource};

/// Sessions: isolated Linux environments.
#[derive(Clone, Debug)]
pub struct SessionService(pub Backend);

#[tonic::async_trait]
impl server::SessionService for SessionService {
    async fn create_session(
        &self,
        request: Request<pb::CreateSessionRequest>,
    ) -> Result<Response<pb::CreateSessionResponse>, Status> {
        let deadline = deadline(&request)?;
        let scope = Scope::of(&request);
        let mut request = request.into_inner();
        scope.bind_new(&mut request)?;
        let answer = create::create_session(&self.0, &request, scope.bound(), deadline).await?;
        scope.created(&self.0, &answer);
        Ok(Response::new(answer))
    }

    async fn get_session(
        &self,
        request: Request<pb::GetSessionRequest>,
    ) -> Result<Response<pb::GetSessionResponse>, Status> {
        let deadline = owned(&self.0, &request, &request.get_ref().session_id).await?;
        let session = get_session(&self.0, &request.into_inner().session_id, deadline).await?;
        Ok(Response::new(pb::GetSessionResponse {
            session: Some(session.into()),
        }))
    }

    async fn list_sessions(
        &self,
        request: Request<pb::ListSessionsRequest>,
    ) -> Result<Response<pb::ListSessionsResponse>, Status> {
        let deadline = deadline(&request)?;
        let scope = Scope::of(&request);
        let mut request = request.into_inner();
        scope.bind(&mut request.labels)?;
        let answer = labels::list_sessions(&self.0, &request, deadline).await?;
        Ok(Response::new(answer))
    }

    async fn delete_session(
        &self,
        request: Request<pb::DeleteSessionRequest>,
    ) -> Result<Response<pb::DeleteSessionResponse>, Status> {
        let deadline = deadline(&request)?;
        let scope = Scope::of(&request);
        let request = request.into_inner();
        let answer = delete::delete_session(&self.0, &request, &scope, deadline).await?;
        Ok(Response::new(answer))
    }

    async fn keep_session_alive(
        &self,
        request: Request<pb::KeepSessionAliveRequest>,
    ) -> Result<Response<pb::KeepSessionAliveResponse>, Status> {
        let deadline = owned(&self.0, &request, &request.get_ref().session_id).await?;
        labels::keep_session_alive(&self.0, &request.into_inner().session_id, deadline).await?;
        Ok(Response::new(pb::KeepSessionAliveResponse {}))
    }

    async fn set_session_labels(
        &self,
        request: Request<pb::SetSessionLabelsRequest>,
    ) -> Result<Response<pb::SetSessionLabelsResponse>, Status> {
        let deadline = owned(&self.0, &request, &request.get_ref().session_id).await?;
        let scope = Scope::of(&request);
        let mut request = request.into_inner();
        scope.bind(&mut request.labels)?;
        labels::set_session_labels(&self.0, &request, deadline).await?;
        Ok(Response::new(pb::SetSessionLabelsResponse {}))
    }

    async fn get_session_labels(
        &self,
        request: Request<pb::GetSessionLabelsRequest>,
    ) -> Result<Response<pb::GetSessionLabelsResponse>, Status> {
        let deadline = owned(&self.0, &request, &request.get_ref().session_id).await?;
        let session_id = request.into_inner().session_id;
        let labels = labels::get_session_labels(&self.0, &session_id, deadline).await?;
        Ok(Response::new(pb::GetSessionLabelsResponse { labels }))
    }

    async fn execute_command(
        &self,
        request: Request<pb::ExecuteCommandRequest>,
    ) -> Result<Response<pb::ExecuteCommandResponse>, Status> {
        let deadline = owned(&self.0, &request, &request.get_ref().session_id).await?;
        let answer = command::execute_command(&self.0, &request.into_inner(), deadline).await?;
        Ok(Response::new(answer))
    }

    async fn run_code(
        &self,
        request: Request<pb::RunCodeRequest>,
    ) -> Result<Response<pb::RunCodeResponse>, Status> {
        let deadline = owned(&self.0, &request, &request.get_ref().session_id).await?;
        let answer = code::run_code(&self.0, &request.into_inner(), deadline).await?;
        Ok(Response::new(answer))
    }

    async fn list_tools(
        &self,
        request: Request<pb::ListToolsRequest>,
    ) -> Result<Response<pb::ListToolsResponse>, Status> {
        let deadline = deadline(&request)?;
        let answer = tools::list_tools(&self.0, &request.into_inner().image_id, deadline).await?;
        Ok(Response::new(answer))
    }

    async fn call_tool(
        &self,
        request: Request<pb::CallToolRequest>,
    ) -> Result<Response<pb::CallToolResponse>, Status> {
        let deadline = owned(&self.0, &request, &request.get_ref().session_id).await?;
        let answer = tools::call_tool(&self.0, request.into_inner(), deadline).await?;
        Ok(Response::new(answer))
    }

    type ReadFileStream = BoxStream<pb::ReadFileResponse>;

    async fn read_file(
        &self,
        request: Request<pb::ReadFileRequest>,
    ) -> Result<Response<Self::ReadFileStream>, Status> {
        let deadline = owned(&self.0, &request, &request.get_ref().session_id).await?;
        let pieces = file::read_file(&self.0, request.into_inner(), deadline).await?;
        Ok(Response::new(pieces.boxed()))
    }

    async fn write_file(
        &self,
        request: Request<Streaming<pb::WriteFileRequest>>,
    ) -> Result<Response<pb::WriteFileResponse>, Status> {
        let deadline = deadline(&request)?;
        let scope = Scope::of(&request);
        let answer = file::write_file(&self.0, request.into_inner(), &scope, deadline).await?;
        Ok(Response::new(answer))
    }

    async fn list_directory(
        &self,
        request: Request<pb::ListDirectoryRequest>,
    ) -> Result<Response<pb::ListDirectoryResponse>, Status> {
        let deadline = owned(&self.0, &request, &request.get_ref().session_id).await?;
        let answer = file::list_directory(&self.0, &request.into_inner(), deadline).await?;
        Ok(Response::new(answer))
    }

    async fn get_session_link(
        &self,
        request: Request<pb::GetSessionLinkRequest>,
    ) -> Result<Response<pb::GetSessionLinkResponse>, Status> {
        let deadline = owned(&self.0, &request, &request.get_ref().session_id).await?;
        let answer = access::get_session_link(&self.0, &request.into_inner(), deadline).await?;
        Ok(Response::new(answer))
    }

    async fn get_cdp_link(
        &self,
        request: Request<pb::GetCdpLinkRequest>,
    ) -> Result<Response<pb::GetCdpLinkResponse>, Status> {
        let deadline = owned(&self.0, &request, &request.get_ref().session_id).await?;
        let answer =
            access::get_cdp_link(&self.0, &request.into_inner().session_id, deadline).await?;
        Ok(Response::new(answer))
    }

    async fn get_session_metrics(
        &self,
        request: Request<pb::GetSessionMetricsRequest>,
    ) -> Result<Response<pb::GetSessionMetricsResponse>, Status> {
        let deadline = owned(&self.0, &request, &request.get_ref().session_id).await?;
        let session_id = request.into_inner().session_id;
        let metrics = tools::get_session_metrics(&self.0, &session_id, deadline).await?;
        Ok(Response::new(pb::GetSessionMetricsResponse {
            metrics: Some(metrics),
        }))
    }

    async fn get_session_resource(
        &self,
        request: Request<pb::GetSessionResourceRequest>,
    ) -> Result<Response<pb::GetSessionResourceResponse>, Status> {
        let deadline = owned(&self.0, &request, &request.get_ref().session_id).await?;
        let session_id = request.into_inner().session_id;
        let resource = access::get_session_resource(&self.0, &session_id, deadline).await?;
        Ok(Response::new(pb::GetSessionResourceResponse {
            resource: Some(resource),
        }))
    }

    async fn init_browser(
        &self,
        request: Request<pb::InitBrowserRequest>,
    ) -> Result<Response<pb::InitBrowserResponse>, Status> {
        let deadline = owned(&self.0, &request, &request.get_ref().session_id).await?;
        let answer = access::init_browser(&self.0, request.into_inner(), deadline).await?;
        Ok(Response::new(answer))
    }

    async fn load_internal_contexts(
        &self,
        request: Request<pb::LoadInternalContextsRequest>,
    ) -> Result<Response<pb::LoadInternalContextsResponse>, Status> {
        let deadline = owned(&self.0, &request, &request.get_ref().session_id).await?;
        let answer =
            access::load_internal_contexts(&self.0, &request.into_inner(), deadline).await?;
        Ok(Response::new(answer))
    }
}

async fn get_session(
    backend: &Backend,
    session_id: &str,
    deadline: Deadline,
) -> Result<Session, Failure> {
    translate::sole_identifier("session_id", session_id)?;
    let answer = backend
        .client
        .call(&wire::GetSession { session_id }, deadline)
        .await
        .map_err(|error| {
            let resource = Resource::Session(session_id.to_owned());
            Failure::agb(error, "getting the session", Some(resource))
        })?;
    Ok(answer.data.into_session(session_id))
}

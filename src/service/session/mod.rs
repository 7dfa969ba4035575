//! SessionService. What takes more than one call of AGB has a file of its own.

mod command;
mod create;
mod delete;

use tonic::{Request, Response, Status, Streaming};

use super::{Backend, deadline, translate};
use crate::agb::wire;
use crate::domain::{Session, Violations};
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
        let answer = create::create_session(&self.0, &request.into_inner(), deadline).await?;
        Ok(Response::new(answer))
    }

    async fn get_session(
        &self,
        request: Request<pb::GetSessionRequest>,
    ) -> Result<Response<pb::GetSessionResponse>, Status> {
        let deadline = deadline(&request)?;
        let session = get_session(&self.0, &request.into_inner().session_id, deadline).await?;
        Ok(Response::new(pb::GetSessionResponse {
            session: Some(session.into()),
        }))
    }

    async fn list_sessions(
        &self,
        _request: Request<pb::ListSessionsRequest>,
    ) -> Result<Response<pb::ListSessionsResponse>, Status> {
        Err(Failure::NotImplemented("ListSessions").into())
    }

    async fn delete_session(
        &self,
        request: Request<pb::DeleteSessionRequest>,
    ) -> Result<Response<pb::DeleteSessionResponse>, Status> {
        let deadline = deadline(&request)?;
        let answer = delete::delete_session(&self.0, &request.into_inner(), deadline).await?;
        Ok(Response::new(answer))
    }

    async fn keep_session_alive(
        &self,
        _request: Request<pb::KeepSessionAliveRequest>,
    ) -> Result<Response<pb::KeepSessionAliveResponse>, Status> {
        Err(Failure::NotImplemented("KeepSessionAlive").into())
    }

    async fn set_session_labels(
        &self,
        _request: Request<pb::SetSessionLabelsRequest>,
    ) -> Result<Response<pb::SetSessionLabelsResponse>, Status> {
        Err(Failure::NotImplemented("SetSessionLabels").into())
    }

    async fn get_session_labels(
        &self,
        _request: Request<pb::GetSessionLabelsRequest>,
    ) -> Result<Response<pb::GetSessionLabelsResponse>, Status> {
        Err(Failure::NotImplemented("GetSessionLabels").into())
    }

    async fn execute_command(
        &self,
        request: Request<pb::ExecuteCommandRequest>,
    ) -> Result<Response<pb::ExecuteCommandResponse>, Status> {
        let deadline = deadline(&request)?;
        let answer = command::execute_command(&self.0, &request.into_inner(), deadline).await?;
        Ok(Response::new(answer))
    }

    async fn run_code(
        &self,
        _request: Request<pb::RunCodeRequest>,
    ) -> Result<Response<pb::RunCodeResponse>, Status> {
        Err(Failure::NotImplemented("RunCode").into())
    }

    async fn list_tools(
        &self,
        _request: Request<pb::ListToolsRequest>,
    ) -> Result<Response<pb::ListToolsResponse>, Status> {
        Err(Failure::NotImplemented("ListTools").into())
    }

    async fn call_tool(
        &self,
        _request: Request<pb::CallToolRequest>,
    ) -> Result<Response<pb::CallToolResponse>, Status> {
        Err(Failure::NotImplemented("CallTool").into())
    }

    type ReadFileStream = tokio_stream::Empty<Result<pb::ReadFileResponse, Status>>;

    async fn read_file(
        &self,
        _request: Request<pb::ReadFileRequest>,
    ) -> Result<Response<Self::ReadFileStream>, Status> {
        Err(Failure::NotImplemented("ReadFile").into())
    }

    async fn write_file(
        &self,
        _request: Request<Streaming<pb::WriteFileRequest>>,
    ) -> Result<Response<pb::WriteFileResponse>, Status> {
        Err(Failure::NotImplemented("WriteFile").into())
    }

    async fn list_directory(
        &self,
        _request: Request<pb::ListDirectoryRequest>,
    ) -> Result<Response<pb::ListDirectoryResponse>, Status> {
        Err(Failure::NotImplemented("ListDirectory").into())
    }

    async fn get_session_link(
        &self,
        _request: Request<pb::GetSessionLinkRequest>,
    ) -> Result<Response<pb::GetSessionLinkResponse>, Status> {
        Err(Failure::NotImplemented("GetSessionLink").into())
    }

    async fn get_cdp_link(
        &self,
        _request: Request<pb::GetCdpLinkRequest>,
    ) -> Result<Response<pb::GetCdpLinkResponse>, Status> {
        Err(Failure::NotImplemented("GetCdpLink").into())
    }

    async fn get_session_metrics(
        &self,
        _request: Request<pb::GetSessionMetricsRequest>,
    ) -> Result<Response<pb::GetSessionMetricsResponse>, Status> {
        Err(Failure::NotImplemented("GetSessionMetrics").into())
    }

    async fn get_session_resource(
        &self,
        _request: Request<pb::GetSessionResourceRequest>,
    ) -> Result<Response<pb::GetSessionResourceResponse>, Status> {
        Err(Failure::NotImplemented("GetSessionResource").into())
    }

    async fn init_browser(
        &self,
        _request: Request<pb::InitBrowserRequest>,
    ) -> Result<Response<pb::InitBrowserResponse>, Status> {
        Err(Failure::NotImplemented("InitBrowser").into())
    }

    async fn load_internal_contexts(
        &self,
        _request: Request<pb::LoadInternalContextsRequest>,
    ) -> Result<Response<pb::LoadInternalContextsResponse>, Status> {
        Err(Failure::NotImplemented("LoadInternalContexts").into())
    }
}

async fn get_session(
    backend: &Backend,
    session_id: &str,
    deadline: Deadline,
) -> Result<Session, Failure> {
    let mut violations = Violations::default();
    violations.check("session_id", translate::identifier(session_id));
    violations.into_result()?;
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

//! One caller: which calls it makes, one after the other.

use std::sync::Arc;

use agb_gateway::proto::v1 as pb;
use pb::context_service_client::ContextServiceClient;
use pb::download_context_file_response::Payload as Sent;
use pb::session_service_client::SessionServiceClient;
use pb::sync_service_client::SyncServiceClient;
use pb::upload_context_file_request::Payload as Piece;
use pb::wait_for_sync_request::Target;
use tonic::Status;
use tonic::transport::Channel;

use crate::load::Shared;

const FILE: &str = "/home/data/file.bin";
const MOUNT: &str = "/home/data";
const IMAGE: &str = "agb-code-space-1";
/// At most so many bytes has a file.
const MAX_FILE: usize = 256 * 1024;

/// A caller with a context of its own.
pub(crate) struct Caller {
    shared: Arc<Shared>,
    contexts: ContextServiceClient<Channel>,
    sessions: SessionServiceClient<Channel>,
    syncs: SyncServiceClient<Channel>,
    context_id: String,
    random: fastrand::Rng,
    /// What all bytes of its file are.
    mark: u8,
}

impl Caller {
    pub(crate) fn new(
        shared: Arc<Shared>,
        channel: Channel,
        context_id: String,
        random: fastrand::Rng,
        number: usize,
    ) -> Self {
        Self {
            shared,
            contexts: ContextServiceClient::new(channel.clone()),
            sessions: SessionServiceClient::new(channel.clone()),
            syncs: SyncServiceClient::new(channel),
            context_id,
            random,
            mark: u8::try_from(number).unwrap_or(u8::MAX),
        }
    }

    /// Calls until it is told to stop; ends what it has begun.
    pub(crate) async fn run(mut self) {
        // What the calls come to is counted where they are made.
        let _ = self.upload().await;
        while !self.shared.is_over() {
            let _ = match self.random.u32(..10) {
                0 | 1 => self.list_contexts().await,
                2 => self.list_sessions().await,
                3 => self.list_files().await,
                4 => self.upload().await,
                5 | 6 => self.download().await,
                _ => self.session().await,
            };
        }
    }

    /// A session from its creation to its release, with a sync.
    async fn session(&mut self) -> Result<(), Status> {
        let request = pb::CreateSessionRequest {
            image_id: IMAGE.to_owned(),
            request_id: format!("{:032x}", self.random.u128(..)),
            context_syncs: vec![pb::ContextSync {
                context_id: self.context_id.clone(),
                path: MOUNT.to_owned(),
                ..pb::ContextSync::default()
            }],
            ..pb::CreateSessionRequest::default()
        };
        let mut created = self.create(request.clone()).await;
        if created.is_err() {
            created = self.create(request).await;
        }
        let session_id = created?;
        let synced = self.sync(session_id.clone()).await;
        if let Ok(token) = synced {
            let _ = self.wait(token).await;
        }
        let request = pb::DeleteSessionRequest {
            session_id,
            ..pb::DeleteSessionRequest::default()
        };
        let mut sessions = self.sessions.clone();
        let make = async |request| sessions.delete_session(request).await.map(drop);
        self.shared.call(&mut self.random, request, make).await
    }

    async fn create(&mut self, request: pb::CreateSessionRequest) -> Result<String, Status> {
        let mut sessions = self.sessions.clone();
        let make = async |request| sessions.create_session(request).await;
        let answer = self.shared.call(&mut self.random, request, make).await?;
        let session = answer.into_inner().session;
        Ok(session.expect("a session in the answer").session_id)
    }

    async fn sync(&mut self, session_id: String) -> Result<String, Status> {
        let request = pb::SyncContextsRequest {
            session_id,
            return_immediately: true,
            ..pb::SyncContextsRequest::default()
        };
        let mut syncs = self.syncs.clone();
        let make = async |request| syncs.sync_contexts(request).await;
        let answer = self.shared.call(&mut self.random, request, make).await?;
        let status = answer.into_inner().status;
        Ok(status.expect("a status in the answer").sync_token)
    }

    async fn wait(&mut self, token: String) -> Result<(), Status> {
        let request = pb::WaitForSyncRequest {
            target: Some(Target::SyncToken(token)),
        };
        let mut syncs = self.syncs.clone();
        let make = async |request| syncs.wait_for_sync(request).await.map(drop);
        self.shared.call(&mut self.random, request, make).await
    }

    async fn list_contexts(&mut self) -> Result<(), Status> {
        let request = pb::ListContextsRequest::default();
        let mut contexts = self.contexts.clone();
        let make = async |request| contexts.list_contexts(request).await.map(drop);
        self.shared.call(&mut self.random, request, make).await
    }

    async fn list_sessions(&mut self) -> Result<(), Status> {
        let request = pb::ListSessionsRequest::default();
        let mut sessions = self.sessions.clone();
        let make = async |request| sessions.list_sessions(request).await.map(drop);
        self.shared.call(&mut self.random, request, make).await
    }

    async fn list_files(&mut self) -> Result<(), Status> {
        let request = pb::ListContextFilesRequest {
            context_id: self.context_id.clone(),
            parent_path: MOUNT.to_owned(),
            ..pb::ListContextFilesRequest::default()
        };
        let mut contexts = self.contexts.clone();
        let make = async |request| contexts.list_context_files(request).await.map(drop);
        self.shared.call(&mut self.random, request, make).await
    }

    async fn upload(&mut self) -> Result<(), Status> {
        let header = pb::UploadContextFileHeader {
            context_id: self.context_id.clone(),
            path: FILE.to_owned(),
            size_bytes: None,
        };
        let content = vec![self.mark; self.random.usize(1..MAX_FILE)];
        let pieces = content
            .chunks(MAX_FILE / 4)
            .map(|piece| Piece::Data(piece.to_vec()));
        let pieces: Vec<_> = std::iter::once(Piece::Header(header))
            .chain(pieces)
            .map(|piece| pb::UploadContextFileRequest {
                payload: Some(piece),
            })
            .collect();
        let mut contexts = self.contexts.clone();
        let make = async |request| contexts.upload_context_file(request).await.map(drop);
        let pieces = tokio_stream::iter(pieces);
        self.shared.call(&mut self.random, pieces, make).await
    }

    /// Every byte that comes must be the caller's own.
    async fn download(&mut self) -> Result<(), Status> {
        let request = pb::DownloadContextFileRequest {
            context_id: self.context_id.clone(),
            path: FILE.to_owned(),
        };
        let (mut contexts, mark) = (self.contexts.clone(), self.mark);
        let make = async |request| {
            let mut answers = contexts.download_context_file(request).await?.into_inner();
            while let Some(answer) = answers.message().await? {
                if let Some(Sent::Data(data)) = answer.payload {
                    assert!(data.iter().all(|byte| *byte == mark), "another one's bytes");
                }
            }
            Ok(())
        };
        self.shared.call(&mut self.random, request, make).await
    }
}

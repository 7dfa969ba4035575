//! A gateway and an emulated AGB of each test's own, and short ways to say what the tests say often.

use std::time::Duration;

use agb_emulator::{Emulator, Fault, FaultAction, FaultId, RecordedRequest};
use agb_gateway::agb::{Client, Connections};
use agb_gateway::app::Gateway;
use agb_gateway::config::Config;
use agb_gateway::creation::{LabelMap, Upstream};
use agb_gateway::proto::v1 as pb;
use agb_gateway::proto::v1::context_service_client::ContextServiceClient;
use agb_gateway::proto::v1::mapping_policy_service_client::MappingPolicyServiceClient;
use agb_gateway::proto::v1::session_service_client::SessionServiceClient;
use agb_gateway::proto::v1::sync_service_client::SyncServiceClient;
use agb_gateway::resilience::Deadline;
use agb_gateway::secret::{Reloaded, Secrets};
use agb_gateway::telemetry::Telemetry;
use figment::Figment;
use prost::Message as _;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_types::StatusExt as _;

use crate::canary;

pub(crate) const BROWSER_IMAGE: &str = "agb-browser-use-1";
pub(crate) const CODE_IMAGE: &str = "agb-code-space-1";

/// The key of the AGB account that all gateways of the tests share.
pub(crate) const KEY: &str = "Pl4nted-test-key";

/// Long enough for any step on a busy machine; only a test that hangs meets it.
const PATIENCE: Duration = Duration::from_mins(1);

/// A gateway in front of an emulated AGB.
pub(crate) struct World {
    pub(crate) emulator: Emulator,
    pub(crate) channel: Channel,
    gateway: Gateway,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with_settings(Figment::new()).await
    }

    /// With a gateway that makes each call of AGB once.
    pub(crate) async fn without_repetition() -> Self {
        Self::with_settings(Figment::new().merge(("agb.max_attempts", 1))).await
    }

    pub(crate) async fn with_settings(settings: Figment) -> Self {
        canary::watch();
        let config = agb_emulator::Config {
            sandbox_program: Some(env!("CARGO_BIN_EXE_agb-gateway").into()),
            ..agb_emulator::Config::default()
        };
        let emulator = Emulator::start(config).await.unwrap();
        let (gateway, channel) = start_connected(&emulator, settings).await;
        Self {
            emulator,
            channel,
            gateway,
        }
    }

    /// Another gateway in front of the same AGB, which knows nothing of the first one.
    pub(crate) async fn replica(&self) -> (Gateway, Channel) {
        self.replica_with(Figment::new()).await
    }

    /// Another gateway in front of the same AGB, with settings of its own.
    pub(crate) async fn replica_with(&self, settings: Figment) -> (Gateway, Channel) {
        start_connected(&self.emulator, settings).await
    }

    /// Another gateway, which gives every call one second. With a deadline of the client's own it would be a race which of the
    /// two ends the call.
    pub(crate) async fn hasty_replica(&self) -> (Gateway, Channel) {
        let settings = Figment::new()
            .merge(("server.max_deadline", "1s"))
            .merge(("server.default_deadline", "1s"));
        start_connected(&self.emulator, settings).await
    }

    /// Another gateway in front of the same AGB, to which nobody is connected.
    pub(crate) async fn start_gateway(&self, settings: Figment) -> Gateway {
        self.start_gateway_with_key(settings, Some(KEY)).await
    }

    /// The same, with the key of another account, or one that the settings name.
    pub(crate) async fn start_gateway_with_key(
        &self,
        settings: Figment,
        key: Option<&str>,
    ) -> Gateway {
        start_gateway(&self.emulator, settings, key).await
    }

    pub(crate) fn gateway_address(&self) -> std::net::SocketAddr {
        self.gateway.address()
    }

    pub(crate) fn contexts(&self) -> ContextServiceClient<Channel> {
        ContextServiceClient::new(self.channel.clone())
    }

    pub(crate) fn sessions(&self) -> SessionServiceClient<Channel> {
        SessionServiceClient::new(self.channel.clone())
    }

    pub(crate) fn syncs(&self) -> SyncServiceClient<Channel> {
        SyncServiceClient::new(self.channel.clone())
    }

    pub(crate) fn mappings(&self) -> MappingPolicyServiceClient<Channel> {
        MappingPolicyServiceClient::new(self.channel.clone())
    }

    pub(crate) fn inject(&self, operation: &str, times: u32, action: FaultAction) -> FaultId {
        self.emulator.faults().inject(Fault {
            operation: operation.to_owned(),
            times,
            action,
        })
    }

    /// A client of the same AGB, past the gateway.
    pub(crate) async fn agb(&self) -> Client {
        let settings = Figment::new().merge(("agb.endpoint", self.emulator.url()));
        let config = Config::read(&settings, Some(KEY.to_owned())).unwrap();
        let connections = Connections::start(config.agb.client, Telemetry::off())
            .await
            .unwrap();
        Client::new(connections, Reloaded::fixed(Secrets::one(KEY.into())))
    }

    /// The sessions that AGB lists as active, smallest id first.
    pub(crate) async fn active(&self) -> Vec<String> {
        let no_filter = LabelMap::new();
        let listed = Upstream::list(&self.agb().await, &no_filter, None, patience()).await;
        let mut ids = listed.unwrap().session_ids;
        ids.sort();
        ids
    }

    /// Waits until AGB lists so many sessions as active, and returns them; the test's deadline is the only limit.
    pub(crate) async fn until_active(&self, count: usize) -> Vec<String> {
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        loop {
            let active = self.active().await;
            if active.len() == count {
                return active;
            }
            pause.tick().await;
        }
    }

    /// What AGB got with the first call of an operation.
    pub(crate) fn first_request(&self, operation: &str) -> RecordedRequest {
        let requests = self.emulator.requests().into_iter();
        let mut of_operation = requests.filter(|request| request.operation == operation);
        of_operation.next().expect("a call of the operation")
    }

    pub(crate) async fn create_context(&self, name: &str) -> String {
        let request = pb::CreateContextRequest {
            context: Some(pb::Context {
                name: name.to_owned(),
                ..pb::Context::default()
            }),
            ..pb::CreateContextRequest::default()
        };
        let answer = self.contexts().create_context(within(request)).await;
        answer.unwrap().into_inner().context.unwrap().context_id
    }

    pub(crate) async fn create_session(
        &self,
        image_id: &str,
        context_syncs: Vec<pb::ContextSync>,
    ) -> String {
        let request = pb::CreateSessionRequest {
            image_id: image_id.to_owned(),
            context_syncs,
            ..pb::CreateSessionRequest::default()
        };
        let answer = self.sessions().create_session(within(request)).await;
        answer.unwrap().into_inner().session.unwrap().session_id
    }

    pub(crate) async fn execute(
        &self,
        session_id: &str,
        command: &str,
    ) -> pb::ExecuteCommandResponse {
        let request = pb::ExecuteCommandRequest {
            session_id: session_id.to_owned(),
            command: command.to_owned(),
            timeout: Some(seconds(20)),
            ..pb::ExecuteCommandRequest::default()
        };
        let answer = self.sessions().execute_command(within(request)).await;
        answer.unwrap().into_inner()
    }

    /// Runs a command that has to succeed, and returns what it wrote.
    pub(crate) async fn run(&self, session_id: &str, command: &str) -> String {
        let answer = self.execute(session_id, command).await;
        assert_eq!(answer.exit_code, 0, "{command}: {}", answer.stderr);
        answer.stdout
    }

    pub(crate) async fn sync_all(&self, session_id: &str) -> Result<pb::SyncStatus, Status> {
        let request = pb::SyncContextsRequest {
            session_id: session_id.to_owned(),
            ..pb::SyncContextsRequest::default()
        };
        let answer = self.syncs().sync_contexts(within(request)).await?;
        Ok(answer.into_inner().status.unwrap())
    }

    pub(crate) async fn delete_session(
        &self,
        request: pb::DeleteSessionRequest,
    ) -> Result<pb::DeleteSessionResponse, Status> {
        let answer = self.sessions().delete_session(within(request)).await?;
        Ok(answer.into_inner())
    }

    pub(crate) async fn end(&self, session_id: &str) {
        self.delete_session(pb::DeleteSessionRequest {
            session_id: session_id.to_owned(),
            ..pb::DeleteSessionRequest::default()
        })
        .await
        .unwrap();
    }

    pub(crate) async fn get_session(&self, session_id: &str) -> Result<pb::Session, Status> {
        let request = pb::GetSessionRequest {
            session_id: session_id.to_owned(),
        };
        let answer = self.sessions().get_session(within(request)).await?;
        Ok(answer.into_inner().session.unwrap())
    }
}

async fn start_connected(emulator: &Emulator, settings: Figment) -> (Gateway, Channel) {
    let gateway = start_gateway(emulator, settings, Some(KEY)).await;
    let channel = connect(gateway.address()).await;
    (gateway, channel)
}

async fn start_gateway(emulator: &Emulator, settings: Figment, key: Option<&str>) -> Gateway {
    let settings = Figment::new()
        .merge(("server.listen", "127.0.0.1:0"))
        .merge(("agb.endpoint", emulator.url()))
        .merge(settings);
    let config = Config::read(&settings, key.map(str::to_owned)).unwrap();
    Gateway::start(config).await.unwrap()
}

pub(crate) async fn connect(address: std::net::SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    endpoint.connect().await.unwrap()
}

/// A deadline that only a test that hangs meets.
pub(crate) fn patience() -> Deadline {
    Deadline::after(PATIENCE)
}

/// A request with a deadline that only a test that hangs meets.
pub(crate) fn within<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(PATIENCE);
    request
}

pub(crate) fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

/// A context at a path, with AGB's default policy.
pub(crate) fn mount(context_id: &str, path: &str) -> pb::ContextSync {
    pb::ContextSync {
        context_id: context_id.to_owned(),
        path: path.to_owned(),
        ..pb::ContextSync::default()
    }
}

/// A context at a path, showing what was stored under another path.
pub(crate) fn mapped(context_id: &str, path: &str, original_path: &str) -> pb::ContextSync {
    pb::ContextSync {
        policy: Some(pb::SyncPolicy {
            mapping_policy: Some(pb::MappingPolicy {
                path: original_path.to_owned(),
            }),
            ..pb::SyncPolicy::default()
        }),
        ..mount(context_id, path)
    }
}

/// The stable reason of an error.
pub(crate) fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    details.error_info().expect("an ErrorInfo").reason.clone()
}

/// The fields that an error calls wrong.
pub(crate) fn wrong_fields(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    let bad_request = details.bad_request().expect("a BadRequest");
    bad_request
        .field_violations
        .iter()
        .map(|violation| violation.field.clone())
        .collect()
}

/// What an error tells of a sync.
pub(crate) fn sync_status(status: &Status) -> pb::SyncStatus {
    let details = tonic_types::pb::Status::decode(status.details()).unwrap();
    let any = details
        .details
        .iter()
        .find(|any| any.type_url.ends_with("agb.gateway.v1.SyncStatus"))
        .expect("a SyncStatus among the details");
    pb::SyncStatus::decode(any.value.as_slice()).unwrap()
}

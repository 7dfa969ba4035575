//! Persists data in a browser session and finds it at another path in a code session, through the gateway's generated stubs.
//!
//! Without `--target` it starts a gateway and an emulated AGB of its own:
//!
//! ```text
//! cargo run --example cross_environment
//! cargo run --example cross_environment -- --target http://127.0.0.1:50051
//! ```

use std::error::Error;
use std::time::{Duration, Instant};

use agb_emulator::Emulator;
use agb_gateway::app::Gateway;
use agb_gateway::config::Config;
use agb_gateway::proto::v1::context_service_client::ContextServiceClient;
use agb_gateway::proto::v1::session_service_client::SessionServiceClient;
use agb_gateway::proto::v1::sync_service_client::SyncServiceClient;
use agb_gateway::proto::v1::{
    Context, ContextSync, CreateContextRequest, CreateSessionRequest, DeleteContextRequest,
    DeleteSessionRequest, ExecuteCommandRequest, MappingPolicy, SyncContextsRequest, SyncPolicy,
};
use clap::Parser;
use figment::Figment;
use tonic::Request;
use tonic::transport::Channel;

const ORIGINAL_PATH: &str = "/tmp/mapping";
const TARGET_PATH: &str = "/home/data";
const FILE: &str = "test-file.txt";
const TEXT: &str = "This file was created in the first session";

type Failure = Box<dyn Error>;

#[derive(Parser)]
struct Cli {
    /// A running gateway, for example `http://127.0.0.1:50051`. Default: one of its own, with an emulated AGB.
    #[arg(long)]
    target: Option<String>,
}

fn main() -> Result<(), Failure> {
    agb_emulator::sandbox::run_if_asked();
    let cli = Cli::parse();
    tokio::runtime::Runtime::new()?.block_on(async {
        match cli.target {
            Some(target) => scenario(target).await,
            None => with_own_gateway().await,
        }
    })
}

async fn with_own_gateway() -> Result<(), Failure> {
    let emulator = Emulator::start(agb_emulator::Config::default()).await?;
    let settings = Figment::new()
        .merge(("server.listen", "127.0.0.1:0"))
        .merge(("agb.endpoint", emulator.url()));
    let config = Config::read(&settings, Some("example-key".to_owned()))?;
    let gateway = Gateway::start(config).await?;
    let result = scenario(format!("http://{}", gateway.address())).await;
    emulator.stop().await;
    result
}

async fn scenario(target: String) -> Result<(), Failure> {
    let channel = Channel::from_shared(target)?.connect().await?;
    let mut contexts = ContextServiceClient::new(channel.clone());
    let context = step("get or create the context", async {
        let request = CreateContextRequest {
            context: Some(Context {
                name: "cross-platform-context".to_owned(),
                ..Context::default()
            }),
            ..CreateContextRequest::default()
        };
        let answer = contexts.create_context(within(30, request)).await?;
        answer.into_inner().context.ok_or("no context".into())
    })
    .await?;

    let result = persist_and_find(channel, &context.context_id).await;
    step("delete the context", async {
        let request = DeleteContextRequest {
            context_id: context.context_id,
            ..DeleteContextRequest::default()
        };
        Ok(contexts.delete_context(within(30, request)).await?)
    })
    .await?;
    let found = result?;
    if found.trim_end() != TEXT {
        return Err(format!("expected {TEXT:?} at {TARGET_PATH}/{FILE}, found {found:?}").into());
    }
    println!("found at {TARGET_PATH}/{FILE}: {found}");
    Ok(())
}

async fn persist_and_find(channel: Channel, context_id: &str) -> Result<String, Failure> {
    let mut syncs = SyncServiceClient::new(channel.clone());
    let mut sessions = SessionServiceClient::new(channel);

    let browser = step(
        "create a browser session",
        create_session(
            &mut sessions,
            "agb-browser-use-1",
            context_id,
            ORIGINAL_PATH,
            None,
        ),
    )
    .await?;
    let written = write_and_sync(&mut sessions, &mut syncs, &browser).await;
    step(
        "delete the browser session",
        delete_session(&mut sessions, &browser),
    )
    .await?;
    written?;

    let mapping = MappingPolicy {
        path: ORIGINAL_PATH.to_owned(),
    };
    let code = step(
        "create a code session with a mapping",
        create_session(
            &mut sessions,
            "agb-code-space-1",
            context_id,
            TARGET_PATH,
            Some(mapping),
        ),
    )
    .await?;
    let read = format!("cat {TARGET_PATH}/{FILE}");
    let found = step("read the file", execute(&mut sessions, &code, &read)).await;
    step(
        "delete the code session",
        delete_session(&mut sessions, &code),
    )
    .await?;
    found
}

async fn write_and_sync(
    sessions: &mut SessionServiceClient<Channel>,
    syncs: &mut SyncServiceClient<Channel>,
    session_id: &str,
) -> Result<(), Failure> {
    let write = format!("mkdir -p {ORIGINAL_PATH} && echo '{TEXT}' > {ORIGINAL_PATH}/{FILE}");
    step("write the file", execute(sessions, session_id, &write)).await?;
    step("sync, until AGB says that it has happened", async {
        let request = SyncContextsRequest {
            session_id: session_id.to_owned(),
            ..SyncContextsRequest::default()
        };
        Ok(syncs.sync_contexts(within(300, request)).await?)
    })
    .await?;
    Ok(())
}

async fn create_session(
    sessions: &mut SessionServiceClient<Channel>,
    image_id: &str,
    context_id: &str,
    path: &str,
    mapping_policy: Option<MappingPolicy>,
) -> Result<String, Failure> {
    let request = CreateSessionRequest {
        image_id: image_id.to_owned(),
        context_syncs: vec![ContextSync {
            context_id: context_id.to_owned(),
            path: path.to_owned(),
            policy: Some(SyncPolicy {
                mapping_policy,
                ..SyncPolicy::default()
            }),
            ..ContextSync::default()
        }],
        ..CreateSessionRequest::default()
    };
    let answer = sessions.create_session(within(300, request)).await?;
    let session = answer.into_inner().session.ok_or("no session")?;
    Ok(session.session_id)
}

async fn execute(
    sessions: &mut SessionServiceClient<Channel>,
    session_id: &str,
    command: &str,
) -> Result<String, Failure> {
    let request = ExecuteCommandRequest {
        session_id: session_id.to_owned(),
        command: command.to_owned(),
        ..ExecuteCommandRequest::default()
    };
    let answer = sessions
        .execute_command(within(30, request))
        .await?
        .into_inner();
    if answer.exit_code != 0 {
        return Err(format!("exit code {}: {}", answer.exit_code, answer.stderr).into());
    }
    Ok(answer.stdout)
}

async fn delete_session(
    sessions: &mut SessionServiceClient<Channel>,
    session_id: &str,
) -> Result<(), Failure> {
    let request = DeleteSessionRequest {
        session_id: session_id.to_owned(),
        ..DeleteSessionRequest::default()
    };
    sessions.delete_session(within(300, request)).await?;
    Ok(())
}

/// A request with a deadline: gRPC calls without one can wait for ever.
fn within<T>(seconds: u64, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(Duration::from_secs(seconds));
    request
}

async fn step<T>(
    what: &str,
    doing: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let start = Instant::now();
    let result = doing.await;
    let outcome = if result.is_ok() { "done" } else { "FAILED" };
    println!("{what}: {outcome} in {:.0?}", start.elapsed());
    result
}

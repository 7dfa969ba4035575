//! Many wait for the syncs of a few sessions: how often is AGB asked, and how much memory does the gateway take?
//!
//! `scripts/sync-waiters` builds and runs it. It fails when many waiters cost 5 % more looks than few, or when the crowd does not
//! fit in 1 GiB.

mod support;

use std::path::PathBuf;
use std::time::Duration;

use agb_emulator::{Emulator, Fault, FaultAction};
use agb_gateway::proto::v1::context_service_client::ContextServiceClient;
use agb_gateway::proto::v1::session_service_client::SessionServiceClient;
use agb_gateway::proto::v1::sync_policy_service_client::SyncPolicyServiceClient;
use agb_gateway::proto::v1::sync_service_client::SyncServiceClient;
use agb_gateway::proto::v1::{
    Context, ContextSync, CreateContextRequest, CreateSessionRequest, GetDefaultSyncPolicyRequest,
    SyncContextsRequest, WaitForSyncRequest, wait_for_sync_request::Target,
};
use clap::Parser;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::{Code, Request};

use support::{Failure, Gateway};

/// A connection carries at most so many calls at once.
const CALLS_PER_CONNECTION: usize = 200;
const MAX_MORE_LOOKS: f64 = 0.05;
const MAX_MIB: i64 = 1024;
/// By then looks at a sync of unknown length have become as rare as they get.
const SETTLED_PACE: Duration = Duration::from_secs(25);
/// No wait ends by its deadline.
const DEADLINE: Duration = Duration::from_mins(14);

#[derive(Parser)]
struct Cli {
    /// The gateway's program.
    #[arg(long)]
    gateway: PathBuf,
    /// How many sessions there are.
    #[arg(long, default_value_t = 100)]
    sessions: usize,
    /// How many waiters are compared with one for each session.
    #[arg(long, default_value_t = 10_000)]
    waiters: usize,
    /// How many waiters have to fit into the memory.
    #[arg(long, default_value_t = 100_000)]
    crowd: usize,
    /// For how many seconds looks are counted.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
}

fn main() -> Result<(), Failure> {
    agb_emulator::sandbox::run_if_asked();
    let cli = Cli::parse();
    tokio::runtime::Runtime::new()?.block_on(measure(&cli))
}

async fn measure(cli: &Cli) -> Result<(), Failure> {
    let few = looks(cli, cli.sessions).await?;
    let many = looks(cli, cli.waiters).await?;
    let crowd = looks(cli, cli.crowd).await?;
    #[allow(clippy::cast_precision_loss)] // A few thousand.
    let ratio = many.looks as f64 / few.looks as f64;
    println!(
        "{} waiters cost {ratio:.3} times the looks of {}",
        cli.waiters, cli.sessions
    );
    if ratio > 1.0 + MAX_MORE_LOOKS {
        return Err("more waiters cost more looks".into());
    }
    if crowd.resident_mib >= MAX_MIB {
        return Err(format!("{} waiters take more than {MAX_MIB} MiB", cli.crowd).into());
    }
    Ok(())
}

struct Figures {
    looks: u64,
    resident_mib: i64,
}

/// So many waiters, in equal shares, on syncs that do not end. In the end every session is gone, and every waiter hears of it.
async fn looks(cli: &Cli, waiters: usize) -> Result<Figures, Failure> {
    let emulator = Emulator::start(agb_emulator::Config::default()).await?;
    let gateway = Gateway::start(&cli.gateway, &emulator.url())?;
    let before = gateway.resident_mib()?;
    let tokens = endless_syncs(cli, &emulator, &gateway).await?;
    let mut waits = JoinSet::new();
    let mut channels = Vec::new();
    for connection in 0..waiters.div_ceil(CALLS_PER_CONNECTION) {
        let channel = connect(&gateway).await?;
        let first = connection * CALLS_PER_CONNECTION;
        for waiter in first..waiters.min(first + CALLS_PER_CONNECTION) {
            let token = tokens[waiter % tokens.len()].clone();
            waits.spawn(wait(SyncServiceClient::new(channel.clone()), token));
        }
        channels.push(channel);
    }
    tokio::time::sleep(SETTLED_PACE).await;
    // A call that comes after the others on its connection is answered after they have been taken.
    for channel in channels {
        SyncPolicyServiceClient::new(channel)
            .get_default_sync_policy(GetDefaultSyncPolicyRequest {})
            .await?;
    }
    let count = emulator.request_count("GetContextInfo");
    tokio::time::sleep(Duration::from_secs(cli.seconds)).await;
    let looks = emulator.request_count("GetContextInfo") - count;
    let resident_mib = gateway.resident_mib()?;
    println!(
        "{waiters} waiters on {} sessions: {looks} looks in {} s; {resident_mib} MiB resident, {before} MiB before",
        cli.sessions, cli.seconds
    );
    if waits.try_join_next().is_some() {
        return Err("a wait ended before its time".into());
    }
    let gone = FaultAction::Respond {
        status: 400,
        body: r#"{"success": false, "code": "InvalidMcpSession.NotFound"}"#.to_owned(),
        headers: std::collections::BTreeMap::new(),
    };
    inject(&emulator, "GetContextInfo", u32::MAX, gone);
    while let Some(code) = waits.join_next().await {
        if code? != Code::NotFound {
            return Err("a wait did not hear that its session is gone".into());
        }
    }
    emulator.stop().await;
    Ok(Figures {
        looks,
        resident_mib,
    })
}

/// Starts a sync in each of the sessions that does not end.
async fn endless_syncs(
    cli: &Cli,
    emulator: &Emulator,
    gateway: &Gateway,
) -> Result<Vec<String>, Failure> {
    let channel = connect(gateway).await?;
    let stall = FaultAction::StallSyncTask { direction: None };
    inject(emulator, "SyncContext", u32::MAX, stall);
    let mut tokens = Vec::new();
    for number in 0..cli.sessions {
        let context = Context {
            name: format!("c-{number}"),
            ..Context::default()
        };
        let request = CreateContextRequest {
            context: Some(context),
            ..CreateContextRequest::default()
        };
        let created = ContextServiceClient::new(channel.clone())
            .create_context(request)
            .await?
            .into_inner();
        let request = CreateSessionRequest {
            image_id: "agb-code-space-1".to_owned(),
            context_syncs: vec![ContextSync {
                context_id: created.context.ok_or("no context")?.context_id,
                path: "/home/data".to_owned(),
                ..ContextSync::default()
            }],
            ..CreateSessionRequest::default()
        };
        let created = SessionServiceClient::new(channel.clone())
            .create_session(request)
            .await?
            .into_inner();
        let request = SyncContextsRequest {
            session_id: created.session.ok_or("no session")?.session_id,
            return_immediately: true,
            ..SyncContextsRequest::default()
        };
        let started = SyncServiceClient::new(channel.clone())
            .sync_contexts(request)
            .await?
            .into_inner();
        tokens.push(started.status.ok_or("no status")?.sync_token);
    }
    Ok(tokens)
}

async fn wait(mut syncs: SyncServiceClient<Channel>, token: String) -> Code {
    let mut request = Request::new(WaitForSyncRequest {
        target: Some(Target::SyncToken(token)),
    });
    request.set_timeout(DEADLINE);
    match syncs.wait_for_sync(request).await {
        Ok(_) => Code::Ok,
        Err(status) => status.code(),
    }
}

fn inject(emulator: &Emulator, operation: &str, times: u32, action: FaultAction) {
    emulator.faults().inject(Fault {
        operation: operation.to_owned(),
        times,
        action,
    });
}

async fn connect(gateway: &Gateway) -> Result<Channel, Failure> {
    let endpoint = Channel::from_shared(format!("http://{}", gateway.address))?;
    Ok(endpoint.connect().await?)
}

//! Data of a browser session, found in a code session at another path. Argument: the gateway's address.

use std::error::Error;

use agb::context_service_client::ContextServiceClient;
use agb::session_service_client::SessionServiceClient;
use agb::sync_service_client::SyncServiceClient;
use agb_gateway_clients as agb;
use tonic::transport::Endpoint;

#[rustfmt::skip] // A statement is a line.
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let channel = Endpoint::new(std::env::args().nth(1).map_or("http://127.0.0.1:50051".into(), |a| format!("http://{a}")))?.connect().await?;
    let (mut contexts, mut sessions) = (ContextServiceClient::new(channel.clone()), SessionServiceClient::new(channel.clone()));
    let named = Some(agb::Context { name: "cross-platform-context".into(), ..Default::default() });
    let created = contexts.create_context(agb::CreateContextRequest { context: named, ..Default::default() }).await?.into_inner();
    let mount = agb::ContextSync { context_id: created.context.unwrap_or_default().context_id, path: "/tmp/mapping".into(), ..Default::default() };
    let browser = agb::CreateSessionRequest { image_id: "agb-browser-use-1".into(), context_syncs: vec![mount.clone()], ..Default::default() };
    let session_id = sessions.create_session(browser).await?.into_inner().session.unwrap_or_default().session_id;
    let command = "echo 'This file was created in the first session' > /tmp/mapping/test-file.txt".into();
    sessions.execute_command(agb::ExecuteCommandRequest { session_id: session_id.clone(), command, ..Default::default() }).await?;
    SyncServiceClient::new(channel).sync_contexts(agb::SyncContextsRequest { session_id: session_id.clone(), ..Default::default() }).await?;
    // Synced: what follows is another session, which sees the data at another path.
    sessions.delete_session(agb::DeleteSessionRequest { session_id, ..Default::default() }).await?;
    let mapping_policy = Some(agb::MappingPolicy { path: "/tmp/mapping".into() });
    let policy = Some(agb::SyncPolicy { mapping_policy, ..Default::default() });
    let mapped = agb::ContextSync { path: "/home/data".into(), policy, ..mount.clone() };
    let code = agb::CreateSessionRequest { image_id: "agb-code-space-1".into(), context_syncs: vec![mapped], ..Default::default() };
    let session_id = sessions.create_session(code).await?.into_inner().session.unwrap_or_default().session_id;
    let command = "cat /home/data/test-file.txt".into();
    let read = agb::ExecuteCommandRequest { session_id: session_id.clone(), command, ..Default::default() };
    print!("{}", sessions.execute_command(read).await?.into_inner().stdout);
    sessions.delete_session(agb::DeleteSessionRequest { session_id, ..Default::default() }).await?;
    contexts.delete_context(agb::DeleteContextRequest { context_id: mount.context_id, ..Default::default() }).await?;
    Ok(())
}

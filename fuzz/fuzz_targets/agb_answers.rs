//! AGB's answers: whatever it says to any of these calls, the gateway answers, and claims nothing that AGB has not called done.
//!
//! The first byte is the call, and then come the bodies of AGB's answers, each ended by 0xff, which is in no JSON.
#![no_main]

use std::time::Duration;

use agb_gateway::proto::v1 as pb;
use agb_gateway_fuzz::{KEY, World};
use libfuzzer_sys::fuzz_target;
use pb::context_service_client::ContextServiceClient;
use pb::mapping_policy_service_client::MappingPolicyServiceClient;
use pb::session_service_client::SessionServiceClient;
use pb::sync_service_client::SyncServiceClient;
use tonic::Status;

const ID: &str = "session-1";
const CONTEXT: &str = "SdkCtx-1";
/// Some answers make the gateway ask again and again.
const PATIENCE: Duration = Duration::from_millis(100);

/// Makes one unary call, and says what came of it.
macro_rules! call {
    ($channel:ident, $client:ident.$method:ident($request:ident { $($field:ident: $value:expr),* $(,)? })) => {{
        #[allow(clippy::needless_update)] // Some have no other fields.
        let request = pb::$request { $($field: $value,)* ..pb::$request::default() };
        let mut request = tonic::Request::new(request);
        request.set_timeout(PATIENCE);
        let answer = $client::new($channel).$method(request).await;
        answer.map(|answer| format!("{:?}", answer.into_inner()))
    }};
}

/// The same of a call whose only field is the session.
macro_rules! about {
    ($channel:ident, $method:ident, $request:ident) => {
        call!(
            $channel,
            SessionServiceClient.$method($request {
                session_id: ID.to_owned()
            })
        )
    };
}

async fn ask(world: &World, which: u8) -> Result<String, Status> {
    let channel = world.channel.clone();
    let context_id = || CONTEXT.to_owned();
    let session_id = || ID.to_owned();
    let path = || "/tmp/original".to_owned();
    match which % 26 {
        0 => call!(
            channel,
            ContextServiceClient.get_context(GetContextRequest {
                selector: Some(pb::get_context_request::Selector::Name("c".to_owned())),
            })
        ),
        1 => call!(
            channel,
            ContextServiceClient.create_context(CreateContextRequest {
                context: Some(pb::Context {
                    name: "c".to_owned(),
                    ..pb::Context::default()
                }),
            })
        ),
        2 => call!(
            channel,
            ContextServiceClient.list_contexts(ListContextsRequest {})
        ),
        3 => call!(
            channel,
            ContextServiceClient.list_context_files(ListContextFilesRequest {
                context_id: context_id()
            })
        ),
        4 => call!(
            channel,
            ContextServiceClient.create_upload_url(CreateUploadUrlRequest {
                context_id: context_id(),
                path: path()
            })
        ),
        5 => call!(
            channel,
            ContextServiceClient.create_download_url(CreateDownloadUrlRequest {
                context_id: context_id(),
                path: path()
            })
        ),
        6 => call!(
            channel,
            ContextServiceClient.delete_context(DeleteContextRequest {
                context_id: context_id()
            })
        ),
        7 => call!(
            channel,
            ContextServiceClient.delete_context_file(DeleteContextFileRequest {
                context_id: context_id(),
                path: path()
            })
        ),
        8 => about!(channel, get_session, GetSessionRequest),
        9 => call!(
            channel,
            SessionServiceClient.list_sessions(ListSessionsRequest {})
        ),
        10 => about!(channel, keep_session_alive, KeepSessionAliveRequest),
        11 => about!(channel, get_session_labels, GetSessionLabelsRequest),
        12 => about!(channel, get_session_link, GetSessionLinkRequest),
        13 => about!(channel, get_cdp_link, GetCdpLinkRequest),
        14 => about!(channel, get_session_metrics, GetSessionMetricsRequest),
        15 => about!(channel, get_session_resource, GetSessionResourceRequest),
        16 => about!(channel, init_browser, InitBrowserRequest),
        17 => about!(channel, load_internal_contexts, LoadInternalContextsRequest),
        18 => call!(
            channel,
            SessionServiceClient.execute_command(ExecuteCommandRequest {
                session_id: session_id(),
                command: "true".to_owned()
            })
        ),
        19 => call!(
            channel,
            SessionServiceClient.run_code(RunCodeRequest {
                session_id: session_id(),
                code: "1".to_owned(),
                language: "python".to_owned(),
            })
        ),
        20 => call!(
            channel,
            SessionServiceClient.call_tool(CallToolRequest {
                session_id: session_id(),
                name: "t".to_owned()
            })
        ),
        21 => call!(
            channel,
            SessionServiceClient.list_tools(ListToolsRequest {
                image_id: "i".to_owned()
            })
        ),
        22 => call!(
            channel,
            SessionServiceClient.list_directory(ListDirectoryRequest {
                session_id: session_id(),
                path: path()
            })
        ),
        23 => call!(
            channel,
            SyncServiceClient.get_sync_status(GetSyncStatusRequest {
                target: Some(pb::get_sync_status_request::Target::SessionId(session_id())),
            })
        ),
        24 => call!(
            channel,
            SyncServiceClient.sync_contexts(SyncContextsRequest {
                session_id: session_id(),
                return_immediately: true
            })
        ),
        _ => call!(
            channel,
            MappingPolicyServiceClient.inspect_mapping(InspectMappingRequest {
                context_id: context_id(),
                original_path: path(),
            })
        ),
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&which, bodies)) = input.split_first() else {
        return;
    };
    World::with(|world, runtime| {
        world.answer(bodies.split(|byte| *byte == 0xff).map(<[u8]>::to_vec));
        let came = runtime.block_on(ask(world, which));
        let words = match &came {
            Ok(answer) => answer.clone(),
            Err(status) => format!("{status:?}"),
        };
        let told = String::from_utf8_lossy(bodies);
        assert!(came.is_err() || told.contains("true"), "{words}");
        assert!(!words.contains(KEY) || told.contains(KEY), "{words}");
    });
});

//! SessionService, what goes through tools: by the session's own link, and where it has none through the endpoint.

use agb_gateway::proto::v1 as pb;
use pb::session_service_client::SessionServiceClient;
use pb::write_file_request::Payload;

use crate::row::{About, Call, Class, Row, client_stream, server_stream, unary};
use crate::support::Effect;

/// A session without a link.
const NO_LINK: &[(&str, &str)] = &[("getSession", r#"{"success": true, "data": {}}"#)];
const SECONDS: Option<prost_types::Duration> = Some(prost_types::Duration {
    seconds: 3,
    nanos: 0,
});

/// The session's link is asked for first.
const fn route(rpc: &'static str, call: Call) -> Row {
    let (class, about) = (Class::Safe, About::Session);
    Row::new(rpc, "getSession", class, about, Effect::Nothing, call)
}

const fn link(rpc: &'static str, call: Call) -> Row {
    let (class, about) = (Class::Never, About::Session);
    Row::new(rpc, "callTool", class, about, Effect::Nothing, call).later()
}

const fn endpoint(rpc: &'static str, call: Call) -> Row {
    let (class, about) = (Class::Never, About::Session);
    let row = Row::new(rpc, "mcp", class, about, Effect::Nothing, call);
    row.later().standing_in(NO_LINK)
}

pub(crate) const ROWS: &[Row] = &[
    route("SessionService/ExecuteCommand", EXECUTE_COMMAND),
    link("SessionService/ExecuteCommand", EXECUTE_COMMAND),
    endpoint("SessionService/ExecuteCommand", EXECUTE_COMMAND),
    route("SessionService/RunCode", RUN_CODE),
    endpoint("SessionService/RunCode", RUN_CODE),
    route("SessionService/CallTool", CALL_TOOL),
    link("SessionService/CallTool", CALL_TOOL),
    endpoint("SessionService/CallTool", CALL_TOOL),
    route("SessionService/ListDirectory", LIST_DIRECTORY),
    endpoint("SessionService/ListDirectory", LIST_DIRECTORY),
    route("SessionService/GetSessionMetrics", GET_SESSION_METRICS),
    endpoint("SessionService/GetSessionMetrics", GET_SESSION_METRICS),
    // Two tools: the size, and the bytes.
    route("SessionService/ReadFile", READ_FILE),
    endpoint("SessionService/ReadFile", READ_FILE).and_more(1),
    // An empty part, its text, and putting it in place.
    route("SessionService/WriteFile", WRITE_FILE),
    endpoint("SessionService/WriteFile", WRITE_FILE).and_more(2),
];

const EXECUTE_COMMAND: Call = unary!(SessionServiceClient.execute_command, |fixture| {
    pb::ExecuteCommandRequest {
        session_id: fixture.session_id,
        command: "true".to_owned(),
        timeout: SECONDS,
        ..pb::ExecuteCommandRequest::default()
    }
});

const RUN_CODE: Call = unary!(SessionServiceClient.run_code, |fixture| {
    pb::RunCodeRequest {
        session_id: fixture.session_id,
        code: "1".to_owned(),
        language: "python".to_owned(),
        timeout: SECONDS,
    }
});

const CALL_TOOL: Call = unary!(SessionServiceClient.call_tool, |fixture| {
    pb::CallToolRequest {
        session_id: fixture.session_id,
        name: "get_metrics".to_owned(),
        ..pb::CallToolRequest::default()
    }
});

const LIST_DIRECTORY: Call = unary!(SessionServiceClient.list_directory, |fixture| {
    pb::ListDirectoryRequest {
        session_id: fixture.session_id,
        path: "/home/data".to_owned(),
    }
});

const GET_SESSION_METRICS: Call = unary!(SessionServiceClient.get_session_metrics, |fixture| {
    pb::GetSessionMetricsRequest {
        session_id: fixture.session_id,
    }
});

const READ_FILE: Call = server_stream!(SessionServiceClient.read_file, |fixture| {
    pb::ReadFileRequest {
        session_id: fixture.session_id,
        path: "/home/data/file.txt".to_owned(),
        ..pb::ReadFileRequest::default()
    }
});

const WRITE_FILE: Call = client_stream!(SessionServiceClient.write_file, |fixture| {
    let header = pb::WriteFileHeader {
        session_id: fixture.session_id,
        path: "/home/data/new.txt".to_owned(),
        ..pb::WriteFileHeader::default()
    };
    [Payload::Header(header), Payload::Data(b"new".to_vec())].map(|payload| pb::WriteFileRequest {
        payload: Some(payload),
    })
});

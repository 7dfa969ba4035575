//! SessionService, without what goes through tools.

use agb_gateway::proto::v1 as pb;
use pb::session_service_client::SessionServiceClient;

use crate::row::{About, Call, Class, Row, unary};
use crate::support::{Effect, MOUNT};

/// A call that names a session and nothing else.
macro_rules! of_session {
    ($method:ident, $request:ident $(, ..$default:ident)?) => {
        unary!(SessionServiceClient.$method, |fixture| pb::$request {
            session_id: fixture.session_id,
            $(..pb::$default::default())?
        })
    };
}

/// A row about the session of the fixture.
const fn session_row(
    rpc: &'static str,
    operation: &'static str,
    class: Class,
    effect: Effect,
    call: Call,
) -> Row {
    Row::new(rpc, operation, class, About::Session, effect, call)
}

const LINK: &str = r#"{"success": true, "data": {"url": "https://example.com"}}"#;
const BROWSER: &str = r#"{"success": true, "data": {"port": "9222"}}"#;

pub(crate) const ROWS: &[Row] = &[
    Row::new(
        "SessionService/CreateSession",
        "createSession",
        Class::Once,
        About::Nothing,
        Effect::NewSession,
        unary!(SessionServiceClient.create_session, |_| {
            pb::CreateSessionRequest {
                image_id: "agb-code-space-1".to_owned(),
                ..pb::CreateSessionRequest::default()
            }
        }),
    ),
    // Waiting for the contexts of the new session.
    Row::new(
        "SessionService/CreateSession",
        "GetContextInfo",
        Class::Look,
        About::Session,
        Effect::Nothing,
        CREATE_SESSION_WITH_MOUNTS,
    )
    .later()
    .and_more(0)
    .before(Effect::NewSession)
    .leaving(Effect::ReleasedSession),
    // Handing it over.
    Row::new(
        "SessionService/CreateSession",
        "SetLabel",
        Class::Safe,
        About::Session,
        Effect::Nothing,
        CREATE_SESSION_WITH_MOUNTS,
    )
    .later()
    .before(Effect::NewSession)
    .leaving(Effect::ReleasedSession),
    session_row(
        "SessionService/GetSession",
        "getSession",
        Class::Safe,
        Effect::Nothing,
        of_session!(get_session, GetSessionRequest),
    ),
    Row::new(
        "SessionService/ListSessions",
        "ListSession",
        Class::Safe,
        About::Nothing,
        Effect::Nothing,
        unary!(SessionServiceClient.list_sessions, |_| {
            pb::ListSessionsRequest::default()
        }),
    ),
    session_row(
        "SessionService/DeleteSession",
        "releaseSessionAsync",
        Class::Safe,
        Effect::LostSession,
        of_session!(delete_session, DeleteSessionRequest, ..DeleteSessionRequest),
    ),
    session_row(
        "SessionService/KeepSessionAlive",
        "refreshSessionIdleTime",
        Class::Safe,
        Effect::Nothing,
        of_session!(keep_session_alive, KeepSessionAliveRequest),
    ),
    session_row(
        "SessionService/SetSessionLabels",
        "GetLabel",
        Class::Safe,
        Effect::Nothing,
        SET_SESSION_LABELS,
    )
    .before(Effect::NewLabel),
    session_row(
        "SessionService/SetSessionLabels",
        "SetLabel",
        Class::Safe,
        Effect::NewLabel,
        SET_SESSION_LABELS,
    )
    .later(),
    session_row(
        "SessionService/GetSessionLabels",
        "GetLabel",
        Class::Safe,
        Effect::Nothing,
        of_session!(get_session_labels, GetSessionLabelsRequest),
    ),
    Row::new(
        "SessionService/ListTools",
        "listTools",
        Class::Safe,
        About::Nothing,
        Effect::Nothing,
        unary!(SessionServiceClient.list_tools, |_| {
            pb::ListToolsRequest {
                image_id: "agb-code-space-1".to_owned(),
            }
        }),
    ),
    session_row(
        "SessionService/GetSessionLink",
        "getLink",
        Class::Safe,
        Effect::Nothing,
        of_session!(
            get_session_link,
            GetSessionLinkRequest,
            ..GetSessionLinkRequest
        ),
    ),
    session_row(
        "SessionService/GetCdpLink",
        "getCdpLink",
        Class::Safe,
        Effect::Nothing,
        of_session!(get_cdp_link, GetCdpLinkRequest),
    )
    .standing_in(&[("getCdpLink", LINK)]),
    session_row(
        "SessionService/GetSessionResource",
        "getMcpResource",
        Class::Safe,
        Effect::Nothing,
        of_session!(get_session_resource, GetSessionResourceRequest),
    ),
    session_row(
        "SessionService/InitBrowser",
        "init",
        Class::Once,
        Effect::Nothing,
        of_session!(init_browser, InitBrowserRequest, ..InitBrowserRequest),
    )
    .standing_in(&[("init", BROWSER)]),
    session_row(
        "SessionService/LoadInternalContexts",
        "GetAndLoadInternalContext",
        Class::Safe,
        Effect::InternalContext,
        unary!(SessionServiceClient.load_internal_contexts, |fixture| {
            pb::LoadInternalContextsRequest {
                session_id: fixture.session_id,
                context_types: vec!["file_transfer".to_owned()],
            }
        }),
    ),
];

const CREATE_SESSION_WITH_MOUNTS: Call = unary!(SessionServiceClient.create_session, |fixture| {
    pb::CreateSessionRequest {
        image_id: "agb-code-space-1".to_owned(),
        context_syncs: vec![pb::ContextSync {
            context_id: fixture.context_id,
            path: MOUNT.to_owned(),
            ..pb::ContextSync::default()
        }],
        ..pb::CreateSessionRequest::default()
    }
});

const SET_SESSION_LABELS: Call = unary!(SessionServiceClient.set_session_labels, |fixture| {
    pb::SetSessionLabelsRequest {
        session_id: fixture.session_id,
        labels: [("team".to_owned(), "data".to_owned())].into(),
    }
});

//! What callers may do: rights, images and quotas over real gRPC.

use std::fs;

use agb_gateway::auth::NewToken;
use agb_gateway::layer::{AGB_REQUEST_ID, TRACE_ID};
use agb_gateway::proto::v1 as pb;
use tempfile::TempDir;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::authentication::{bearer, toml};
use crate::support::{BROWSER_IMAGE, CODE_IMAGE, World, reason, within, wrong_fields};

/// A world in which principals have tokens.
struct Tenancy {
    world: World,
    tokens: Vec<(&'static str, String)>,
    _folder: TempDir,
}

impl Tenancy {
    async fn start(principals: &[&'static str], rules: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens");
        let mut lines = String::new();
        let mut tokens = Vec::new();
        for principal in principals {
            let token = NewToken::generate(principal).unwrap();
            lines.push_str(&token.line);
            lines.push('\n');
            tokens.push((*principal, bearer(token.expose())));
        }
        fs::write(&file, lines).unwrap();
        let settings = format!("[auth]\nmethods = [\"token\"]\n{rules}");
        let settings = toml(&settings).merge(("auth.token_file", &file));
        Self {
            world: World::with_settings(settings).await,
            tokens,
            _folder: folder,
        }
    }

    /// A request of a principal.
    fn of<T>(&self, principal: &str, message: T) -> Request<T> {
        let mut tokens = self.tokens.iter();
        let (_, token) = tokens.find(|(name, _)| *name == principal).unwrap();
        let mut request = within(message);
        let token = token.parse().unwrap();
        request.metadata_mut().insert("authorization", token);
        request
    }

    async fn create(&self, principal: &str, image: &str) -> Result<String, Status> {
        self.create_with(principal, image, &[]).await
    }

    async fn create_with(
        &self,
        principal: &str,
        image: &str,
        labels: &[(&str, &str)],
    ) -> Result<String, Status> {
        let request = pb::CreateSessionRequest {
            image_id: image.to_owned(),
            labels: map(labels),
            ..pb::CreateSessionRequest::default()
        };
        let request = self.of(principal, request);
        let answer = self.world.sessions().create_session(request).await?;
        Ok(answer.into_inner().session.unwrap().session_id)
    }
}

fn map(labels: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    labels.iter().map(owned).collect()
}

/// The right that an answer calls missing.
fn missing(answer: Result<(), Status>) -> Option<String> {
    let status = answer.err()?;
    assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
    assert_eq!(reason(&status), "PERMISSION_DENIED");
    let details = status.get_error_details();
    let metadata = &details.error_info().unwrap().metadata;
    let right = metadata.get("right").cloned();
    let principal = metadata["principal"].as_str();
    assert!(status.message().contains(principal), "{status:?}");
    Some(right.unwrap_or_default())
}

#[tokio::test]
async fn each_role_opens_its_calls_and_no_others() {
    let tenancy = Tenancy::start(
        &["reader", "runner", "keeper", "boss", "nobody"],
        r#"
        [[auth.rules]]
        principals = ["token:reader"]
        roles = ["read"]
        [[auth.rules]]
        principals = ["token:runner"]
        roles = ["sessions"]
        [[auth.rules]]
        principals = ["token:keeper"]
        roles = ["contexts"]
        [[auth.rules]]
        principals = ["token:boss"]
        roles = ["admin"]
        "#,
    )
    .await;
    let world = &tenancy.world;
    for (principal, read, sessions, contexts) in [
        ("reader", None, Some("sessions"), Some("contexts")),
        ("runner", Some("read"), None, Some("contexts")),
        ("keeper", Some("read"), Some("sessions"), None),
        ("boss", None, None, None),
        ("nobody", Some(""), Some(""), Some("")),
    ] {
        let request = tenancy.of(principal, pb::ListContextsRequest::default());
        let answer = world.contexts().list_contexts(request).await;
        assert_eq!(missing(answer.map(|_| ())).as_deref(), read, "{principal}");
        let answer = tenancy.create(principal, CODE_IMAGE).await;
        assert_eq!(
            missing(answer.map(|_| ())).as_deref(),
            sessions,
            "{principal}"
        );
        let request = pb::CreateContextRequest {
            context: Some(pb::Context {
                name: format!("of-{principal}"),
                ..pb::Context::default()
            }),
            ..pb::CreateContextRequest::default()
        };
        let answer = world
            .contexts()
            .create_context(tenancy.of(principal, request))
            .await;
        assert_eq!(
            missing(answer.map(|_| ())).as_deref(),
            contexts,
            "{principal}"
        );
    }
}

#[tokio::test]
async fn a_session_has_an_image_that_its_creator_may_use() {
    let tenancy = Tenancy::start(
        &["ci"],
        r#"
        [[auth.rules]]
        principals = ["token:*"]
        roles = ["sessions"]
        images = ["agb-code-*"]
        "#,
    )
    .await;
    tenancy.create("ci", CODE_IMAGE).await.unwrap();
    let status = tenancy.create("ci", BROWSER_IMAGE).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(wrong_fields(&status), ["image_id"]);
    assert!(status.message().contains("agb-code-*"), "{status:?}");
    assert_eq!(tenancy.world.active().await.len(), 1);
}

#[tokio::test]
async fn a_caller_who_calls_too_often_is_told_when_to_call_again() {
    let tenancy = Tenancy::start(
        &["ci", "other"],
        r#"
        [[auth.rules]]
        principals = ["token:*"]
        roles = ["read"]
        calls_per_second = 0.001
        burst = 2
        "#,
    )
    .await;
    let list = async |principal| {
        let request = tenancy.of(principal, pb::ListContextsRequest::default());
        tenancy.world.contexts().list_contexts(request).await
    };
    for _ in 0..2 {
        list("ci").await.unwrap();
    }
    let status = list("ci").await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(reason(&status), "RATE_LIMITED");
    let retry = status.get_error_details().retry_info().unwrap().retry_delay;
    assert!(retry.unwrap().as_secs() > 900, "{retry:?}");
    list("other").await.unwrap();
}

/// Two teams that use one account, and someone whom no labels bind.
async fn two_teams() -> Tenancy {
    Tenancy::start(
        &["red", "blue", "boss"],
        r#"
        [[auth.rules]]
        principals = ["token:red"]
        roles = ["read", "sessions"]
        labels = { team = "red" }
        [[auth.rules]]
        principals = ["token:blue"]
        roles = ["read", "sessions"]
        labels = { team = "blue" }
        [[auth.rules]]
        principals = ["token:boss"]
        roles = ["admin"]
        "#,
    )
    .await
}

#[tokio::test]
async fn the_labels_of_a_rule_are_on_every_session_and_stay_there() {
    let tenancy = two_teams().await;
    let red = tenancy
        .create_with("red", CODE_IMAGE, &[("a", "b")])
        .await
        .unwrap();
    let status = tenancy
        .create_with("red", CODE_IMAGE, &[("team", "blue")])
        .await;
    let status = status.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(wrong_fields(&status), ["labels[\"team\"]"]);
    assert_eq!(tenancy.world.active().await, std::slice::from_ref(&red));

    let set = async |labels| {
        let request = pb::SetSessionLabelsRequest {
            session_id: red.clone(),
            labels: map(labels),
        };
        let request = tenancy.of("red", request);
        tenancy.world.sessions().set_session_labels(request).await
    };
    let status = set(&[("team", "none")]).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    set(&[("c", "d")]).await.unwrap();
    let request = pb::GetSessionLabelsRequest {
        session_id: red.clone(),
    };
    let answer = tenancy
        .world
        .sessions()
        .get_session_labels(tenancy.of("boss", request))
        .await;
    assert_eq!(
        answer.unwrap().into_inner().labels,
        map(&[("c", "d"), ("team", "red")])
    );
}

#[tokio::test]
async fn a_list_shows_a_caller_its_own_sessions() {
    let tenancy = two_teams().await;
    let red = tenancy.create("red", CODE_IMAGE).await.unwrap();
    let blue = tenancy.create("blue", CODE_IMAGE).await.unwrap();
    let list = async |principal, labels| {
        let request = pb::ListSessionsRequest {
            labels: map(labels),
            ..pb::ListSessionsRequest::default()
        };
        let request = tenancy.of(principal, request);
        let answer = tenancy.world.sessions().list_sessions(request).await?;
        let sessions = answer.into_inner().sessions.into_iter();
        let mut ids: Vec<_> = sessions.map(|session| session.session_id).collect();
        ids.sort();
        Ok::<_, Status>(ids)
    };
    assert_eq!(list("red", &[]).await.unwrap(), std::slice::from_ref(&red));
    assert_eq!(
        list("blue", &[]).await.unwrap(),
        std::slice::from_ref(&blue)
    );
    let status = list("red", &[("team", "blue")]).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let mut both = vec![red, blue];
    both.sort();
    assert_eq!(list("boss", &[]).await.unwrap(), both);
}

#[tokio::test]
async fn a_request_id_says_nothing_of_the_sessions_of_another() {
    let tenancy = two_teams().await;
    let create = async |principal, image: &str| {
        let request = pb::CreateSessionRequest {
            image_id: image.to_owned(),
            request_id: "r".to_owned(),
            ..pb::CreateSessionRequest::default()
        };
        let request = tenancy.of(principal, request);
        let answer = tenancy.world.sessions().create_session(request).await?;
        Ok::<_, Status>(answer.into_inner().session.unwrap().session_id)
    };
    // At once and one after the other, with other parameters and the same.
    let (red, blue) = tokio::join!(create("red", CODE_IMAGE), create("blue", BROWSER_IMAGE));
    let (red, blue) = (red.unwrap(), blue.unwrap());
    let boss = create("boss", CODE_IMAGE).await.unwrap();
    assert!(red != blue && red != boss && blue != boss);
    for (principal, image, own) in [
        ("red", CODE_IMAGE, &red),
        ("blue", BROWSER_IMAGE, &blue),
        ("boss", CODE_IMAGE, &boss),
    ] {
        assert_eq!(create(principal, image).await.unwrap(), *own);
    }
    let status = create("red", BROWSER_IMAGE).await.unwrap_err();
    assert_eq!(reason(&status), "REQUEST_ID_REUSED");
    let details = status.get_error_details();
    assert_eq!(details.resource_info().unwrap().resource_name, red);
}

/// What a caller may learn from an error, without the ids that it knows itself and AGB's ids of requests.
fn seen(status: &Status, session_id: &str) -> String {
    let details = status.get_error_details();
    let metadata = status.metadata();
    let text = format!(
        "{:?} {} {:?} {:?} {}",
        status.code(),
        status.message(),
        details.error_info(),
        details.resource_info(),
        metadata.contains_key(AGB_REQUEST_ID),
    );
    let trace_id = metadata.get(TRACE_ID).unwrap().to_str().unwrap();
    text.replace(session_id, "<id>")
        .replace(trace_id, "<trace>")
}

#[tokio::test]
async fn the_session_of_another_is_as_if_it_did_not_exist() {
    let tenancy = two_teams().await;
    let blue = tenancy.create("blue", CODE_IMAGE).await.unwrap();
    let unknown = "s-0000000000";
    macro_rules! check {
        ($client:ident.$method:ident, $id:ident => $request:expr) => {{
            let mut answers = Vec::new();
            for $id in [blue.as_str(), unknown] {
                let request = tenancy.of("red", $request);
                let answer = tenancy.world.$client().$method(request).await;
                let status = answer.map(|_| ()).unwrap_err();
                assert_eq!(reason(&status), "SESSION_NOT_FOUND", "{status:?}");
                answers.push(seen(&status, $id));
            }
            assert_eq!(answers[0], answers[1], stringify!($method));
        }};
    }
    macro_rules! by_id {
        ($($method:ident $request:ident { $($rest:tt)* })*) => {$(
            check!(sessions.$method, id => pb::$request {
                session_id: id.to_owned(), $($rest)*
            });
        )*};
    }
    by_id! {
        get_session GetSessionRequest {}
        keep_session_alive KeepSessionAliveRequest {}
        get_session_labels GetSessionLabelsRequest {}
        set_session_labels SetSessionLabelsRequest { labels: map(&[("a", "b")]), }
        execute_command ExecuteCommandRequest { command: "id".to_owned(), ..Default::default() }
        run_code RunCodeRequest { code: "1".to_owned(), ..Default::default() }
        call_tool CallToolRequest { name: "shell".to_owned(), ..Default::default() }
        read_file ReadFileRequest { path: "/etc/passwd".to_owned(), ..Default::default() }
        list_directory ListDirectoryRequest { path: "/".to_owned(), }
        get_session_link GetSessionLinkRequest { ..Default::default() }
        get_cdp_link GetCdpLinkRequest {}
        get_session_metrics GetSessionMetricsRequest {}
        get_session_resource GetSessionResourceRequest {}
        init_browser InitBrowserRequest { ..Default::default() }
        load_internal_contexts LoadInternalContextsRequest { context_types: vec!["x".to_owned()], }
        delete_session DeleteSessionRequest { ..Default::default() }
    }
    check!(sessions.write_file, id => {
        let header = pb::WriteFileHeader {
            session_id: id.to_owned(),
            path: "/tmp/x".to_owned(),
            ..Default::default()
        };
        tokio_stream::once(pb::WriteFileRequest {
            payload: Some(pb::write_file_request::Payload::Header(header)),
        })
    });
    check!(syncs.sync_contexts, id => pb::SyncContextsRequest {
        session_id: id.to_owned(),
        ..Default::default()
    });
    check!(syncs.get_sync_status, id => pb::GetSyncStatusRequest {
        target: Some(pb::get_sync_status_request::Target::SessionId(id.to_owned())),
    });
    check!(syncs.wait_for_sync, id => pb::WaitForSyncRequest {
        target: Some(pb::wait_for_sync_request::Target::SessionId(id.to_owned())),
    });
    check!(syncs.watch_sync, id => pb::WatchSyncRequest {
        target: Some(pb::watch_sync_request::Target::SessionId(id.to_owned())),
        ..Default::default()
    });
    check!(mappings.verify_mapping, id => pb::VerifyMappingRequest {
        session_id: id.to_owned(),
        context_id: "c".to_owned(),
        original_path: "/a".to_owned(),
        target_path: "/b".to_owned(),
    });
    // Deleting what may be missing succeeds, and deletes nothing.
    let request = pb::DeleteSessionRequest {
        session_id: blue.clone(),
        allow_missing: true,
        ..Default::default()
    };
    let answer = tenancy
        .world
        .sessions()
        .delete_session(tenancy.of("red", request))
        .await;
    assert!(answer.is_ok());
    let request = pb::GetSessionRequest { session_id: blue };
    for principal in ["blue", "boss"] {
        let request = tenancy.of(principal, request.clone());
        tenancy.world.sessions().get_session(request).await.unwrap();
    }
}

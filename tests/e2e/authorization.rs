//! What callers may do: rights, images and quotas over real gRPC.

use std::fs;

use agb_gateway::auth::NewToken;
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
            lines += &format!("{}\n", token.line);
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

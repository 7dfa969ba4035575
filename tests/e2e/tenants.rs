//! Tenants are apart: whatever one does, nothing of another is read, listed, changed or carried on with.

use std::collections::BTreeSet;

use agb_gateway::auth::{KEY_HEADER, NewToken};
use agb_gateway::proto::v1 as pb;
use agb_gateway::proto::v1::context_service_client::ContextServiceClient;
use agb_gateway::proto::v1::session_service_client::SessionServiceClient;
use agb_gateway::proto::v1::sync_service_client::SyncServiceClient;
use agb_gateway::proto::v1::wait_for_sync_request::Target;
use fastrand::Rng;
use tonic::{Code, Request, Status};

use crate::authentication::{bearer, toml};
use crate::support::{BROWSER_IMAGE, CODE_IMAGE, World, mount, reason, within, wrong_fields};

const STEPS: usize = 60;
const UNKNOWN: &str = "s-0000000000000000";

/// Someone with an AGB account that nobody else has, and what it holds.
struct Tenant {
    header: (&'static str, String),
    contexts: Vec<String>,
    sessions: Vec<String>,
    sync_tokens: Vec<String>,
    page_tokens: Vec<String>,
}

impl Tenant {
    fn new(header: &'static str, value: String) -> Self {
        Self {
            header: (header, value),
            contexts: Vec::new(),
            sessions: Vec::new(),
            sync_tokens: Vec::new(),
            page_tokens: Vec::new(),
        }
    }

    fn says<T>(&self, message: T) -> Request<T> {
        let mut request = within(message);
        let value = self.header.1.parse().unwrap();
        request.metadata_mut().insert(self.header.0, value);
        request
    }
}

/// Two tenants of the configuration, and a caller with a key of its own.
async fn world() -> (World, Vec<Tenant>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let tokens = ["a", "b"].map(|name| NewToken::generate(name).unwrap());
    let lines = tokens.iter().map(|token| token.line.clone());
    std::fs::write(file("tokens"), lines.collect::<Vec<_>>().join("\n")).unwrap();
    std::fs::write(file("key"), "Pl4nted-key-of-b").unwrap();
    let rule = |principal: &str, tenant: &str| {
        format!(
            "[[auth.rules]]\nprincipals = [{principal:?}]\nroles = [\"admin\"]\ntenant = {tenant:?}\n"
        )
    };
    let settings = format!(
        "[auth]\nmethods = [\"token\", \"agb_key\"]\n{}{}{}",
        rule("token:a", "default"),
        rule("token:b", "b"),
        rule("key:*", "default"),
    );
    let settings = toml(&settings)
        .merge(("auth.token_file", file("tokens")))
        .merge(("tenants.b.api_key_file", file("key")));
    let world = World::with_settings(settings).await;
    let mut tenants: Vec<_> = tokens
        .iter()
        .map(|token| Tenant::new("authorization", bearer(token.expose())))
        .collect();
    tenants.push(Tenant::new(KEY_HEADER, "Pl4nted-key-of-c".to_owned()));
    (world, tenants, folder)
}

struct Play {
    world: World,
    tenants: Vec<Tenant>,
    random: Rng,
}

impl Play {
    fn contexts(&self) -> ContextServiceClient<tonic::transport::Channel> {
        self.world.contexts()
    }

    fn sessions(&self) -> SessionServiceClient<tonic::transport::Channel> {
        self.world.sessions()
    }

    fn syncs(&self) -> SyncServiceClient<tonic::transport::Channel> {
        self.world.syncs()
    }

    fn one_of(&mut self, all: &[String]) -> Option<String> {
        self.random.choice(all).cloned()
    }

    /// Creates a context, and a session that mounts it. Every tenant uses the same names and request ids.
    async fn create(&mut self, who: usize) {
        let number = self.tenants[who].contexts.len();
        let request = self.tenants[who].says(pb::CreateContextRequest {
            context: Some(pb::Context {
                name: format!("context-{number}"),
                ..pb::Context::default()
            }),
            ..pb::CreateContextRequest::default()
        });
        let answer = self.contexts().create_context(request).await.unwrap();
        let context = answer.into_inner().context.unwrap().context_id;
        let request = self.tenants[who].says(pb::CreateSessionRequest {
            image_id: CODE_IMAGE.to_owned(),
            context_syncs: vec![mount(&context, "/home/data")],
            request_id: format!("request-{number}"),
            ..pb::CreateSessionRequest::default()
        });
        let answer = self.sessions().create_session(request).await.unwrap();
        let session = answer.into_inner().session.unwrap().session_id;
        for tenant in &self.tenants {
            assert!(!tenant.contexts.contains(&context));
            assert!(!tenant.sessions.contains(&session));
        }
        let request = self.tenants[who].says(pb::SyncContextsRequest {
            session_id: session.clone(),
            ..pb::SyncContextsRequest::default()
        });
        let answer = self.syncs().sync_contexts(request).await.unwrap();
        let token = answer.into_inner().status.unwrap().sync_token;
        let tenant = &mut self.tenants[who];
        tenant.contexts.push(context);
        tenant.sessions.push(session);
        tenant.sync_tokens.push(token);
    }

    /// Lists contexts and sessions, a page each: they are one's own, all of them.
    async fn list(&mut self, who: usize) {
        let request = self.tenants[who].says(pb::ListContextsRequest {
            page_size: 1,
            ..pb::ListContextsRequest::default()
        });
        let answer = self.contexts().list_contexts(request).await.unwrap();
        let answer = answer.into_inner();
        let tenant = &mut self.tenants[who];
        for context in &answer.contexts {
            assert!(tenant.contexts.contains(&context.context_id));
        }
        assert_eq!(
            usize::try_from(answer.total_size).unwrap(),
            tenant.contexts.len()
        );
        if !answer.next_page_token.is_empty() {
            tenant.page_tokens.push(answer.next_page_token);
        }
        let request = self.tenants[who].says(pb::ListSessionsRequest {
            page_size: 100,
            ..pb::ListSessionsRequest::default()
        });
        let answer = self.sessions().list_sessions(request).await.unwrap();
        let listed = answer.into_inner().sessions.into_iter();
        let listed: BTreeSet<_> = listed.map(|session| session.session_id).collect();
        let own = self.tenants[who].sessions.iter().cloned().collect();
        assert_eq!(listed, own);
    }

    /// Uses one's own session, so that all that is kept of it is there to be mistaken.
    async fn use_own(&mut self, who: usize) {
        let own = self.tenants[who].sessions.clone();
        let Some(session) = self.one_of(&own) else {
            return;
        };
        assert_eq!(self.tool(who, &session).await, Ok(()));
        let token = self.tenants[who].sync_tokens.clone();
        let token = self.one_of(&token).unwrap();
        assert_eq!(self.wait(who, Target::SyncToken(token)).await, Ok(()));
    }

    /// Tries what is another's: the answer is that to what does not exist, or to a token that is none.
    async fn try_other(&mut self, who: usize) {
        let whose = (who + 1 + self.random.usize(..self.tenants.len() - 1)) % self.tenants.len();
        let (sessions, contexts, syncs, pages) = {
            let other = &self.tenants[whose];
            (
                other.sessions.clone(),
                other.contexts.clone(),
                other.sync_tokens.clone(),
                other.page_tokens.clone(),
            )
        };
        if let Some(session) = self.one_of(&sessions) {
            for action in [0, 1, 2, 3, 4] {
                let foreign = self.session_action(who, &session, action).await;
                let unknown = self.session_action(who, UNKNOWN, action).await;
                assert!(foreign.is_err(), "{action}");
                assert_eq!(foreign, unknown, "{action}");
            }
        }
        if let Some(context) = self.one_of(&contexts) {
            for action in [0, 1, 2, 3] {
                let foreign = self.context_action(who, &context, action).await;
                let unknown = self
                    .context_action(who, "ctx-0000000000000000", action)
                    .await;
                assert!(foreign.is_err(), "{action}");
                assert_eq!(foreign, unknown, "{action}");
            }
        }
        if let Some(token) = self.one_of(&syncs) {
            let refused = self.wait(who, Target::SyncToken(token)).await;
            assert_eq!(
                refused,
                Err((Code::InvalidArgument, "INVALID_ARGUMENT".to_owned()))
            );
        }
        if let Some(page_token) = self.one_of(&pages) {
            let request = self.tenants[who].says(pb::ListContextsRequest {
                page_size: 1,
                page_token,
            });
            let refused = self.contexts().list_contexts(request).await.unwrap_err();
            assert_eq!(wrong_fields(&refused), ["page_token"]);
        }
    }

    async fn session_action(&self, who: usize, session: &str, action: u8) -> Outcome {
        let session_id = session.to_owned();
        let tenant = &self.tenants[who];
        match action {
            0 => self.tool(who, session).await,
            1 => self.wait(who, Target::SessionId(session_id)).await,
            2 => {
                let request = tenant.says(pb::GetSessionRequest { session_id });
                outcome(self.sessions().get_session(request).await)
            }
            3 => {
                let request = tenant.says(pb::SetSessionLabelsRequest {
                    session_id,
                    labels: [("stolen".to_owned(), "yes".to_owned())].into(),
                });
                outcome(self.sessions().set_session_labels(request).await)
            }
            _ => {
                let request = tenant.says(pb::DeleteSessionRequest {
                    session_id,
                    ..pb::DeleteSessionRequest::default()
                });
                outcome(self.sessions().delete_session(request).await)
            }
        }
    }

    async fn context_action(&self, who: usize, context: &str, action: u8) -> Outcome {
        let context_id = context.to_owned();
        let tenant = &self.tenants[who];
        match action {
            0 => {
                let request = tenant.says(pb::CreateSessionRequest {
                    image_id: BROWSER_IMAGE.to_owned(),
                    context_syncs: vec![mount(context, "/home/data")],
                    ..pb::CreateSessionRequest::default()
                });
                outcome(self.sessions().create_session(request).await)
            }
            1 => {
                let request = tenant.says(pb::ListContextFilesRequest {
                    context_id,
                    parent_path: "/home/data".to_owned(),
                    ..pb::ListContextFilesRequest::default()
                });
                outcome(self.contexts().list_context_files(request).await)
            }
            2 => {
                let request = tenant.says(pb::CreateDownloadUrlRequest {
                    context_id,
                    path: "/home/data/x".to_owned(),
                });
                outcome(self.contexts().create_download_url(request).await)
            }
            _ => {
                let request = tenant.says(pb::DeleteContextRequest {
                    context_id,
                    ..pb::DeleteContextRequest::default()
                });
                outcome(self.contexts().delete_context(request).await)
            }
        }
    }

    async fn tool(&self, who: usize, session: &str) -> Outcome {
        let request = self.tenants[who].says(pb::ListDirectoryRequest {
            session_id: session.to_owned(),
            path: "/home/data".to_owned(),
        });
        outcome(self.sessions().list_directory(request).await)
    }

    async fn wait(&self, who: usize, target: Target) -> Outcome {
        let request = self.tenants[who].says(pb::WaitForSyncRequest {
            target: Some(target),
        });
        outcome(self.syncs().wait_for_sync(request).await)
    }
}

/// What a caller can tell answers apart by, beside ids of requests.
type Outcome = Result<(), (Code, String)>;

fn outcome<T>(answer: Result<T, Status>) -> Outcome {
    answer
        .map(drop)
        .map_err(|status| (status.code(), reason(&status)))
}

#[tokio::test]
async fn no_sequence_of_calls_reaches_what_is_another_tenant_s() {
    let (world, tenants, _folder) = world().await;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut play = Play {
        world,
        tenants,
        random: Rng::with_seed(seed),
    };
    for who in 0..play.tenants.len() {
        play.create(who).await;
        play.create(who).await;
        play.list(who).await;
    }
    for _ in 0..STEPS {
        let who = play.random.usize(..play.tenants.len());
        match play.random.u8(..10) {
            0 => play.create(who).await,
            1 | 2 => play.list(who).await,
            3 | 4 => play.use_own(who).await,
            _ => play.try_other(who).await,
        }
    }
    // Whatever was tried, everybody still has all of it.
    for who in 0..play.tenants.len() {
        play.list(who).await;
        play.use_own(who).await;
    }
}

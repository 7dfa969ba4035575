//! A fast stand-in for AGB: the hot operations, in AGB's envelope, with canned data. It counts connections and requests.
//!
//! It knows no key, keeps no state and checks nothing: what the gateway makes of AGB's rules is for the tests.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use super::{answer_questions, listen};
use crate::Failure;

/// How large the answers are, and whether they come in TLS.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Upstream {
    /// How many tools a session has: the length of GetSession's answer.
    #[arg(long, default_value_t = 20)]
    tools: usize,
    /// How many sessions and contexts there are: what lists tell.
    #[arg(long, default_value_t = 10_000)]
    population: usize,
    /// How many tasks a look at a session shows.
    #[arg(long, default_value_t = 3)]
    tasks: usize,
    /// A PEM file with a certificate: then it speaks TLS.
    #[arg(long, requires = "key")]
    certificate: Option<PathBuf>,
    /// A PEM file with the certificate's key.
    #[arg(long)]
    key: Option<PathBuf>,
}

#[derive(Debug, Default)]
struct Counts {
    connections: AtomicU64,
    requests: Mutex<BTreeMap<String, u64>>,
}

pub(crate) async fn serve(settings: Upstream) -> Result<(), Failure> {
    let tls = match (&settings.certificate, &settings.key) {
        (Some(certificate), Some(key)) => Some(acceptor(certificate, key)?),
        _ => None,
    };
    let answers = Arc::new(Answers::new(&settings));
    let counts = Arc::new(Counts::default());
    let listener = listen().await?;
    let told = counts.clone();
    answer_questions(listener.local_addr()?, move || {
        let requests = told.requests.lock().unwrap_or_else(PoisonError::into_inner);
        json!({
            "connections": told.connections.load(Ordering::Relaxed),
            "requests": *requests,
        })
    });
    loop {
        let (stream, _address) = listener.accept().await?;
        stream.set_nodelay(true)?;
        counts.connections.fetch_add(1, Ordering::Relaxed);
        let (answers, counts, tls) = (answers.clone(), counts.clone(), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => serve_connection(stream, answers, counts).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve_connection(stream, answers, counts).await;
                    }
                }
            }
        });
    }
}

fn acceptor(certificate: &PathBuf, key: &PathBuf) -> Result<TlsAcceptor, Failure> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn serve_connection<IO>(io: IO, answers: Arc<Answers>, counts: Arc<Counts>)
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(|request: Request<Incoming>| {
        let (answers, counts) = (answers.clone(), counts.clone());
        async move {
            let (head, body) = request.into_parts();
            let path = head.uri.path();
            counts.count(path.rsplit('/').next().unwrap_or_default());
            let body = body.collect().await?.to_bytes();
            let query = head.uri.query().unwrap_or_default();
            let mut response = Response::builder().header(header::CONTENT_TYPE, "application/json");
            let answer = answers.to(path, query, &body).unwrap_or_else(|| {
                response = std::mem::take(&mut response).status(StatusCode::NOT_FOUND);
                Bytes::new()
            });
            Ok::<_, hyper::Error>(response.body(Full::new(answer)).unwrap_or_default())
        }
    });
    let connection = hyper::server::conn::http1::Builder::new();
    // A client that goes away is its own business.
    let _ = connection.serve_connection(TokioIo::new(io), service).await;
}

impl Counts {
    fn count(&self, operation: &str) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        match requests.get_mut(operation) {
            Some(count) => *count += 1,
            None => drop(requests.insert(operation.to_owned(), 1)),
        }
    }
}

/// What is answered, made once; ids are put in where they are asked for.
#[derive(Debug)]
struct Answers {
    session: Template,
    context: Template,
    sessions: Bytes,
    contexts: Bytes,
    look: Bytes,
}

/// Stands in a template for the id that is asked for.
const ID: &str = "{id}";
const PAGE: usize = 10;

impl Answers {
    fn new(settings: &Upstream) -> Self {
        let tools: Vec<_> = (0..settings.tools)
            .map(|tool| json!({ "name": format!("tool_number_{tool}"), "server": "mcp-server" }))
            .collect();
        let session = json!({
            "sessionId": ID, "appInstanceId": "ai-0a1b2c3d4e5f6071", "resourceId": "p-0a1b2c3d4e5f6071", "status": "RUNNING",
            "resourceUrl": "https://agb.cloud/resource/p-0a1b2c3d4e5f6071?ticket=5b3a1c0d9e8f7a6b5c4d3e2f1a0b9c8d7e6f",
            "linkUrl": "", "wsUrl": "", "token": "", "toolList": json!(tools).to_string(),
        });
        let context = json!({
            "id": ID, "name": "a-context", "createTime": "2026-01-02T03:04:05Z", "lastUsedTime": "2026-01-02T03:04:05Z",
            "state": "available",
        });
        let page = settings.population.min(PAGE);
        let sessions: Vec<_> = (0..page)
            .map(|number| json!({ "sessionId": session_id(number), "sessionStatus": "RUNNING" }))
            .collect();
        let contexts: Vec<_> = (0..page)
            .map(|number| json!({ "id": context_id(number), "name": format!("context {number}"), "createTime": "2026-01-02T03:04:05Z" }))
            .collect();
        // They never end.
        let tasks: Vec<_> = (0..settings.tasks)
            .map(|task| {
                json!({
                    "contextId": context_id(task), "path": format!("/home/data-{task}"), "status": "Running", "taskType": "upload",
                    "startTime": 1_767_225_845_000_i64, "finishTime": 0, "errorMessage": "",
                })
            })
            .collect();
        let look = json!([{ "type": "data", "data": json!(tasks).to_string() }]).to_string();
        Self {
            session: Template::new(&session),
            context: Template::new(&context),
            sessions: list(settings, "count", &json!(sessions)),
            contexts: list(settings, "totalCount", &json!(contexts)),
            look: enveloped(&json!({ "contextStatus": look })).into(),
        }
    }

    /// By AGB's paths. `None`: it is none of those.
    fn to(&self, path: &str, query: &str, body: &[u8]) -> Option<Bytes> {
        Some(match path {
            "/mcp/getSession" => {
                let asked: AskedSession<'_> = serde_json::from_slice(body).ok()?;
                self.session.with(asked.session_id)
            }
            "/sdk/GetContext" => self.context.with(parameter(query, "id")?),
            "/sdk/ListSession" => self.sessions.clone(),
            "/sdk/ListContexts" => self.contexts.clone(),
            "/sdk/GetContextInfo" => self.look.clone(),
            _ => return None,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AskedSession<'a> {
    session_id: &'a str,
}

pub(crate) fn session_id(number: usize) -> String {
    format!("s-{number:022}")
}

pub(crate) fn context_id(number: usize) -> String {
    format!("SdkCtx-{number:017}")
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find_map(|(key, value)| (key == name).then_some(value))
}

/// AGB's envelope, in AGB's order.
fn enveloped(data: &Value) -> String {
    json!({
        "code": "ok", "data": data, "httpStatusCode": 200, "message": "",
        "requestId": "4D1B0C2A-3E5F-5A7B-9C8D-0E1F2A3B4C5D", "success": true,
    })
    .to_string()
}

fn list(settings: &Upstream, total: &str, data: &Value) -> Bytes {
    let mut envelope = json!({
        "code": "ok", "data": data, "httpStatusCode": 200, "maxResults": PAGE, "message": "",
        "requestId": "4D1B0C2A-3E5F-5A7B-9C8D-0E1F2A3B4C5D", "success": true,
    });
    envelope[total] = json!(settings.population);
    if settings.population > PAGE {
        envelope["nextToken"] = json!("AAAAAV3MpHK1AP0pfERHZN5pu6nmB7qrRFJ8vmttjxPL23ls");
    }
    envelope.to_string().into()
}

#[derive(Debug)]
struct Template {
    before: String,
    after: String,
}

impl Template {
    fn new(data: &Value) -> Self {
        let text = enveloped(data);
        let (before, after) = text.split_once(ID).unwrap_or((&text, ""));
        Self {
            before: before.to_owned(),
            after: after.to_owned(),
        }
    }

    fn with(&self, id: &str) -> Bytes {
        [self.before.as_str(), id, self.after.as_str()]
            .concat()
            .into()
    }
}

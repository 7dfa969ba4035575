//! Links into a session: who has one reaches a port on which something in the session listens, without an API key.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::UnixStream;

use super::base_url::BaseUrl;
use super::call::Call;
use super::envelope::{Answer, Refusal, Reply};
use crate::app::App;
use crate::session::{Session, SessionStatus};
use crate::signature::Signer;

/// The port of callers that name none.
const DEFAULT_PORT: u16 = 80;

/// The path of the link to a port of a session, without a trailing slash.
pub(super) fn path(signer: &Signer, session: &str, port: u16) -> String {
    let signature = signer.sign(&["link", session, &port.to_string()]);
    format!("/link/{session}/{port}/{signature}")
}

pub(super) async fn get(State(app): State<Arc<App>>, base: BaseUrl, call: Call) -> Answer {
    let session = call.running_session(&app, call.required("sessionId")?)?;
    let port = match call.query("port") {
        None => DEFAULT_PORT,
        Some(text) => text
            .parse()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| Refusal::invalid("port must be between 1 and 65535"))?,
    };
    let base = match call
        .query("protocolType")
        .map(str::to_ascii_lowercase)
        .as_deref()
    {
        None | Some("http" | "https") => base.0,
        Some("ws" | "wss") => base.web_socket(),
        Some(other) => {
            return Err(Refusal::invalid(format!(
                "protocolType must be http, https, ws or wss, not {other}"
            )));
        }
    };
    let link = path(&app.signer, &session.id, port);
    Ok(Reply::data(&json!({ "url": format!("{base}{link}/") })))
}

pub(super) async fn resource(State(app): State<Arc<App>>, base: BaseUrl, call: Call) -> Answer {
    let session = super::sessions::named_running_session(&app, &call)?;
    Ok(Reply::data(&json!({
        "sessionId": session.id,
        "resourceUrl": super::sessions::resource_url(&base, &session),
        "desktopInfo": {
            "appId": session.app_instance_id,
            "authCode": app.signer.sign(&["auth-code", &session.id]),
            "connectionProperties": "{}",
            "resourceId": session.resource_id,
            "resourceType": "AGB",
            "ticket": app.signer.sign(&["ticket", &session.id]),
        },
    })))
}

/// Passes a request on to what listens in the session, and its answer back.
pub(super) async fn follow(
    State(app): State<Arc<App>>,
    Path(segments): Path<Vec<(String, String)>>,
    request: Request,
) -> Response {
    let segment = |name: &str| {
        let found = segments.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value.as_str())
    };
    let (id, port) = (segment("session"), segment("port"));
    let Some(port) = port
        .parse::<u16>()
        .ok()
        .filter(|_| app.signer.verify(&["link", id, port], segment("signature")))
    else {
        return (StatusCode::FORBIDDEN, "the link is not valid\n").into_response();
    };
    let session = app
        .sessions
        .any(id)
        .filter(|session| session.status() == SessionStatus::Running);
    let Some(session) = session else {
        return (StatusCode::NOT_FOUND, "the session has ended\n").into_response();
    };
    session.touch();
    match session.machine.connect(port).await {
        Ok(Ok(connection)) => pass_on(&app, session, connection, port, request)
            .await
            .unwrap_or_else(|error| {
                (StatusCode::BAD_GATEWAY, format!("{error}\n")).into_response()
            }),
        Ok(Err(reason)) => (StatusCode::BAD_GATEWAY, format!("{reason}\n")).into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{error}\n")).into_response(),
    }
}

async fn pass_on(
    app: &App,
    session: Arc<Session>,
    connection: UnixStream,
    port: u16,
    mut request: Request,
) -> hyper::Result<Response> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(connection)).await?;
    let ending = Arc::clone(&session);
    app.tasks.spawn(async move {
        tokio::select! {
            _ = connection.with_upgrades() => {}
            () = ending.ending() => {}
        }
    });
    let caller = hyper::upgrade::on(&mut request);
    *request.uri_mut() = path_within(request.uri());
    if let Ok(host) = HeaderValue::from_str(&format!("127.0.0.1:{port}")) {
        request.headers_mut().insert(header::HOST, host);
    }
    let mut answer = sender.send_request(request).await?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        let service = hyper::upgrade::on(&mut answer);
        app.tasks.spawn(async move {
            if let (Ok(caller), Ok(service)) = tokio::join!(caller, service) {
                let (mut caller, mut service) = (TokioIo::new(caller), TokioIo::new(service));
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut caller, &mut service) => {}
                    () = session.ending() => {}
                }
            }
        });
    }
    Ok(answer.map(Body::new))
}

/// What is left behind `/link/session/port/signature`.
fn path_within(uri: &Uri) -> Uri {
    let whole = uri.path_and_query().map_or("/", |path| path.as_str());
    let rest = whole.splitn(6, '/').nth(5).unwrap_or_default();
    format!("/{rest}").parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_the_link_is_the_path_in_the_session() {
        for (outside, inside) in [
            ("/link/s/80/f00", "/"),
            ("/link/s/80/f00/", "/"),
            ("/link/s/80/f00/a/b?c=/d", "/a/b?c=/d"),
        ] {
            assert_eq!(path_within(&outside.parse().unwrap()).to_string(), inside);
        }
    }
}

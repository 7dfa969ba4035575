//! Ways into a session: links, the desktop, the browser, and AGB's own contexts.

use secrecy::ExposeSecret as _;

use super::super::{Backend, translate};
use crate::agb::{self, wire};
use crate::domain::{Violations, absolute_path};
use crate::proto::v1 as pb;
use crate::resilience::Deadline;
use crate::status::{Failure, Resource};

/// Where AGB's SDK lets browsers keep their data.
const BROWSER_DATA_PATH: &str = "/tmp/agb_browser_data";

pub(super) async fn get_session_link(
    backend: &Backend,
    request: &pb::GetSessionLinkRequest,
    deadline: Deadline,
) -> Result<pb::GetSessionLinkResponse, Failure> {
    let mut violations = Violations::default();
    violations.check("session_id", translate::identifier(&request.session_id));
    let protocol_type = (!request.protocol_type.is_empty())
        .then(|| {
            violations.check(
                "protocol_type",
                translate::identifier(&request.protocol_type),
            )
        })
        .flatten();
    let port = violations.check("port", port(request.port));
    violations.into_result()?;
    let call = wire::GetLink {
        session_id: &request.session_id,
        protocol_type: protocol_type.as_deref(),
        port: port.flatten(),
    };
    let answer = backend.client.call(&call, deadline).await;
    let answer = answer.map_err(failed("getting the link", &request.session_id))?;
    Ok(pb::GetSessionLinkResponse {
        url: answer.data.url.expose_secret().to_owned(),
    })
}

fn port(port: i32) -> Result<Option<u16>, String> {
    match u16::try_from(port) {
        Ok(0) => Ok(None),
        Ok(port) => Ok(Some(port)),
        Err(_) => Err(format!("must be 0 to 65535, got {port}")),
    }
}

pub(super) async fn get_cdp_link(
    backend: &Backend,
    session_id: &str,
    deadline: Deadline,
) -> Result<pb::GetCdpLinkResponse, Failure> {
    translate::sole_identifier("session_id", session_id)?;
    let answer = backend
        .client
        .call(&wire::GetCdpLink { session_id }, deadline)
        .await;
    let answer = answer.map_err(failed("getting the CDP link", session_id))?;
    Ok(pb::GetCdpLinkResponse {
        url: answer.data.url.expose_secret().to_owned(),
    })
}

pub(super) async fn get_session_resource(
    backend: &Backend,
    session_id: &str,
    deadline: Deadline,
) -> Result<pb::SessionResource, Failure> {
    translate::sole_identifier("session_id", session_id)?;
    let answer = backend
        .client
        .call(&wire::GetMcpResource { session_id }, deadline)
        .await;
    let data = answer
        .map_err(failed("getting the resource", session_id))?
        .data;
    Ok(pb::SessionResource {
        resource_url: data.resource_url.expose_secret().to_owned(),
        desktop_info: data.desktop_info.map(|desktop| pb::DesktopInfo {
            app_id: desktop.app_id,
            auth_code: desktop.auth_code.expose_secret().to_owned(),
            connection_properties: desktop.connection_properties.expose_secret().to_owned(),
            resource_id: desktop.resource_id,
            resource_type: desktop.resource_type,
            ticket: desktop.ticket.expose_secret().to_owned(),
        }),
    })
}

pub(super) async fn init_browser(
    backend: &Backend,
    request: pb::InitBrowserRequest,
    deadline: Deadline,
) -> Result<pb::InitBrowserResponse, Failure> {
    let path = match request.persistent_path.as_str() {
        "" => BROWSER_DATA_PATH,
        path => path,
    };
    let mut violations = Violations::default();
    violations.check("session_id", translate::identifier(&request.session_id));
    violations.check("persistent_path", absolute_path(path));
    violations.into_result()?;
    let option = request.browser_option.map(translate::from_struct);
    let call = wire::InitBrowser {
        session_id: &request.session_id,
        persistent_path: path,
        browser_option: option.map(|option| serde_json::json!(option).to_string()),
    };
    let answer = backend.client.call(&call, deadline).await;
    let answer = answer.map_err(failed("starting the browser", &request.session_id))?;
    Ok(pb::InitBrowserResponse {
        port: answer.data.port.parse::<u16>().unwrap_or_default().into(),
    })
}

pub(super) async fn load_internal_contexts(
    backend: &Backend,
    request: &pb::LoadInternalContextsRequest,
    deadline: Deadline,
) -> Result<pb::LoadInternalContextsResponse, Failure> {
    let mut violations = Violations::default();
    violations.check("session_id", translate::identifier(&request.session_id));
    if request.context_types.is_empty() {
        violations.add("context_types", "is required and must not be empty");
    }
    for (index, kind) in request.context_types.iter().enumerate() {
        violations.check(
            &format!("context_types[{index}]"),
            translate::identifier(kind),
        );
    }
    violations.into_result()?;
    let call = wire::GetAndLoadInternalContext {
        session_id: &request.session_id,
        context_types: serde_json::json!(request.context_types).to_string(),
    };
    let answer = backend.client.call(&call, deadline).await;
    let answer = answer.map_err(failed("loading AGB's own contexts", &request.session_id))?;
    let contexts = answer.data.into_iter().map(|context| pb::InternalContext {
        context_id: context.context_id,
        context_type: context.context_type,
        path: context.context_path,
    });
    Ok(pb::LoadInternalContextsResponse {
        contexts: contexts.collect(),
    })
}

fn failed(doing: &'static str, session_id: &str) -> impl FnOnce(agb::Error) -> Failure {
    let resource = Resource::Session(session_id.to_owned());
    move |error| Failure::agb(error, doing, Some(resource))
}

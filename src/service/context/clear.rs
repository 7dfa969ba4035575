//! ClearContext: returns when AGB says that the context is available again, and not before it has begun to clear.

use tokio::time::Instant;

use super::super::{Backend, translate};
use super::files::list_page;
use crate::agb::{self, wire};
use crate::domain::{Context, ContextState};
use crate::resilience::Deadline;
use crate::status::{Failure, Resource};
use crate::telemetry::Span;

pub(super) async fn clear_context(
    backend: &Backend,
    context_id: &str,
    deadline: Deadline,
) -> Result<Context, Failure> {
    translate::sole_identifier("context_id", context_id)?;
    let resource = Resource::Context(context_id.to_owned());
    backend
        .client
        .call(&wire::ClearContext { id: context_id }, deadline)
        .await
        .map_err(|error| Failure::agb(error, "clearing the context", Some(resource.clone())))?;
    let waiting = backend.telemetry.span("context clear wait");
    waiting
        .around(until_available(backend, context_id, deadline))
        .await
        .map_err(|error| match error {
            Some(error) => {
                let doing = "AGB has accepted the clearing; waiting until it is done";
                Failure::agb(error, doing, Some(resource))
            }
            None => Failure::Deadline {
                doing: "AGB has accepted the clearing; waiting until the context is available"
                    .to_owned(),
                resource: Some(resource),
            },
        })
}

/// Looks until the context is available after it was seen clearing, or available and empty: available alone may be what it was
/// before. The error is AGB's, or `None` for the deadline.
async fn until_available(
    backend: &Backend,
    context_id: &str,
    deadline: Deadline,
) -> Result<Context, Option<agb::Error>> {
    let start = Instant::now();
    let mut seen_clearing = false;
    loop {
        let looked = look(backend, context_id, deadline).await;
        Span::current().looked(|| match &looked {
            Ok(context) if context.state == Some(ContextState::Available) => "available",
            Ok(_) => "clearing",
            Err(error) => error.type_name(),
        });
        match looked {
            Ok(context) if context.state == Some(ContextState::Available) => {
                if seen_clearing || is_empty(backend, context_id, deadline).await {
                    return Ok(context);
                }
            }
            Ok(_) => seen_clearing = true,
            Err(error) if error.is_deadline() => return Err(None),
            Err(error) if error.is_not_found() || error.is_forbidden() => {
                return Err(Some(error));
            }
            Err(error) => tracing::warn!(context_id, %error, "a look failed; looking again"),
        }
        let pause = backend.pace.delay(start.elapsed(), None);
        deadline.pause(pause).await.map_err(|_exceeded| None)?;
    }
}

async fn look(
    backend: &Backend,
    context_id: &str,
    deadline: Deadline,
) -> Result<Context, agb::Error> {
    let call = wire::GetContext {
        id: Some(context_id),
        ..wire::GetContext::default()
    };
    let answer = backend.client.call(&call, deadline).await?;
    let data = answer.data.ok_or_else(|| {
        agb::Error::malformed(&agb::operation::GET_CONTEXT, answer.request_id, "no data")
    })?;
    Ok(data.into())
}

async fn is_empty(backend: &Backend, context_id: &str, deadline: Deadline) -> bool {
    let page = list_page(backend, context_id, "/", 1, 1, deadline).await;
    page.is_ok_and(|page| page.files.is_empty())
}

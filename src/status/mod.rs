//! The only place that turns a failure into a gRPC status, with google.rpc details.
//!
//! Every status carries an ErrorInfo: a stable reason, the domain `agb-gateway`, and AGB's own code and operation where AGB
//! was asked. Field problems are BadRequest, waits that help are RetryInfo, AGB's request id is RequestInfo, what is known
//! of a sync is a SyncStatus. No detail ever holds a secret.

mod detail;
mod failure;
mod reason;
mod refused;
mod table;
#[cfg(test)]
mod tests;

use tonic::Status;
use tonic_types::ErrorDetails;

use crate::sync::Outcome;

use detail::{build, describe, invalid, plain, request_id_reused, set_agb, set_request_id};
use table::{Row, agb_row, cut_off_row, overloaded_row, sync_row, unread_row};

pub use detail::ERROR_DOMAIN;
pub use failure::{Failure, Resource, Unread};
pub use reason::{ALL as REASONS, Reason};

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        let status = status_of(failure);
        // Also what the tests look through for secrets.
        tracing::trace!(?status, "a call fails");
        status
    }
}

fn status_of(failure: Failure) -> Status {
    match failure {
        Failure::Invalid(violations) => invalid(&violations),
        Failure::Agb {
            error,
            doing,
            resource,
        } => {
            let row = agb_row(&error, resource.as_ref());
            let mut details = ErrorDetails::new();
            set_agb(&mut details, &error);
            build(&row, &format!("{doing}: {error}"), details, resource, None)
        }
        Failure::NotFound {
            doing,
            resource,
            request_id,
        } => {
            let mut details = ErrorDetails::new();
            set_request_id(&mut details, &request_id);
            build(
                &Row::new(resource.not_found_reason()),
                &format!(
                    "{doing}: there is no {} {:?}",
                    resource.kind(),
                    resource.name()
                ),
                details,
                Some(resource),
                None,
            )
        }
        Failure::Sync {
            error,
            doing,
            resource,
        } => {
            let row = sync_row(&error.outcome, resource.as_ref());
            let mut details = ErrorDetails::new();
            if let Outcome::Agb(error) = &error.outcome {
                set_agb(&mut details, error);
            }
            let message = format!("{doing}: {}", describe(&error));
            build(&row, &message, details, resource, error.report.as_deref())
        }
        Failure::Deadline { doing, resource } => build(
            &Row::new(&reason::DEADLINE_EXCEEDED),
            &format!("{doing}: the deadline came first"),
            ErrorDetails::new(),
            resource,
            None,
        ),
        Failure::Tool {
            message,
            request_id,
        } => {
            let mut details = ErrorDetails::new();
            set_request_id(&mut details, &request_id);
            build(
                &Row::new(&reason::AGB_TOOL_FAILED),
                &format!("the tool failed: {message}"),
                details,
                None,
                None,
            )
        }
        Failure::LimitExceeded {
            what,
            setting,
            limit,
        } => plain(
            &Row::new(&reason::LIMIT_EXCEEDED),
            &format!("there are more than {limit} {what} (setting {setting})"),
        ),
        Failure::RequestIdReused { resource, fields } => request_id_reused(&fields, resource),
        Failure::BeingCreated(resource) => build(
            &Row::new(&reason::SESSION_BEING_CREATED),
            "setting the labels: the session is still being created by another call",
            ErrorDetails::new(),
            Some(resource),
            None,
        ),
        Failure::Unread(unread) => {
            let (reason, message) = unread_row(&unread);
            plain(&Row::new(reason), &message)
        }
        Failure::Refused(refusal) => refused::status(&refusal),
        Failure::CutOff { repeatable } => {
            let row = cut_off_row(repeatable);
            let message = "this replica of the gateway is being shut down";
            plain(&row, message)
        }
        Failure::Overloaded { setting, limit } => plain(
            &overloaded_row(),
            &format!("this replica is busy with {limit} already (setting {setting})"),
        ),
        Failure::Internal(what) => plain(&Row::new(&reason::INTERNAL), what),
    }
}

//! What callers are told who are not let in.

use std::collections::HashMap;

use tonic::Status;
use tonic_types::ErrorDetails;

use super::detail::{ERROR_DOMAIN, build, plain};
use super::reason;
use super::table::Row;
use crate::auth::{Credentials, Denied, Refusal};

pub(super) fn status(refusal: &Refusal) -> Status {
    match refusal {
        Refusal::Unauthenticated {
            credentials,
            methods,
        } => {
            let came = match credentials {
                Credentials::Missing => "no credentials came",
                Credentials::NotAccepted => "the credentials are not accepted",
                Credentials::Expired => "the JWT has expired",
            };
            let accepted = Refusal::accepted(methods);
            let message = format!("{came}; what is accepted is {accepted}");
            plain(&Row::new(&reason::UNAUTHENTICATED), &message)
        }
        Refusal::Denied { principal, what } => denied(principal, what),
        Refusal::TooMany {
            setting,
            retry_after,
        } => {
            let row = Row::new(&reason::RATE_LIMITED).with_retry(Some(*retry_after));
            let message =
                format!("the caller makes too many calls (setting {setting} of its rule)");
            plain(&row, &message)
        }
        Refusal::UnknownMethod(_) => plain(&Row::new(&reason::METHOD_NOT_FOUND), "no such method"),
    }
}

fn denied(principal: &str, what: &Denied) -> Status {
    let mut metadata = HashMap::from([("principal".to_owned(), principal.to_owned())]);
    let mut details = ErrorDetails::new();
    let lacks = match what {
        Denied::NoRule => "no rule gives it any right".to_owned(),
        Denied::Right(right) => {
            metadata.insert("right".to_owned(), right.to_string());
            format!(
                "it lacks the right {:?}, which this call needs",
                right.name()
            )
        }
        Denied::Image { image, allowed } => {
            let allowed = allowed.join(", ");
            details.add_bad_request_violation("image_id", format!("must fit one of: {allowed}"));
            format!("it may not use the image {image:?}, only: {allowed}")
        }
        Denied::Label { key, fixed } => {
            let field = format!("labels[{key:?}]");
            details.add_bad_request_violation(field, format!("must be {fixed:?}, or left out"));
            format!("its rule fixes the label {key:?} to {fixed:?}")
        }
    };
    details.set_error_info("", ERROR_DOMAIN, metadata);
    build(
        &Row::new(&reason::PERMISSION_DENIED),
        &format!("{principal} may not do this: {lacks}"),
        details,
        None,
        None,
    )
}

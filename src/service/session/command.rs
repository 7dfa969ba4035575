//! ExecuteCommand: the `shell` tool of a session.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::super::{Backend, shell, translate};
use crate::domain::{Limits, Violations, absolute_path};
use crate::proto::v1 as pb;
use crate::resilience::Deadline;
use crate::status::Failure;

const MILLISECOND: Duration = Duration::from_millis(1);
/// AGB's default (SDK, `command.py`).
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) async fn execute_command(
    backend: &Backend,
    request: &pb::ExecuteCommandRequest,
    deadline: Deadline,
) -> Result<pb::ExecuteCommandResponse, Failure> {
    let timeout = validate(request, &backend.limits)?;
    let mut arguments = json!({
        "command": request.command,
        "timeout_ms": timeout.as_millis(),
    });
    if !request.working_directory.is_empty() {
        arguments["cwd"] = json!(request.working_directory);
    }
    if !request.environment.is_empty() {
        arguments["envs"] = json!(request.environment);
    }
    let output = shell::execute(backend, &request.session_id, arguments, timeout, deadline).await?;
    Ok(pb::ExecuteCommandResponse {
        exit_code: output.exit_code,
        stdout: output.stdout,
        stderr: output.stderr,
        trace_id: output.trace_id,
    })
}

/// The command's timeout, when all fields keep to their rules.
fn validate(request: &pb::ExecuteCommandRequest, limits: &Limits) -> Result<Duration, Violations> {
    let mut violations = Violations::default();
    violations.check("session_id", translate::identifier(&request.session_id));
    violations.require("command", &request.command);
    if !request.working_directory.is_empty() {
        let directory = absolute_path(&request.working_directory);
        violations.check("working_directory", directory);
    }
    check_environment(&request.environment, &mut violations);
    let timeout = violations.check(
        "timeout",
        translate::duration_up_to(limits.tool_timeout, request.timeout.as_ref(), MILLISECOND),
    );
    violations.into_result()?;
    Ok(timeout.flatten().unwrap_or(DEFAULT_TIMEOUT))
}

fn check_environment(environment: &BTreeMap<String, String>, violations: &mut Violations) {
    for (name, value) in environment {
        let field = format!("environment[{name:?}]");
        let begins_well = name.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_');
        let goes_on_well = name
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || char == '_');
        if !begins_well || !goes_on_well {
            violations.add(
                &field,
                "must have a name of letters, digits and `_` that does not begin with a digit",
            );
        }
        if value.contains('\0') {
            violations.add(&field, "must not have a value with a NUL character");
        }
    }
}

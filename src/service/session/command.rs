//! ExecuteCommand: the `shell` tool of a session.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::super::{Backend, translate};
use crate::agb::wire::{self, ShellOutput};
use crate::domain::{Violations, absolute_path};
use crate::proto::v1 as pb;
use crate::resilience::Deadline;
use crate::status::{Failure, Resource};

const MILLISECOND: Duration = Duration::from_millis(1);
/// AGB's default (SDK, `command.py`).
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);
const MAX_TIMEOUT: Duration = Duration::from_hours(1);

pub(super) async fn execute_command(
    backend: &Backend,
    request: &pb::ExecuteCommandRequest,
    deadline: Deadline,
) -> Result<pb::ExecuteCommandResponse, Failure> {
    let timeout = validate(request)?;
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
    let call = wire::CallTool {
        auto_gen_session: false,
        session_id: &request.session_id,
        name: "shell",
        args: arguments.to_string(),
    };
    let answer = backend
        .client
        .call_taking(&call, timeout, deadline)
        .await
        .map_err(|error| {
            let resource = Resource::Session(request.session_id.clone());
            Failure::agb(error, "executing the command", Some(resource))
        })?;
    output(&answer.data, answer.request_id)
}

/// A command that fails is an answer: AGB may then call the tool failed and still tell what the command did.
fn output(
    result: &wire::ToolResult,
    request_id: String,
) -> Result<pb::ExecuteCommandResponse, Failure> {
    let text = result.text();
    let told: Option<ShellOutput> = serde_json::from_str(&text).ok();
    match told {
        Some(output) if output.exit_code.is_some() || !result.is_error => {
            Ok(pb::ExecuteCommandResponse {
                exit_code: output.exit_code.unwrap_or_default(),
                stdout: output.stdout.unwrap_or_default(),
                stderr: output.stderr.unwrap_or_default(),
                trace_id: output.trace_id.unwrap_or_default(),
            })
        }
        // Older images answer with the bare output.
        None if !result.is_error => Ok(pb::ExecuteCommandResponse {
            stdout: text,
            ..pb::ExecuteCommandResponse::default()
        }),
        _ => Err(Failure::Tool {
            message: text,
            request_id,
        }),
    }
}

/// The command's timeout, when all fields keep to their rules.
fn validate(request: &pb::ExecuteCommandRequest) -> Result<Duration, Violations> {
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
        translate::duration(
            request.timeout.as_ref(),
            MILLISECOND..=MAX_TIMEOUT,
            MILLISECOND,
        ),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn result(is_error: bool, text: &str) -> wire::ToolResult {
        wire::ToolResult {
            is_error,
            content: vec![wire::ToolContent {
                kind: "text".to_owned(),
                text: text.to_owned(),
                data: String::new(),
            }],
        }
    }

    #[test]
    fn a_failed_command_is_an_answer_in_all_of_agb_s_forms() {
        for (is_error, text) in [
            (
                false,
                r#"{"stdout": "", "stderr": "no", "exit_code": 2, "traceId": "t"}"#,
            ),
            (
                true,
                r#"{"stdout": null, "stderr": "no", "exit_code": 2, "traceId": "t"}"#,
            ),
            (true, r#"{"stderr": "no", "errorCode": 2, "traceId": "t"}"#),
        ] {
            let answer = output(&result(is_error, text), String::new()).unwrap();
            assert_eq!(answer.exit_code, 2, "{text}");
            assert_eq!(answer.stderr, "no", "{text}");
            assert_eq!(answer.trace_id, "t", "{text}");
        }
    }

    #[test]
    fn bare_output_of_older_images_is_standard_output() {
        let answer = output(&result(false, "hello\n"), String::new()).unwrap();
        assert_eq!((answer.exit_code, answer.stdout.as_str()), (0, "hello\n"));
    }

    #[test]
    fn a_tool_that_did_not_run_the_command_is_a_failure() {
        for text in ["the image has no shell", "{}", r#"{"message": "busy"}"#] {
            assert!(
                output(&result(true, text), String::new()).is_err(),
                "{text}"
            );
        }
    }
}

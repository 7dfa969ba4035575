//! Shell commands in sessions, and how to write them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Backend;
use crate::agb::wire::{ShellOutput, ToolResult};
use crate::agb::{Answer, ToolCall};
use crate::resilience::Deadline;
use crate::status::{Failure, Resource};

/// How long the gateway's own commands may run.
const OWN_TIMEOUT: Duration = Duration::from_mins(1);

/// What a command did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) exit_code: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) trace_id: String,
}

/// Runs a command of the gateway's own, which has to succeed.
pub(super) async fn run(
    backend: &Backend,
    session_id: &str,
    mut arguments: Value,
    deadline: Deadline,
) -> Result<Output, Failure> {
    arguments["timeout_ms"] = json!(OWN_TIMEOUT.as_millis());
    let output = execute(backend, session_id, arguments, OWN_TIMEOUT, deadline).await?;
    if output.exit_code != 0 {
        return Err(Failure::Tool {
            message: format!("exit code {}: {}", output.exit_code, output.stderr.trim()),
            request_id: String::new(),
        });
    }
    Ok(output)
}

/// Calls the `shell` tool. A command that fails is an answer.
pub(super) async fn execute(
    backend: &Backend,
    session_id: &str,
    arguments: Value,
    timeout: Duration,
    deadline: Deadline,
) -> Result<Output, Failure> {
    let call = ToolCall {
        session_id,
        name: "shell",
        arguments,
        duration: timeout,
    };
    let answer = backend.tools.call(&call, deadline).await.map_err(|error| {
        let resource = Resource::Session(session_id.to_owned());
        Failure::agb(error, "executing the command", Some(resource))
    })?;
    output(answer)
}

/// AGB may call the tool failed and still tell what the command did.
fn output(answer: Answer<ToolResult>) -> Result<Output, Failure> {
    let result = answer.data;
    let text = result.text();
    let told: Option<ShellOutput> = serde_json::from_str(&text).ok();
    match told.filter(ShellOutput::tells_something) {
        Some(told) if told.code().is_some() || !result.is_error => Ok(Output {
            exit_code: told.code().unwrap_or_default(),
            stdout: told.stdout.unwrap_or_default(),
            stderr: told.stderr.unwrap_or_default(),
            trace_id: told.trace_id.unwrap_or_default(),
        }),
        // Older images answer with the bare output.
        None if !result.is_error => Ok(Output {
            stdout: text,
            ..Output::default()
        }),
        _ => Err(Failure::Tool {
            message: text,
            request_id: answer.request_id,
        }),
    }
}

/// Quotes a word for a POSIX shell.
pub(super) fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Decodes base64; `None` for what is none.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Encodes base64.
pub(super) fn encode(data: &[u8]) -> String {
    STANDARD.encode(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agb::wire::{Page, ToolContent};

    fn answer(is_error: bool, text: &str) -> Answer<ToolResult> {
        Answer {
            data: ToolResult {
                is_error,
                content: vec![ToolContent {
                    kind: "text".to_owned(),
                    text: text.to_owned(),
                    ..ToolContent::default()
                }],
            },
            page: Page::default(),
            request_id: String::new(),
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
            (
                false,
                r#"{"stderr": "no", "exit_code": 2, "errorCode": 7, "traceId": "t"}"#,
            ),
        ] {
            let output = output(answer(is_error, text)).unwrap();
            assert_eq!(output.exit_code, 2, "{text}");
            assert_eq!(output.stderr, "no", "{text}");
            assert_eq!(output.trace_id, "t", "{text}");
        }
    }

    #[test]
    fn bare_output_of_older_images_is_standard_output_also_when_it_is_json() {
        for text in ["hello\n", r#"{"name": "x"}"#, "[1]", "7"] {
            let output = output(answer(false, text)).unwrap();
            assert_eq!((output.exit_code, output.stdout.as_str()), (0, text));
        }
    }

    #[test]
    fn a_tool_that_did_not_run_the_command_is_a_failure() {
        for text in ["the image has no shell", "{}", r#"{"message": "busy"}"#] {
            assert!(output(answer(true, text)).is_err(), "{text}");
        }
    }

    #[test]
    fn quotes_do_not_end_a_quoted_word() {
        assert_eq!(quote("it's; rm -rf /"), r"'it'\''s; rm -rf /'");
    }
}

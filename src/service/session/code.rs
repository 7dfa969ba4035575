//! RunCode: a tool whose answer comes in three formats (AGB's SDK, `code.py`).

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::super::{Backend, translate};
use super::tools::text_of;
use crate::agb::ToolCall;
use crate::domain::Violations;
use crate::proto::v1 as pb;
use crate::resilience::Deadline;
use crate::status::Failure;

const SECOND: Duration = Duration::from_secs(1);
/// AGB's default.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(1);

/// The short names that AGB uses in some formats, and the MIME types that they stand for.
const REPRESENTATIONS: [(&str, &str); 8] = [
    ("text", "text/plain"),
    ("html", "text/html"),
    ("markdown", "text/markdown"),
    ("png", "image/png"),
    ("jpeg", "image/jpeg"),
    ("svg", "image/svg+xml"),
    ("json", "application/json"),
    ("latex", "text/latex"),
];

pub(super) async fn run_code(
    backend: &Backend,
    request: &pb::RunCodeRequest,
    deadline: Deadline,
) -> Result<pb::RunCodeResponse, Failure> {
    let mut violations = Violations::default();
    violations.check("session_id", translate::identifier(&request.session_id));
    violations.require("code", &request.code);
    let language = violations.check("language", language(&request.language));
    let timeout = violations.check(
        "timeout",
        translate::duration_up_to(
            backend.limits.tool_timeout,
            request.timeout.as_ref(),
            SECOND,
        ),
    );
    violations.into_result()?;
    let timeout = timeout.flatten().unwrap_or(DEFAULT_TIMEOUT);
    let call = ToolCall {
        session_id: &request.session_id,
        name: "run_code",
        arguments: json!({
            "code": request.code,
            "language": language,
            "timeout_s": timeout.as_secs(),
        }),
        duration: timeout,
    };
    let text = text_of(backend, &call, "running the code", deadline).await?;
    Ok(answer(&text))
}

/// AGB's name of a language. The error is the rule that the caller's breaks.
fn language(language: &str) -> Result<&'static str, String> {
    match language.trim().to_ascii_lowercase().as_str() {
        "" => Err("is required and must not be empty".to_owned()),
        "python" | "py" | "python3" => Ok("python"),
        "javascript" | "js" | "node" | "nodejs" => Ok("javascript"),
        "java" => Ok("java"),
        "r" => Ok("r"),
        _ => Err(format!(
            "must be python, javascript, java or r, got {language:?}"
        )),
    }
}

/// Reads the tool's answer: `{result, stdout, stderr, …}`, `{results, logs, error, …}`, or a bare text.
fn answer(text: &str) -> pb::RunCodeResponse {
    match serde_json::from_str::<Value>(text) {
        // What the code itself wrote may be an object too, with fields of these names.
        Ok(Value::Object(told))
            if told.get("result").is_some_and(Value::is_array)
                || told.contains_key("executionError") =>
        {
            new_format(&told)
        }
        Ok(Value::Object(told))
            if told.get("results").is_some_and(Value::is_array)
                || told.get("logs").is_some_and(Value::is_object) =>
        {
            rich_format(&told)
        }
        _ => pb::RunCodeResponse {
            stdout: vec![text.to_owned()],
            ..pb::RunCodeResponse::default()
        },
    }
}

fn new_format(told: &Map<String, Value>) -> pb::RunCodeResponse {
    let error = match told.get("executionError") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) if text.is_empty() => None,
        Some(error) => Some(pb::RunCodeError {
            name: "ExecutionError".to_owned(),
            value: plain(error),
            traceback: String::new(),
        }),
    };
    pb::RunCodeResponse {
        stdout: texts(told.get("stdout")),
        stderr: texts(told.get("stderr")),
        results: list(told.get("result")).iter().map(result).collect(),
        error,
        ..measures(told)
    }
}

fn rich_format(told: &Map<String, Value>) -> pb::RunCodeResponse {
    let logs = |name| told.get("logs").and_then(|logs| logs.get(name));
    let error = told.get("error").and_then(Value::as_object).map(|error| {
        let text = |name| error.get(name).map(plain).unwrap_or_default();
        pb::RunCodeError {
            name: text("name"),
            value: text("value"),
            traceback: text("traceback"),
        }
    });
    pb::RunCodeResponse {
        stdout: texts(logs("stdout")),
        stderr: texts(logs("stderr")),
        results: list(told.get("results")).iter().map(result).collect(),
        error,
        ..measures(told)
    }
}

fn measures(told: &Map<String, Value>) -> pb::RunCodeResponse {
    let seconds = told.get("execution_time").and_then(Value::as_f64);
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let count = told.get("execution_count").and_then(Value::as_i64);
    pb::RunCodeResponse {
        execution_time: duration.and_then(|duration| duration.try_into().ok()),
        execution_count: count.and_then(|count| i32::try_from(count).ok()),
        ..pb::RunCodeResponse::default()
    }
}

/// One thing that was shown: an object of representations, or such an object as JSON text, once or twice over.
fn result(item: &Value) -> pb::RunCodeResult {
    match item {
        Value::Object(fields) => representations(fields),
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(inner @ (Value::Object(_) | Value::String(_))) => result(&inner),
            _ => bare(text.clone()),
        },
        other => bare(other.to_string()),
    }
}

fn bare(text: String) -> pb::RunCodeResult {
    pb::RunCodeResult {
        representations: BTreeMap::from([("text/plain".to_owned(), text)]),
        is_main_result: false,
    }
}

fn representations(fields: &Map<String, Value>) -> pb::RunCodeResult {
    let is_main = |name: &str| {
        fields
            .get(name)
            .and_then(Value::as_bool)
            .unwrap_or_default()
    };
    let shown = fields.iter().filter_map(|(name, value)| {
        let short = REPRESENTATIONS.iter().find(|(short, _)| short == name);
        let mime = short.map_or(name.as_str(), |(_, mime)| mime);
        (mime.contains('/') && !value.is_null()).then(|| (mime.to_owned(), plain(value)))
    });
    pb::RunCodeResult {
        representations: shown.collect(),
        is_main_result: is_main("isMainResult") || is_main("is_main_result"),
    }
}

fn list(value: Option<&Value>) -> &[Value] {
    value
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) if !text.is_empty() => vec![text.clone()],
        value => list(value).iter().map(plain).collect(),
    }
}

/// A text as it is, anything else as JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_formats_are_read() {
        let new = answer(
            r#"{"result": ["{\"text/plain\": \"4\", \"isMainResult\": true}"], "stdout": ["hi\n"], "stderr": [],
                "executionError": null, "execution_count": 2, "execution_time": 0.5}"#,
        );
        assert_eq!(new.stdout, ["hi\n"]);
        assert_eq!(new.results[0].representations["text/plain"], "4");
        assert!(new.results[0].is_main_result);
        assert_eq!((new.error, new.execution_count), (None, Some(2)));

        let rich = answer(
            r#"{"logs": {"stdout": ["hi"], "stderr": ["oh"]}, "results": [{"text": "4", "png": "QQ==", "is_main_result": true}],
                "error": {"name": "ZeroDivisionError", "value": "division by zero", "traceback": "line 1"}}"#,
        );
        assert_eq!(rich.stderr, ["oh"]);
        assert_eq!(rich.results[0].representations["image/png"], "QQ==");
        assert_eq!(rich.error.unwrap().name, "ZeroDivisionError");

        for text in [
            "hello",
            "{}",
            "[1]",
            r#"{"result": 42}"#,
            r#"{"results": "none", "logs": 1}"#,
        ] {
            assert_eq!(answer(text).stdout, [text]);
        }
    }

    #[test]
    fn an_error_raised_by_the_code_is_told() {
        let answer = answer(r#"{"result": [], "executionError": "NameError: x"}"#);
        assert_eq!(answer.error.unwrap().value, "NameError: x");
    }

    #[test]
    fn languages_go_by_all_of_agb_s_names() {
        assert_eq!(language(" Python3 "), Ok("python"));
        assert_eq!(language("NODE"), Ok("javascript"));
        assert!(language("cobol").unwrap_err().contains("python"));
        assert!(language("").unwrap_err().contains("required"));
    }
}

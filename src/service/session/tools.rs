//! Tools of images and sessions: ListTools, CallTool, and RunCode and GetSessionMetrics, which are tools too.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::super::{Backend, translate};
use crate::agb::wire::{self, ListedTool, ToolContent, ToolResult};
use crate::agb::{self, Answer, ToolCall, operation};
use crate::domain::Violations;
use crate::proto::v1 as pb;
use crate::resilience::Deadline;
use crate::status::{Failure, Resource};

const MILLISECOND: Duration = Duration::from_millis(1);

pub(super) async fn list_tools(
    backend: &Backend,
    image_id: &str,
    deadline: Deadline,
) -> Result<pb::ListToolsResponse, Failure> {
    translate::sole_identifier("image_id", image_id)?;
    let doing = "listing the tools";
    let answer = backend
        .client
        .call(&wire::ListTools { image_id }, deadline)
        .await;
    let answer = answer.map_err(|error| Failure::agb(error, doing, None))?;
    let tools: Vec<ListedTool> = serde_json::from_str(&answer.data).map_err(|_| {
        let detail = "data is no JSON text of a list of tools";
        let error = agb::Error::malformed(&operation::LIST_TOOLS, answer.request_id, detail);
        Failure::agb(error, doing, None)
    })?;
    Ok(pb::ListToolsResponse {
        tools: tools.into_iter().map(tool).collect(),
    })
}

fn tool(tool: ListedTool) -> pb::Tool {
    pb::Tool {
        name: tool.name,
        description: tool.description,
        input_schema: match tool.input_schema {
            Value::Object(schema) => Some(translate::to_struct(schema)),
            _ => None,
        },
        server: tool.server,
    }
}

pub(super) async fn call_tool(
    backend: &Backend,
    request: pb::CallToolRequest,
    deadline: Deadline,
) -> Result<pb::CallToolResponse, Failure> {
    let mut violations = Violations::default();
    violations.check("session_id", translate::identifier(&request.session_id));
    violations.check("name", translate::identifier(&request.name));
    let timeout = violations.check(
        "timeout",
        translate::duration_up_to(
            backend.limits.tool_timeout,
            request.timeout.as_ref(),
            MILLISECOND,
        ),
    );
    violations.into_result()?;
    let arguments = request
        .arguments
        .map(translate::from_struct)
        .unwrap_or_default();
    let call = ToolCall {
        session_id: &request.session_id,
        name: &request.name,
        arguments: Value::Object(arguments),
        duration: timeout.flatten().unwrap_or_default(),
    };
    let answer = call_in_session(backend, &call, "calling the tool", deadline).await?;
    Ok(pb::CallToolResponse {
        is_error: answer.data.is_error,
        contents: answer.data.content.into_iter().map(content).collect(),
    })
}

/// Calls a tool; what the tool says of itself is left to the caller.
pub(super) async fn call_in_session(
    backend: &Backend,
    call: &ToolCall<'_>,
    doing: &str,
    deadline: Deadline,
) -> Result<Answer<ToolResult>, Failure> {
    let answer = backend.tools.call(call, deadline).await;
    answer.map_err(|error| {
        let resource = Resource::Session(call.session_id.to_owned());
        Failure::agb(error, doing, Some(resource))
    })
}

/// Calls a tool that must not fail, and returns its text.
pub(super) async fn text_of(
    backend: &Backend,
    call: &ToolCall<'_>,
    doing: &str,
    deadline: Deadline,
) -> Result<String, Failure> {
    let answer = call_in_session(backend, call, doing, deadline).await?;
    let text = answer.data.text();
    if answer.data.is_error {
        return Err(Failure::Tool {
            message: text,
            request_id: answer.request_id,
        });
    }
    Ok(text)
}

fn content(content: ToolContent) -> pb::ToolContent {
    use pb::tool_content::Content;
    let image = (content.kind == "image")
        .then(|| STANDARD.decode(&content.data).ok())
        .flatten();
    let piece = match (content.kind.as_str(), image) {
        ("text", _) => Content::Text(content.text),
        (_, Some(image)) => Content::Image(image),
        _ => Content::Other(translate::to_struct(whole(&content))),
    };
    pb::ToolContent {
        content: Some(piece),
        mime_type: content.mime_type,
    }
}

/// A piece of a kind that is not known, as AGB wrote it.
fn whole(content: &ToolContent) -> Map<String, Value> {
    let mut whole = content.other.clone();
    for (name, text) in [
        ("type", &content.kind),
        ("text", &content.text),
        ("data", &content.data),
        ("mimeType", &content.mime_type),
    ] {
        if !text.is_empty() {
            whole.insert(name.to_owned(), json!(text));
        }
    }
    whole
}

pub(super) async fn get_session_metrics(
    backend: &Backend,
    session_id: &str,
    deadline: Deadline,
) -> Result<pb::SessionMetrics, Failure> {
    translate::sole_identifier("session_id", session_id)?;
    let call = ToolCall {
        session_id,
        name: "get_metrics",
        arguments: json!({}),
        duration: Duration::ZERO,
    };
    let text = text_of(backend, &call, "getting the metrics", deadline).await?;
    let metrics: Value = serde_json::from_str(&text).map_err(|_| Failure::Tool {
        message: "get_metrics did not answer with JSON".to_owned(),
        request_id: String::new(),
    })?;
    Ok(metrics_of(&metrics))
}

/// Some images write the rates under other names (SDK, `session.py`).
fn metrics_of(metrics: &Value) -> pb::SessionMetrics {
    let number = |names: &[&str]| -> f64 {
        let found = names.iter().find_map(|name| metrics.get(*name)?.as_f64());
        found.unwrap_or_default()
    };
    let count = |name: &str| {
        metrics
            .get(name)
            .and_then(Value::as_i64)
            .unwrap_or_default()
    };
    pb::SessionMetrics {
        cpu_count: i32::try_from(count("cpu_count")).unwrap_or(i32::MAX),
        cpu_used_percent: number(&["cpu_used_pct"]),
        memory_total_bytes: count("mem_total"),
        memory_used_bytes: count("mem_used"),
        disk_total_bytes: count("disk_total"),
        disk_used_bytes: count("disk_used"),
        receive_rate_kilobytes_per_second: number(&[
            "rx_rate_kbyte_per_s",
            "rx_rate_kbps",
            "rx_rate_KBps",
        ]),
        transmit_rate_kilobytes_per_second: number(&[
            "tx_rate_kbyte_per_s",
            "tx_rate_kbps",
            "tx_rate_KBps",
        ]),
        received_kilobytes: number(&["rx_used_kbyte", "rx_used_kb", "rx_used_KB"]),
        transmitted_kilobytes: number(&["tx_used_kbyte", "tx_used_kb", "tx_used_KB"]),
        measure_time: metrics
            .get("timestamp")
            .and_then(wire::timestamp)
            .map(translate::timestamp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pb::tool_content::Content;

    fn told(json: Value) -> pb::ToolContent {
        content(serde_json::from_value(json).unwrap())
    }

    #[test]
    fn pictures_are_bytes_and_what_is_not_known_is_told_as_agb_wrote_it() {
        let image = told(json!({"type": "image", "data": "aGk=", "mimeType": "image/png"}));
        assert_eq!(image.content, Some(Content::Image(b"hi".to_vec())));
        assert_eq!(image.mime_type, "image/png");
        for other in [
            json!({"type": "image", "data": "no base64!"}),
            json!({"type": "resource", "uri": "x", "text": "t"}),
        ] {
            let Some(Content::Other(fields)) = told(other.clone()).content else {
                panic!("{other}");
            };
            assert_eq!(Value::Object(translate::from_struct(fields)), other);
        }
    }

    #[test]
    fn metrics_are_read_under_all_of_their_names() {
        for name in ["rx_rate_kbyte_per_s", "rx_rate_kbps", "rx_rate_KBps"] {
            let metrics = metrics_of(&json!({"cpu_count": 2, "mem_used": 5, name: 1.5}));
            assert_eq!((metrics.cpu_count, metrics.memory_used_bytes), (2, 5));
            assert!(
                (metrics.receive_rate_kilobytes_per_second - 1.5).abs() < 1e-9,
                "{name}"
            );
        }
    }
}

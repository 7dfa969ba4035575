//! Tools in sessions, by both of AGB's routes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{call, nullable};

/// Calls a tool through AGB's endpoint.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallTool<'a> {
    /// Always `false`: a call must not create a session.
    pub auto_gen_session: bool,
    /// AGB's id of the session.
    pub session_id: &'a str,
    /// The name of the tool.
    pub name: &'a str,
    /// The arguments as JSON text.
    pub args: String,
}
call!(CallTool<'_> => CALL_TOOL, ToolResult);

/// Calls a tool through the session's own link. It holds a secret, so it cannot be printed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallToolDirect<'a> {
    /// The arguments.
    pub args: &'a Value,
    /// The server that offers the tool.
    pub server: &'a str,
    /// An id that the caller chooses.
    pub request_id: &'a str,
    /// The name of the tool.
    pub tool: &'a str,
    /// The session's token: the one place where it has to be written out.
    pub token: &'a str,
}
/// Asks for the tools of an image.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListTools<'a> {
    /// The image.
    pub image_id: &'a str,
}
// `data` is JSON text: a list of `ListedTool`.
call!(ListTools<'_> => LIST_TOOLS, String);

/// A tool of an image.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListedTool {
    /// The name.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// What it does.
    #[serde(deserialize_with = "nullable")]
    pub description: String,
    /// The JSON Schema of its arguments.
    #[serde(deserialize_with = "nullable")]
    pub input_schema: Value,
    /// The server that offers it.
    #[serde(deserialize_with = "nullable")]
    pub server: String,
    /// AGB's own name for it.
    #[serde(deserialize_with = "nullable")]
    pub tool: String,
}

/// What a tool answered.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ToolResult {
    /// Whether the tool says that it failed.
    #[serde(deserialize_with = "nullable")]
    pub is_error: bool,
    /// What it answered, piece by piece.
    #[serde(deserialize_with = "nullable")]
    pub content: Vec<ToolContent>,
}

/// A piece of a tool's answer.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ToolContent {
    /// `text` or `image`.
    #[serde(rename = "type", deserialize_with = "nullable")]
    pub kind: String,
    /// The text.
    #[serde(deserialize_with = "nullable")]
    pub text: String,
    /// The picture, base64.
    #[serde(deserialize_with = "nullable")]
    pub data: String,
    /// The MIME type of the picture.
    #[serde(deserialize_with = "nullable")]
    pub mime_type: String,
    /// What a piece of another kind holds.
    #[serde(flatten)]
    pub other: serde_json::Map<String, Value>,
}

impl ToolResult {
    /// All pieces of text, a line each.
    pub fn text(&self) -> String {
        let texts: Vec<_> = self
            .content
            .iter()
            .filter(|content| content.kind == "text")
            .map(|content| content.text.as_str())
            .collect();
        texts.join("\n")
    }
}

#[derive(Deserialize)]
struct DirectToolData {
    result: ToolResult,
}

/// Reads what the session's own link answers as `data`: an object with the result, or the same object as JSON text.
pub fn direct_tool_result(data: Value) -> Result<ToolResult, serde_json::Error> {
    let data: DirectToolData = match data {
        Value::String(text) => serde_json::from_str(&text)?,
        other => serde_json::from_value(other)?,
    };
    Ok(data.result)
}

/// Reads which server offers each tool from a session's `toolList`: a list, or a list as JSON text, in which names may be capitalised.
///
/// What cannot be read is left out: without it, tools are called through AGB's endpoint.
pub fn tool_servers(tool_list: &Value) -> BTreeMap<String, String> {
    let parsed;
    let items = match tool_list {
        Value::String(text) => {
            parsed = serde_json::from_str::<Value>(text).unwrap_or_default();
            &parsed
        }
        other => other,
    };
    let text = |item: &Value, names: &[&str]| {
        names
            .iter()
            .find_map(|name| item.get(name)?.as_str())
            .unwrap_or_default()
            .to_owned()
    };
    items
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
        .map(|item| {
            (
                text(item, &["name", "Name"]),
                text(item, &["server", "serverName", "Server"]),
            )
        })
        .filter(|(tool, server)| !tool.is_empty() && !server.is_empty())
        .collect()
}

/// What the `shell` tool answers, as JSON text in its content; also where the tool says that it failed.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ShellOutput {
    /// Standard output.
    pub stdout: Option<String>,
    /// Standard error.
    pub stderr: Option<String>,
    /// The exit code. AGB leaves it out in some successes.
    pub exit_code: Option<i32>,
    /// What AGB calls the exit code in some failures.
    #[serde(rename = "errorCode")]
    pub error_code: Option<i32>,
    /// AGB's id for support.
    #[serde(rename = "traceId")]
    pub trace_id: Option<String>,
}

impl ShellOutput {
    /// The exit code by either name.
    pub fn code(&self) -> Option<i32> {
        self.exit_code.or(self.error_code)
    }

    /// Whether any of it was told: JSON of another kind is a command's own output.
    pub fn tells_something(&self) -> bool {
        self.stdout.is_some() || self.stderr.is_some() || self.code().is_some()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_servers_of_tools_are_read_from_a_list_and_from_its_text() {
        let list = json!([{"Name": "shell", "serverName": "mcp-server"}, {"name": "x"}]);
        let expected = BTreeMap::from([("shell".to_owned(), "mcp-server".to_owned())]);
        assert_eq!(tool_servers(&list), expected);
        assert_eq!(tool_servers(&json!(list.to_string())), expected);
        assert!(tool_servers(&json!("no JSON")).is_empty());
        assert!(tool_servers(&Value::Null).is_empty());
    }

    #[test]
    fn a_direct_answer_is_read_from_an_object_and_from_its_text() {
        let data =
            json!({"result": {"isError": null, "content": [{"type": "text", "text": "hi"}]}});
        for data in [json!(data.to_string()), data] {
            assert_eq!(direct_tool_result(data).unwrap().text(), "hi");
        }
        assert!(direct_tool_result(Value::Null).is_err());
    }
}

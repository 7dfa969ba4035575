//! Tools in sessions, by both of AGB's routes.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::call;

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

/// Calls a tool through the session's own link.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallToolDirect<'a> {
    /// The arguments.
    pub args: Value,
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
    pub name: String,
    /// What it does.
    pub description: String,
    /// The JSON Schema of its arguments.
    pub input_schema: Value,
    /// The server that offers it.
    pub server: String,
    /// AGB's own name for it.
    pub tool: String,
}

/// What a tool answered.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ToolResult {
    /// Whether the tool says that it failed.
    pub is_error: bool,
    /// What it answered, piece by piece.
    pub content: Vec<ToolContent>,
}

/// A piece of a tool's answer.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ToolContent {
    /// `text` or `image`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The text.
    pub text: String,
    /// The picture, base64.
    pub data: String,
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

/// What the session's own link answers: the result, or an object with the result as JSON text.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum DirectToolData {
    /// An object.
    Object {
        /// What the tool answered.
        result: ToolResult,
    },
    /// The same object as JSON text.
    Text(String),
}

/// The server that offers a tool in a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolServer {
    /// The name of the tool.
    pub tool: String,
    /// The server.
    pub server: String,
}

/// Reads a session's `toolList`: a list, or a list as JSON text, in which names may be capitalised.
///
/// What cannot be read is left out: without it, tools are called through AGB's endpoint.
pub fn tool_servers(tool_list: &Value) -> Vec<ToolServer> {
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
        .map(|item| ToolServer {
            tool: text(item, &["name", "Name"]),
            server: text(item, &["server", "serverName", "Server"]),
        })
        .filter(|found| !found.tool.is_empty() && !found.server.is_empty())
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
    /// The exit code; AGB calls it `errorCode` in some failures, and leaves it out in some successes.
    #[serde(alias = "errorCode")]
    pub exit_code: Option<i32>,
    /// AGB's id for support.
    #[serde(rename = "traceId")]
    pub trace_id: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_servers_of_tools_are_read_from_a_list_and_from_its_text() {
        let list = json!([{"Name": "shell", "serverName": "mcp-server"}, {"name": "x"}]);
        let expected = [ToolServer {
            tool: "shell".to_owned(),
            server: "mcp-server".to_owned(),
        }];
        assert_eq!(tool_servers(&list), expected);
        assert_eq!(tool_servers(&json!(list.to_string())), expected);
        assert_eq!(tool_servers(&json!("no JSON")), []);
        assert_eq!(tool_servers(&Value::Null), []);
    }

    #[test]
    fn an_exit_code_is_read_under_both_of_its_names() {
        for text in [r#"{"exit_code": 2}"#, r#"{"errorCode": 2, "stderr": ""}"#] {
            let output: ShellOutput = serde_json::from_str(text).unwrap();
            assert_eq!(output.exit_code, Some(2));
        }
    }
}

//! Which tools an image offers, and how they are called.

use serde_json::{Value, json};

/// One tool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) server: &'static str,
    description: &'static str,
    /// Name, type, and whether it must be given.
    arguments: &'static [(&'static str, &'static str, bool)],
    /// Only images of these kinds have it; any image has it when there are none.
    kinds: &'static [ImageKind],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ImageKind {
    Code,
    Browser,
    /// A custom image.
    Other,
}

/// The tools of one image.
#[derive(Debug, Clone)]
pub(crate) struct Catalog(Vec<Tool>);

const ANY: &[ImageKind] = &[];
const TOOLS: [Tool; 15] = [
    tool(
        "shell",
        "wuying_shell",
        "Runs a shell command.",
        &[
            ("command", "string", true),
            ("timeout_ms", "integer", false),
            ("cwd", "string", false),
            ("envs", "object", false),
        ],
        ANY,
    ),
    tool(
        "run_code",
        "wuying_codespace",
        "Runs code in python, javascript, java or r.",
        &[
            ("code", "string", true),
            ("language", "string", true),
            ("timeout_s", "integer", false),
        ],
        &[ImageKind::Code, ImageKind::Other],
    ),
    tool(
        "get_metrics",
        "wuying_system",
        "Tells the measures of the machine.",
        &[],
        ANY,
    ),
    tool(
        "stopChrome",
        "wuying_cdp",
        "Stops the browser.",
        &[],
        &[ImageKind::Browser, ImageKind::Other],
    ),
    files(
        "read_file",
        "Reads a file, or a part of it.",
        &[
            ("path", "string", true),
            ("offset", "integer", false),
            ("length", "integer", false),
            ("format", "string", false),
        ],
    ),
    files(
        "write_file",
        "Writes a file.",
        &[
            ("path", "string", true),
            ("content", "string", true),
            ("mode", "string", false),
        ],
    ),
    files(
        "list_directory",
        "Lists a folder.",
        &[("path", "string", true)],
    ),
    files(
        "get_file_info",
        "Tells about a file or folder.",
        &[("path", "string", true)],
    ),
    files(
        "create_directory",
        "Makes a folder.",
        &[("path", "string", true)],
    ),
    files(
        "move_file",
        "Moves or renames a file or folder.",
        &[("source", "string", true), ("destination", "string", true)],
    ),
    files(
        "delete_file",
        "Deletes a file.",
        &[("path", "string", true)],
    ),
    files(
        "edit_file",
        "Replaces parts of a text file.",
        &[
            ("path", "string", true),
            ("edits", "array", true),
            ("dryRun", "boolean", false),
        ],
    ),
    files(
        "read_multiple_files",
        "Reads several files.",
        &[("paths", "array", true)],
    ),
    files(
        "search_files",
        "Finds files by their names.",
        &[
            ("path", "string", true),
            ("pattern", "string", true),
            ("excludePatterns", "array", false),
        ],
    ),
    files(
        "get_file_change",
        "Tells what has changed in a folder since the last call.",
        &[("path", "string", true)],
    ),
];

const fn tool(
    name: &'static str,
    server: &'static str,
    description: &'static str,
    arguments: &'static [(&'static str, &'static str, bool)],
    kinds: &'static [ImageKind],
) -> Tool {
    Tool {
        name,
        server,
        description,
        arguments,
        kinds,
    }
}

const fn files(
    name: &'static str,
    description: &'static str,
    arguments: &'static [(&'static str, &'static str, bool)],
) -> Tool {
    tool(name, "wuying_filesystem", description, arguments, ANY)
}

impl ImageKind {
    /// AGB's own images tell by their names what they are for.
    fn of(image: &str) -> Self {
        if image.starts_with("agb-code-") {
            Self::Code
        } else if image.starts_with("agb-browser-") {
            Self::Browser
        } else {
            Self::Other
        }
    }
}

impl Catalog {
    pub(crate) fn of_image(image: &str) -> Self {
        let kind = ImageKind::of(image);
        let offered = |tool: &&Tool| tool.kinds.is_empty() || tool.kinds.contains(&kind);
        Self(TOOLS.iter().filter(offered).copied().collect())
    }

    /// The whole list, as JSON text.
    pub(crate) fn describe(&self) -> String {
        json!(self.0.iter().map(Tool::describe).collect::<Vec<_>>()).to_string()
    }

    /// The names and servers, as JSON text.
    pub(crate) fn names(&self) -> String {
        let names: Vec<_> = self
            .0
            .iter()
            .map(|tool| json!({ "name": tool.name, "server": tool.server }))
            .collect();
        json!(names).to_string()
    }
}

impl Tool {
    fn describe(&self) -> Value {
        let properties: serde_json::Map<_, _> = self
            .arguments
            .iter()
            .map(|(name, kind, _)| ((*name).to_owned(), json!({ "type": kind })))
            .collect();
        let required: Vec<_> = self
            .arguments
            .iter()
            .filter(|(_, _, required)| *required)
            .map(|(name, _, _)| name)
            .collect();
        json!({
            "name": self.name,
            "description": self.description,
            "inputSchema": { "type": "object", "properties": properties, "required": required },
            "server": self.server,
            "tool": self.name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_offers_what_it_is_for() {
        let has = |image: &str, name: &str| {
            Catalog::of_image(image)
                .0
                .iter()
                .any(|tool| tool.name == name)
        };
        assert!(has("agb-code-space-1", "run_code") && !has("agb-code-space-1", "stopChrome"));
        assert!(has("agb-browser-use-1", "stopChrome") && !has("agb-browser-use-1", "run_code"));
        assert!(has("my-own-image", "run_code") && has("my-own-image", "stopChrome"));
        assert!(has("agb-browser-use-1", "read_file"));
    }
}

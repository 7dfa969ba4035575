//! Which program runs which language, and how. What the host does not have is said, not imitated.

use std::collections::BTreeMap;
use std::path::Path;

use crate::sandbox::CommandSpec;

/// Where the session's `PATH` leads.
const FOLDERS: [&str; 2] = ["/usr/local/bin", "/usr/bin"];
const RESULT: &str = "result.json";

/// A language that `run_code` knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Python,
    JavaScript,
    Java,
    R,
}

impl Language {
    pub(super) fn read(text: &str) -> Result<Self, String> {
        match text.trim().to_lowercase().as_str() {
            "python" | "py" | "python3" => Ok(Self::Python),
            "javascript" | "js" | "node" | "nodejs" => Ok(Self::JavaScript),
            "java" => Ok(Self::Java),
            "r" => Ok(Self::R),
            _ => Err(format!(
                "Unsupported language: {text}. Supported languages are java, javascript, python, r"
            )),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::JavaScript => "javascript",
            Self::Java => "java",
            Self::R => "r",
        }
    }

    /// The command that runs the code. The error says what the host lacks.
    pub(super) fn command(self, code: &str) -> Result<CommandSpec, String> {
        match self {
            Self::Python => self.driven(
                "python3",
                ("driver.py", include_str!("driver.py")),
                ("main.py", code),
                &["{scratch}/driver.py", "{scratch}"],
            ),
            Self::JavaScript => self.driven(
                "node",
                ("driver.js", include_str!("driver.js")),
                ("main.js", code),
                &["{scratch}/driver.js", "{scratch}"],
            ),
            Self::R => self.driven(
                "Rscript",
                ("driver.R", include_str!("driver.R")),
                ("main.R", code),
                &["--vanilla", "{scratch}/driver.R", "{scratch}"],
            ),
            Self::Java if is_java_program(code) => {
                self.plain("java", ("Main.java", code), &["{scratch}/Main.java"])
            }
            // A snippet. Without the local engine, jshell talks to another process over the network.
            Self::Java => {
                let code = format!("{code}\n/exit\n");
                let arguments = ["--execution", "local", "-s", "{scratch}/main.jsh"];
                self.plain("jshell", ("main.jsh", &code), &arguments)
            }
        }
    }

    fn driven(
        self,
        program: &str,
        driver: (&str, &str),
        code: (&str, &str),
        arguments: &[&str],
    ) -> Result<CommandSpec, String> {
        let mut spec = self.plain(program, code, arguments)?;
        spec.scratch_files
            .insert(driver.0.to_owned(), driver.1.to_owned());
        spec.result_file = Some(RESULT.to_owned());
        Ok(spec)
    }

    fn plain(
        self,
        program: &str,
        (name, code): (&str, &str),
        arguments: &[&str],
    ) -> Result<CommandSpec, String> {
        let path = FOLDERS
            .iter()
            .map(|folder| format!("{folder}/{program}"))
            .find(|path| Path::new(path).exists())
            .ok_or_else(|| {
                format!(
                    "the language {} is not available: this host has no {program}",
                    self.name()
                )
            })?;
        Ok(CommandSpec {
            program: path,
            arguments: arguments.iter().map(|&text| text.to_owned()).collect(),
            scratch_files: BTreeMap::from([(name.to_owned(), code.to_owned())]),
            ..CommandSpec::default()
        })
    }
}

/// A whole program has a class with a main method; anything else is a snippet.
fn is_java_program(code: &str) -> bool {
    code.contains("class ") && code.contains("main(")
}

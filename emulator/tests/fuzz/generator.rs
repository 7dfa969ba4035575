//! Makes values by chance: mostly such as could be meant.

use fastrand::Rng;
use serde_json::{Value, json};

use crate::known::Known;
use crate::words::{NASTY, POLICY, TOOL_ARGUMENTS, TOOLS};

pub struct Generator {
    pub rng: Rng,
    pub known: Known,
}

impl Generator {
    pub fn pick(&mut self, list: &[&'static str]) -> &'static str {
        list[self.rng.usize(..list.len())]
    }

    pub fn known(&mut self, ids: fn(&Known) -> &Vec<String>) -> String {
        let ids = ids(&self.known);
        if ids.is_empty() {
            return "none".to_owned();
        }
        ids[self.rng.usize(..ids.len())].clone()
    }

    /// A value for the field; mostly one that could be meant.
    pub fn text(&mut self, field: &str) -> String {
        if self.rng.u8(..100) < 25 {
            return self.nasty();
        }
        match field {
            "id" | "contextId" => self.known(|known| &known.contexts),
            "sessionId" => self.known(|known| &known.sessions),
            "name" => ["a", "b", "c"][self.rng.usize(..3)].to_owned(),
            "imageId" => "agb-code-space-1".to_owned(),
            "mode" => ["upload", "download"][self.rng.usize(..2)].to_owned(),
            "allowCreate" | "isAll" => "true".to_owned(),
            "labels" | "Labels" => json!({ "a": self.nasty() }).to_string(),
            "path" | "filePath" | "parentFolderPath" | "cwd" | "source" | "destination" => {
                ["/tmp/a", "/home/data", "/home/data/b", "/tmp", "/"][self.rng.usize(..5)]
                    .to_owned()
            }
            "maxResults" | "pageSize" | "pageNumber" | "limit" | "files" | "port" => {
                self.rng.u64(..).to_string()
            }
            _ => self.nasty(),
        }
    }

    pub fn nasty(&mut self) -> String {
        match self.rng.u8(..20) {
            0 => (0..self.rng.usize(..40))
                .map(|_| self.rng.char(..))
                .collect(),
            1 => "x".repeat(self.rng.usize(..5000)),
            2 => "[".repeat(self.rng.usize(..3000)),
            _ => self.pick(NASTY).to_owned(),
        }
    }

    /// JSON of any kind.
    pub fn value(&mut self, depth: usize) -> Value {
        match self.rng.u8(..if depth == 0 { 6 } else { 8 }) {
            0 => Value::Null,
            1 => json!(self.rng.bool()),
            2 => json!(self.rng.i64(..)),
            3 => json!(self.rng.u64(..)),
            4 => json!(self.rng.f64() * 1e300),
            5 => json!(self.nasty()),
            6 => (0..self.rng.usize(..4))
                .map(|_| self.value(depth - 1))
                .collect(),
            _ => {
                let entries =
                    (0..self.rng.usize(..4)).map(|_| (self.nasty(), self.value(depth - 1)));
                Value::Object(entries.collect())
            }
        }
    }

    pub fn field(&mut self, field: &str) -> Value {
        if self.rng.u8(..100) < 15 {
            return self.value(3);
        }
        match field {
            "args" => json!(self.tool_arguments().to_string()),
            "name" => json!(self.pick(TOOLS)),
            "timeout" | "times" | "skip" | "seed" | "seconds" => {
                json!([0, 1, 60, u64::MAX][self.rng.usize(..4)])
            }
            "probability" => json!(self.rng.f64() * 1.5),
            // Other operations than the fuzzed ones: a scripted 5xx would hide a true one.
            "operation" => json!("callTool"),
            "action" => {
                let name = [
                    "delay",
                    "respond",
                    "throttle",
                    "redirect",
                    "stallAnswer",
                    "failSyncTask",
                ][self.rng.usize(..6)];
                json!({ name: self.value(2) })
            }
            "persistenceDataList" => {
                let count = [0, 0, 1, 1, 2][self.rng.usize(..5)];
                (0..count).map(|_| self.mount()).collect()
            }
            _ => json!(self.text(field)),
        }
    }

    fn mount(&mut self) -> Value {
        let policy = match self.rng.u8(..6) {
            0..3 => String::new(),
            3 => self.nasty(),
            _ => {
                let parts = (0..self.rng.usize(..3)).map(|_| {
                    let value = match self.rng.u8(..3) {
                        0 => self.value(3),
                        1 => json!({ "path": self.nasty(), "lifecycle": self.nasty(), "paths": [self.nasty()] }),
                        _ => json!({ "whiteLists": [{ "path": self.nasty(), "excludePaths": [self.nasty()] }], "uploadMode": self.nasty() }),
                    };
                    (self.pick(POLICY).to_owned(), value)
                });
                Value::Object(parts.collect()).to_string()
            }
        };
        json!({ "contextId": self.text("contextId"), "path": self.text("path"), "policy": policy })
    }

    fn tool_arguments(&mut self) -> Value {
        let arguments: Vec<_> = (0..self.rng.usize(..4))
            .map(|_| {
                let name = self.pick(TOOL_ARGUMENTS);
                let value = match (name, self.rng.u8(..4)) {
                    (_, 0) => self.value(2),
                    ("command" | "code", _) => json!(
                        ["true", "echo a; exit 3", "ls /", "\0", "exit 99999"][self.rng.usize(..5)]
                    ),
                    // Long enough to work, short enough for a test.
                    ("timeout_ms", _) => json!(self.rng.u64(..300)),
                    ("offset" | "length" | "timeout_s", _) => json!(self.rng.i64(-2..5)),
                    ("envs", _) => json!({ self.nasty(): self.nasty() }),
                    (name, _) => json!(self.text(name)),
                };
                (name.to_owned(), value)
            })
            .collect();
        // Complete for some tools, and then overlaid with what was drawn.
        let mut complete = if self.rng.bool() {
            json!({ "command": "true", "path": "/tmp/a", "content": "a", "mode": "overwrite" })
        } else {
            json!({})
        };
        complete.as_object_mut().unwrap().extend(arguments);
        complete
    }
}

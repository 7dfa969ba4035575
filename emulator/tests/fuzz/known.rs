//! What earlier answers told, for later calls to use.

use serde_json::Value;

/// What is known to be there, so that not every call ends at the first check.
#[derive(Default)]
pub struct Known {
    pub contexts: Vec<String>,
    pub sessions: Vec<String>,
    /// What is open to whoever has the URL: storage, links, a session's tools.
    pub urls: Vec<String>,
}

impl Known {
    /// Learns the ids and URLs that an answer tells.
    pub fn learn(&mut self, answer: &Value) {
        let data = &answer["data"];
        for (field, begin) in [
            ("id", "SdkCtx-"),
            ("sessionId", "session-"),
            ("url", "http"),
            ("linkUrl", "http"),
        ] {
            let known = match field {
                "id" => &mut self.contexts,
                "sessionId" => &mut self.sessions,
                _ => &mut self.urls,
            };
            if let Some(text) = data[field].as_str().filter(|text| text.starts_with(begin)) {
                known.push(text.to_owned());
                if known.len() > 8 {
                    known.remove(0);
                }
            }
        }
    }
}

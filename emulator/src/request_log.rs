//! The requests that were seen: the last ones in full, and how many of each operation.
//!
//! Headers are not kept, and so no bearer key is.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Bodies longer than this many bytes are not kept.
const REMEMBERED_BODY_BYTES: usize = 64 * 1024;
/// Operations beyond this many are not counted, so that random paths do not grow the table.
const COUNTED_OPERATIONS: usize = 256;

/// One request as it was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedRequest {
    /// The request id of the answer.
    pub request_id: String,
    /// When it came, in milliseconds since the epoch.
    pub received_at_ms: i64,
    /// The last segment of the path.
    pub operation: String,
    /// The HTTP method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The query, decoded.
    pub query: BTreeMap<String, String>,
    /// The body; `Null` when there was none, when it was no JSON, or when it was longer than 64 KiB.
    pub body: Value,
}

/// The log of one emulator.
#[derive(Debug)]
pub(crate) struct RequestLog {
    capacity: usize,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    last: VecDeque<RecordedRequest>,
    counts: HashMap<String, u64>,
}

impl RequestLog {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            seen: Mutex::default(),
        }
    }

    pub(crate) fn record(&self, mut request: RecordedRequest, body_bytes: usize) {
        if body_bytes > REMEMBERED_BODY_BYTES {
            request.body = Value::Null;
        }
        let mut seen = self.lock();
        if seen.counts.len() < COUNTED_OPERATIONS || seen.counts.contains_key(&request.operation) {
            *seen.counts.entry(request.operation.clone()).or_default() += 1;
        }
        if self.capacity == 0 {
            return;
        }
        if seen.last.len() == self.capacity {
            seen.last.pop_front();
        }
        seen.last.push_back(request);
    }

    pub(crate) fn last(&self) -> Vec<RecordedRequest> {
        self.lock().last.iter().cloned().collect()
    }

    pub(crate) fn count(&self, operation: &str) -> u64 {
        self.lock().counts.get(operation).copied().unwrap_or(0)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_keeps_the_last_requests_and_counts_them_all() {
        let log = RequestLog::new(2);
        for number in 0..3 {
            let request = RecordedRequest {
                request_id: number.to_string(),
                received_at_ms: 0,
                operation: "GetContext".to_owned(),
                method: "GET".to_owned(),
                path: "/sdk/GetContext".to_owned(),
                query: BTreeMap::new(),
                body: Value::Null,
            };
            log.record(request, 0);
        }
        let kept: Vec<_> = log
            .last()
            .into_iter()
            .map(|request| request.request_id)
            .collect();
        assert_eq!(kept, ["1", "2"]);
        assert_eq!(log.count("GetContext"), 3);
    }
}

//! The requests that were seen: the last ones in full, and how many of each operation.
//!
//! Headers are not kept, and so no bearer key is.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Bodies, and queries, longer than this many bytes are not kept.
const REMEMBERED_BYTES: usize = 64 * 1024;
/// Longer paths are not kept whole.
const REMEMBERED_PATH_BYTES: usize = 512;
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
    /// The last segment of the path; for what needs no API key, a name such as `StorageUpload`.
    pub operation: String,
    /// The HTTP method.
    pub method: String,
    /// The path, its first 512 bytes at most; without the signature of a link.
    pub path: String,
    /// The query, decoded and without signatures; empty when it was longer than 64 KiB.
    pub query: BTreeMap<String, String>,
    /// The body; `Null` when there was none, when it was no JSON, or when it was longer than 64 KiB.
    pub body: Value,
    /// How it ended.
    pub end: RequestEnd,
    /// The HTTP status of the answer, once there is one.
    pub status: Option<u16>,
    /// How long it took until it ended, in milliseconds.
    pub duration_ms: Option<u64>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RequestEnd {
    /// It has not ended yet.
    UnderWay,
    /// It was answered.
    Answered,
    /// A fault closed the connection.
    Closed,
    /// A fault reset the connection.
    Reset,
    /// The caller closed the connection before there was an answer.
    CallerGone,
}

/// Names a request in the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestNumber(u64);

/// The log of one emulator.
#[derive(Debug)]
pub(crate) struct RequestLog {
    capacity: usize,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The number of the first request in `last`.
    first: u64,
    last: VecDeque<RecordedRequest>,
    counts: BTreeMap<String, u64>,
}

impl RequestLog {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            seen: Mutex::default(),
        }
    }

    pub(crate) fn record(&self, mut request: RecordedRequest, body_bytes: usize) -> RequestNumber {
        if body_bytes > REMEMBERED_BYTES {
            request.body = Value::Null;
        }
        let query_bytes: usize = request
            .query
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        if query_bytes > REMEMBERED_BYTES {
            request.query.clear();
        }
        for text in [&mut request.path, &mut request.operation] {
            text.truncate(text.floor_char_boundary(REMEMBERED_PATH_BYTES));
        }
        let mut seen = self.lock();
        if seen.counts.len() < COUNTED_OPERATIONS || seen.counts.contains_key(&request.operation) {
            *seen.counts.entry(request.operation.clone()).or_default() += 1;
        }
        seen.last.push_back(request);
        if seen.last.len() > self.capacity {
            seen.last.pop_front();
            seen.first += 1;
        }
        RequestNumber(seen.first + seen.last.len() as u64 - u64::from(self.capacity > 0))
    }

    /// Notes how a request ended, if it is still remembered.
    pub(crate) fn end(
        &self,
        number: RequestNumber,
        end: RequestEnd,
        status: Option<u16>,
        duration_ms: u64,
    ) {
        let mut seen = self.lock();
        let index = number.0.checked_sub(seen.first);
        let index = index.and_then(|index| usize::try_from(index).ok());
        if let Some(request) = index.and_then(|index| seen.last.get_mut(index)) {
            request.end = end;
            request.status = status;
            request.duration_ms = Some(duration_ms);
        }
    }

    pub(crate) fn last(&self) -> Vec<RecordedRequest> {
        self.lock().last.iter().cloned().collect()
    }

    /// The latest `most` requests that are wanted, oldest first.
    pub(crate) fn latest(
        &self,
        most: usize,
        wanted: impl Fn(&RecordedRequest) -> bool,
    ) -> Vec<RecordedRequest> {
        let seen = self.lock();
        let mut latest: Vec<_> = seen
            .last
            .iter()
            .rev()
            .filter(|request| wanted(request))
            .take(most)
            .cloned()
            .collect();
        latest.reverse();
        latest
    }

    pub(crate) fn count(&self, operation: &str) -> u64 {
        self.lock().counts.get(operation).copied().unwrap_or(0)
    }

    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        self.lock().counts.clone()
    }

    pub(crate) fn clear(&self) {
        let mut seen = self.lock();
        // Requests that are under way still end, and must not be taken for later ones.
        seen.first += seen.last.len() as u64;
        seen.last.clear();
        seen.counts.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(id: &str) -> RecordedRequest {
        RecordedRequest {
            request_id: id.to_owned(),
            received_at_ms: 0,
            operation: "GetContext".to_owned(),
            method: "GET".to_owned(),
            path: "/sdk/GetContext".to_owned(),
            query: BTreeMap::new(),
            body: Value::Null,
            end: RequestEnd::UnderWay,
            status: None,
            duration_ms: None,
        }
    }

    fn ends(log: &RequestLog) -> Vec<(String, RequestEnd)> {
        log.last()
            .into_iter()
            .map(|request| (request.request_id, request.end))
            .collect()
    }

    #[test]
    fn the_log_keeps_the_last_requests_and_counts_them_all() {
        let log = RequestLog::new(2);
        let numbers = ["0", "1", "2"].map(|id| log.record(request(id), 0));
        for number in numbers {
            log.end(number, RequestEnd::Answered, Some(200), 1);
        }
        let answered = |id: &str| (id.to_owned(), RequestEnd::Answered);
        assert_eq!(ends(&log), [answered("1"), answered("2")]);
        assert_eq!(log.count("GetContext"), 3);
    }

    #[test]
    fn an_end_finds_its_own_request_and_no_other() {
        let log = RequestLog::new(2);
        let earlier = log.record(request("before"), 0);
        log.clear();
        let later = log.record(request("after"), 0);
        log.end(earlier, RequestEnd::Closed, None, 1);
        assert_eq!(ends(&log), [("after".to_owned(), RequestEnd::UnderWay)]);
        log.end(later, RequestEnd::Reset, None, 1);
        assert_eq!(ends(&log), [("after".to_owned(), RequestEnd::Reset)]);
    }

    #[test]
    fn a_log_without_room_only_counts() {
        let log = RequestLog::new(0);
        let number = log.record(request("1"), 0);
        log.end(number, RequestEnd::Answered, Some(200), 1);
        assert!(log.last().is_empty());
        assert_eq!(log.count("GetContext"), 1);
    }

    #[test]
    fn what_is_long_is_not_kept() {
        let log = RequestLog::new(1);
        let mut lengthy = request("1");
        lengthy.path = "/ä".repeat(REMEMBERED_PATH_BYTES);
        lengthy.operation.clone_from(&lengthy.path);
        lengthy.query = [("a".to_owned(), "b".repeat(REMEMBERED_BYTES))].into();
        lengthy.body = Value::String("long".to_owned());
        log.record(lengthy, REMEMBERED_BYTES + 1);
        let kept = &log.last()[0];
        assert!(kept.path.len() <= REMEMBERED_PATH_BYTES && kept.operation == kept.path);
        assert!(kept.query.is_empty() && kept.body.is_null());
    }
}

//! Puts the caller's deadline into the request, where the services find it, and how often each call of AGB may be tried.
//!
//! tonic has a timeout of its own, which drops the call and answers CANCELLED without a word. The reserve lets the gateway
//! answer first, with what is known.

use std::time::Duration;

use tonic::metadata::MetadataMap;
use tonic::service::Interceptor;
use tonic::{Request, Status};

use crate::domain::Violations;
use crate::resilience::Deadline;
use crate::status::Failure;

const HEADER: &str = "grpc-timeout";
const PREVIOUS_ATTEMPTS: &str = "grpc-previous-rpc-attempts";
/// The reserve takes at most this part of the caller's time.
const MAX_RESERVE_PART: u32 = 10;
/// With less time than this no answer could be had, and tonic's own timer would be as early: nothing is begun.
const SHORTEST: Duration = Duration::from_millis(1);
/// The gRPC wire format allows eight digits.
const MAX_DIGITS: usize = 8;

/// What the server makes of callers' deadlines.
#[derive(Clone, Copy, Debug)]
pub struct DeadlineLimits {
    /// The longest.
    pub max: Duration,
    /// For callers who name none.
    pub default: Duration,
    /// How much earlier the gateway answers.
    pub reserve: Duration,
    /// How often each call of AGB is tried. What the client has tried before counts.
    pub attempts: u32,
}

impl DeadlineLimits {
    /// How long the gateway may take, when the caller gives this much time.
    fn budget(self, caller: Option<Duration>) -> Duration {
        match caller {
            None => self.default,
            Some(time) if time > self.max => self.max,
            Some(time) => time.saturating_sub(self.reserve.min(time / MAX_RESERVE_PART)),
        }
    }
}

/// Puts a [`Deadline`] into each request.
#[derive(Clone, Copy, Debug)]
pub struct DeadlineInterceptor(pub DeadlineLimits);

impl Interceptor for DeadlineInterceptor {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let caller = timeout(request.metadata()).map_err(|rule| {
            let mut violations = Violations::default();
            violations.add(HEADER, rule);
            Failure::from(violations)
        })?;
        let budget = self.0.budget(caller);
        if budget < SHORTEST {
            let doing = "the call was not begun".to_owned();
            let resource = None;
            return Err(Failure::Deadline { doing, resource }.into());
        }
        let attempts = self
            .0
            .attempts
            .saturating_sub(previous_attempts(request.metadata()));
        request
            .extensions_mut()
            .insert(Deadline::after(budget).with_attempts(attempts));
        Ok(request)
    }
}

/// How often a client that repeats calls by itself has tried this one before (gRFC A6). What cannot be read is none.
fn previous_attempts(metadata: &MetadataMap) -> u32 {
    let header = metadata.get(PREVIOUS_ATTEMPTS);
    let text = header.and_then(|value| value.to_str().ok());
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// Reads `grpc-timeout`: at most eight digits and a unit (gRPC over HTTP/2, "Timeout").
fn timeout(metadata: &MetadataMap) -> Result<Option<Duration>, String> {
    let Some(value) = metadata.get(HEADER) else {
        return Ok(None);
    };
    let rule = || "must be at most eight digits and one of H, M, S, m, u, n".to_owned();
    let text = value.to_str().map_err(|_| rule())?;
    let unit = text.chars().last().ok_or_else(rule)?;
    let digits = text.strip_suffix(unit).unwrap_or_default();
    let all_digits = digits.chars().all(|char| char.is_ascii_digit());
    if digits.is_empty() || digits.len() > MAX_DIGITS || !all_digits {
        return Err(rule());
    }
    let count: u64 = digits.parse().map_err(|_| rule())?;
    let duration = match unit {
        'H' => Duration::from_secs(count * 3600),
        'M' => Duration::from_secs(count * 60),
        'S' => Duration::from_secs(count),
        'm' => Duration::from_millis(count),
        'u' => Duration::from_micros(count),
        'n' => Duration::from_nanos(count),
        _ => return Err(rule()),
    };
    Ok(Some(duration))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: DeadlineLimits = DeadlineLimits {
        max: Duration::from_mins(15),
        default: Duration::from_mins(5),
        reserve: Duration::from_millis(100),
        attempts: 4,
    };

    fn read(text: &str) -> Result<Option<Duration>, String> {
        let mut metadata = MetadataMap::new();
        metadata.insert(HEADER, text.parse().unwrap());
        timeout(&metadata)
    }

    #[test]
    fn every_unit_of_the_wire_format_is_read() {
        for (text, millis) in [
            ("1H", 3_600_000),
            ("2M", 120_000),
            ("3S", 3_000),
            ("4m", 4),
            ("5000u", 5),
            ("6000000n", 6),
            ("0S", 0),
        ] {
            assert_eq!(
                read(text),
                Ok(Some(Duration::from_millis(millis))),
                "{text}"
            );
        }
        assert_eq!(timeout(&MetadataMap::new()), Ok(None));
    }

    #[test]
    fn what_is_no_timeout_is_refused() {
        for text in ["S", "1", "1x", "-1S", "+1S", "123456789S", "1.5S"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_call_without_time_is_not_begun() {
        for (timeout, code) in [("1m", Some(tonic::Code::DeadlineExceeded)), ("20m", None)] {
            let mut request = Request::new(());
            request
                .metadata_mut()
                .insert(HEADER, timeout.parse().unwrap());
            let passed = DeadlineInterceptor(LIMITS).call(request);
            assert_eq!(passed.err().map(|status| status.code()), code, "{timeout}");
        }
    }

    #[test]
    fn the_budget_leaves_time_to_answer_and_keeps_to_the_limits() {
        let budget = |caller| LIMITS.budget(caller);
        assert_eq!(budget(None), LIMITS.default);
        assert_eq!(budget(Some(Duration::from_hours(1))), LIMITS.max);
        assert_eq!(
            budget(Some(Duration::from_secs(10))),
            Duration::from_millis(9_900)
        );
        assert_eq!(
            budget(Some(Duration::from_millis(10))),
            Duration::from_millis(9)
        );
        assert_eq!(budget(Some(Duration::ZERO)), Duration::ZERO);
    }
}

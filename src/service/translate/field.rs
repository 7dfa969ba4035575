//! Single fields: identifiers, names, durations.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::domain::{Limit, Limits, Violations};

const MAX_IDENTIFIER_BYTES: usize = 255;

/// Checks a required identifier of AGB's. The error is the rule that it breaks.
pub(in crate::service) fn identifier(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("is required and must not be empty".to_owned());
    }
    if text.len() > MAX_IDENTIFIER_BYTES {
        return Err(format!(
            "must be at most {MAX_IDENTIFIER_BYTES} bytes, got {}",
            text.len()
        ));
    }
    if text
        .chars()
        .any(|char| char.is_control() || char.is_whitespace())
    {
        return Err("must not hold white space or control characters".to_owned());
    }
    Ok(text.to_owned())
}

/// Checks the one field of a request that has no other to check.
pub(in crate::service) fn sole_identifier(field: &str, text: &str) -> Result<(), Violations> {
    let mut violations = Violations::default();
    violations.check(field, identifier(text));
    violations.into_result()
}

/// Checks a required name that people choose. The error is the rule that it breaks.
pub(in crate::service) fn name(text: &str, limits: &Limits) -> Result<String, String> {
    let chars = text.chars().count();
    if text.trim().is_empty() {
        return Err("is required and must not be empty".to_owned());
    }
    let max = limits.name_chars;
    if chars > max.value {
        let rule = format!("must be at most {} characters, got {chars}", max.value);
        return Err(max.broken(rule));
    }
    if text.chars().any(char::is_control) {
        return Err("must not hold control characters".to_owned());
    }
    Ok(text.to_owned())
}

/// Reads an enum. The error is the rule that a number without a meaning breaks.
pub(in crate::service) fn choice<E: TryFrom<i32>>(number: i32) -> Result<E, String> {
    E::try_from(number).map_err(|_| format!("is not a known value, got {number}"))
}

/// Checks an optional duration, which must be a multiple of `unit`. The error is the rule that it breaks.
pub(crate) fn duration(
    duration: Option<&prost_types::Duration>,
    range: RangeInclusive<Duration>,
    unit: Duration,
) -> Result<Option<Duration>, String> {
    let Some(duration) = duration else {
        return Ok(None);
    };
    let out_of_range = || {
        let (min, max) = (
            humantime::format_duration(*range.start()),
            humantime::format_duration(*range.end()),
        );
        let seconds = duration.seconds;
        format!(
            "must be {min} to {max}, got {seconds} s {} ns",
            duration.nanos
        )
    };
    let parsed = Duration::try_from(*duration).map_err(|_| out_of_range())?;
    if !range.contains(&parsed) {
        return Err(out_of_range());
    }
    if parsed.as_nanos() % unit.as_nanos() != 0 {
        return Err(format!(
            "must be a whole number of {}, got {}",
            humantime::format_duration(unit),
            humantime::format_duration(parsed)
        ));
    }
    Ok(Some(parsed))
}

/// Checks an optional duration of at least one `unit`, up to a limit. The error is the rule that it breaks.
pub(in crate::service) fn duration_up_to(
    limit: Limit<Duration>,
    duration: Option<&prost_types::Duration>,
    unit: Duration,
) -> Result<Option<Duration>, String> {
    self::duration(duration, unit..=limit.value, unit).map_err(|rule| {
        let parsed = duration.and_then(|duration| Duration::try_from(*duration).ok());
        if parsed.is_some_and(|parsed| parsed > limit.value) {
            limit.broken(rule)
        } else {
            rule
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const HOUR: Duration = Duration::from_hours(1);

    fn parse(seconds: i64, nanos: i32) -> Result<Option<Duration>, String> {
        let written = prost_types::Duration { seconds, nanos };
        duration(Some(&written), SECOND..=HOUR, SECOND)
    }

    #[test]
    fn durations_keep_to_their_range_and_unit() {
        assert_eq!(duration(None, SECOND..=HOUR, SECOND), Ok(None));
        assert_eq!(parse(3600, 0), Ok(Some(HOUR)));
        for (seconds, nanos) in [(0, 0), (-1, 0), (3601, 0), (i64::MAX, 0)] {
            let rule = parse(seconds, nanos).unwrap_err();
            assert!(rule.contains("must be 1s to 1h"), "{rule}");
        }
        assert!(parse(1, 500).unwrap_err().contains("whole number of 1s"));
    }

    #[test]
    fn identifiers_hold_no_space_and_names_may() {
        assert!(identifier("SdkCtx-04bdw8o39bq47rv1t").is_ok());
        assert!(identifier("a b").is_err());
        assert!(identifier("").is_err());
        assert!(identifier(&"a".repeat(256)).is_err());
        let name = |text: &str| name(text, &Limits::default());
        assert!(name("my context").is_ok());
        assert!(name("  ").is_err());
        assert!(name("a\u{7}").is_err());
        assert!(name(&"ü".repeat(255)).is_ok());
        let rule = name(&"ü".repeat(256)).unwrap_err();
        assert!(
            rule.contains("got 256 (setting limits.max_name_chars)"),
            "{rule}"
        );
    }

    #[test]
    fn the_setting_is_told_for_durations_that_are_too_long_and_for_no_others() {
        let limit = Limits::default().tool_timeout;
        let parse = |seconds, nanos| {
            let written = prost_types::Duration { seconds, nanos };
            duration_up_to(limit, Some(&written), SECOND)
        };
        assert_eq!(parse(3600, 0), Ok(Some(HOUR)));
        let rule = parse(3601, 0).unwrap_err();
        assert!(
            rule.ends_with("(setting limits.max_tool_timeout)"),
            "{rule}"
        );
        for (seconds, nanos) in [(0, 0), (-1, 0), (1, 500)] {
            let rule = parse(seconds, nanos).unwrap_err();
            assert!(!rule.contains("setting"), "{rule}");
        }
    }
}

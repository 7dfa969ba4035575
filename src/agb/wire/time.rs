//! AGB's points in time. The SDK passes them on as they come, as text or as a count, so every usual form is read.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde_json::Value;

use crate::domain::epoch;

/// Reads a point in time; `None` for what is absent or in no known form. Text without an offset is UTC.
pub fn timestamp(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Number(number) => epoch(number.as_i64()?),
        Value::String(text) => text
            .parse::<Timestamp>()
            .ok()
            .or_else(|| {
                let civil: DateTime = text.parse().ok()?;
                civil
                    .to_zoned(TimeZone::UTC)
                    .ok()
                    .map(|zoned| zoned.timestamp())
            })
            .or_else(|| epoch(text.parse().ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_usual_form_is_read() {
        let expected: Timestamp = "2025-10-15T08:30:00Z".parse().unwrap();
        for value in [
            json!("2025-10-15T08:30:00Z"),
            json!("2025-10-15T16:30:00+08:00"),
            json!("2025-10-15 08:30:00"),
            json!(1_760_517_000),
            json!(1_760_517_000_000_i64),
            json!("1760517000000"),
        ] {
            assert_eq!(timestamp(&value), Some(expected), "{value}");
        }
    }

    #[test]
    fn what_is_no_point_in_time_is_left_out() {
        for value in [json!(null), json!(""), json!("soon"), json!(0), json!({})] {
            assert_eq!(timestamp(&value), None, "{value}");
        }
    }
}

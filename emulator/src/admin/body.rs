//! Reads the JSON of a body; what is wrong with it is told by field.

use serde::de::DeserializeOwned;

use super::error::AdminError;

pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, AdminError> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let message = error.inner().to_string();
        AdminError::invalid(field_of(&error.path().to_string(), &message), message)
    })?;
    reader
        .end()
        .map_err(|error| AdminError::invalid("", error.to_string()))?;
    Ok(value)
}

/// The path of the field that an error is about. serde names a missing or unknown field in its message only.
fn field_of(path: &str, message: &str) -> String {
    let path = if path == "." { "" } else { path };
    let named = ["missing field `", "unknown field `"]
        .iter()
        .find_map(|begin| message.strip_prefix(begin)?.split('`').next());
    match named {
        Some(field) if path.is_empty() => field.to_owned(),
        Some(field) if path.rsplit('.').next() != Some(field) => format!("{path}.{field}"),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::faults::FaultRequest;
    use super::*;

    #[test]
    fn an_error_names_the_field() {
        for (body, field) in [
            (r#"{"times": 1}"#, "operation"),
            (r#"{"operation": 1}"#, "operation"),
            (r#"{"operation": "*", "time": 1}"#, "time"),
            (r#"{"operation": "*", "times": -1}"#, "times"),
            (
                r#"{"operation": "*", "action": {"delay": {}}}"#,
                "action.delay.delayMs",
            ),
            (
                r#"{"operation": "*", "action": {"delay": {"delayMs": "1"}}}"#,
                "action.delay.delayMs",
            ),
            (
                r#"{"operation": "*", "action": {"delay": {"delayMs": 1, "x": 1}}}"#,
                "action.delay.x",
            ),
            (r#"{"operation": "*", "action": "explode"}"#, "action"),
        ] {
            let error = serde_json::to_value(
                read::<FaultRequest>(body.as_bytes())
                    .err()
                    .map(|error| format!("{error:?}")),
            )
            .unwrap();
            let wanted = format!("field: Some(\"{field}\")");
            assert!(error.as_str().unwrap().contains(&wanted), "{body}: {error}");
        }
    }
}

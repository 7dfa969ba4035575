//! Page tokens: AGB's token of the next page, bound to the list that it belongs to.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Written {
    /// Which list, with all its filters.
    list: String,
    agb: String,
}

/// Writes AGB's token down; empty for the last page.
pub(super) fn write(list: &str, agb_token: &str) -> String {
    if agb_token.is_empty() {
        return String::new();
    }
    let written = Written {
        list: list.to_owned(),
        agb: agb_token.to_owned(),
    };
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&written).unwrap_or_default())
}

/// Reads AGB's token; `None` for the first page. The error is the rule that the token breaks.
pub(super) fn read(list: &str, token: &str) -> Result<Option<String>, String> {
    if token.is_empty() {
        return Ok(None);
    }
    let written: Option<Written> = URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .and_then(|json| serde_json::from_slice(&json).ok());
    match written {
        Some(written) if written.list == list => Ok(Some(written.agb)),
        Some(_) => Err("belongs to a list with other filters".to_owned()),
        None => Err("is not a page token of this gateway".to_owned()),
    }
}

/// Reads a page size. The error is the rule that it breaks.
pub(super) fn size(page_size: i32, default: u32, max: u32) -> Result<u32, String> {
    match u32::try_from(page_size) {
        Ok(0) => Ok(default),
        Ok(size) if size <= max => Ok(size),
        _ => Err(format!("must be 0 to {max}, got {page_size}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_works_with_its_own_list_only() {
        let token = write("contexts", "agb-2");
        assert_eq!(read("contexts", &token), Ok(Some("agb-2".to_owned())));
        assert!(read("sessions", &token).is_err());
        assert!(read("contexts", "x").is_err());
        assert_eq!(read("contexts", ""), Ok(None));
        assert_eq!(write("contexts", ""), "");
    }
}

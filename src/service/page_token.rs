//! Page tokens: AGB's token of the next page, bound to the list that it belongs to.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::domain::{Limit, PageSizes};

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
pub(super) fn size(page_size: i32, sizes: PageSizes) -> Result<u32, String> {
    match at_most(page_size, sizes.max)? {
        0 => Ok(number(sizes.default)),
        size => Ok(size),
    }
}

/// Reads a count from 0 to a limit. The error is the rule that it breaks.
pub(super) fn at_most(count: i32, limit: Limit) -> Result<u32, String> {
    let max = limit.value;
    match u32::try_from(count) {
        Ok(count) if count <= number(limit) => Ok(count),
        Ok(_) => Err(limit.broken(format_args!("must be 0 to {max}, got {count}"))),
        Err(_) => Err(format!("must be 0 to {max}, got {count}")),
    }
}

/// A limit as AGB's parameters have it.
pub(super) fn number(limit: Limit) -> u32 {
    u32::try_from(limit.value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Limits;

    #[test]
    fn a_token_works_with_its_own_list_only() {
        let token = write("contexts", "agb-2");
        assert_eq!(read("contexts", &token), Ok(Some("agb-2".to_owned())));
        assert!(read("sessions", &token).is_err());
        assert!(read("contexts", "x").is_err());
        assert_eq!(read("contexts", ""), Ok(None));
        assert_eq!(write("contexts", ""), "");
    }

    #[test]
    fn a_size_keeps_to_the_limit_and_the_setting_is_told_where_raising_it_helps() {
        let sizes = Limits::default().pages;
        assert_eq!(size(0, sizes), Ok(10));
        assert_eq!(size(100, sizes), Ok(100));
        assert_eq!(
            size(101, sizes).unwrap_err(),
            "must be 0 to 100, got 101 (setting limits.max_page_size)"
        );
        assert_eq!(size(-1, sizes).unwrap_err(), "must be 0 to 100, got -1");
    }
}

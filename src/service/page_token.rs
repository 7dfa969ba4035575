//! Page tokens: AGB's token of the next page, bound to the list and the tenant that it belongs to.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::domain::{Limit, PageSizes};
use crate::secret::Keyring;

const PURPOSE: &str = "page token";
/// Half of an HMAC-SHA256 is more than anyone can guess.
const MAC_BYTES: usize = 16;

/// Writes and reads page tokens.
#[derive(Clone, Debug)]
pub struct PageTokens(Keyring);

impl PageTokens {
    /// Page tokens of the tenant whose keys these are.
    pub fn new(keyring: Keyring) -> Self {
        Self(keyring)
    }

    /// Writes AGB's token down; empty for the last page. `list` names the list with all its filters.
    pub fn write(&self, list: &str, agb_token: &str) -> String {
        let Some(key) = self.0.keys(PURPOSE).into_iter().next() else {
            return String::new();
        };
        if agb_token.is_empty() {
            return String::new();
        }
        let mac = tagged(key, list, agb_token.as_bytes()).finalize();
        let mac = &mac.into_bytes()[..MAC_BYTES];
        URL_SAFE_NO_PAD.encode([mac, agb_token.as_bytes()].concat())
    }

    /// Reads AGB's token; `None` for the first page. The error is the rule that the token breaks.
    pub fn read(&self, list: &str, token: &str) -> Result<Option<String>, String> {
        if token.is_empty() {
            return Ok(None);
        }
        let rule = || "is not a page token of this list with these filters".to_owned();
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| rule())?;
        let (mac, agb_token) = bytes.split_at_checked(MAC_BYTES).ok_or_else(rule)?;
        let authentic = |key| {
            let expected = tagged(key, list, agb_token);
            expected.verify_truncated_left(mac).is_ok()
        };
        if !self.0.keys(PURPOSE).into_iter().any(authentic) {
            return Err(rule());
        }
        let agb_token = String::from_utf8(agb_token.to_vec());
        agb_token.map(Some).map_err(|_| rule())
    }
}

fn tagged(key: Hmac<Sha256>, list: &str, agb_token: &[u8]) -> Hmac<Sha256> {
    key.chain_update((list.len() as u64).to_be_bytes())
        .chain_update(list)
        .chain_update(agb_token)
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
    fn a_token_works_with_its_own_list_and_tenant_only() {
        let of = |tenant| PageTokens::new(Keyring::of_secret("secret", tenant));
        let token = of("a").write("contexts", "agb-2");
        let read = of("a").read("contexts", &token);
        assert_eq!(read, Ok(Some("agb-2".to_owned())));
        assert!(of("a").read("sessions", &token).is_err());
        assert!(of("b").read("contexts", &token).is_err());
        let mut altered = URL_SAFE_NO_PAD.decode(&token).unwrap();
        for place in 0..altered.len() {
            altered[place] ^= 1;
            let token = URL_SAFE_NO_PAD.encode(&altered);
            assert!(of("a").read("contexts", &token).is_err(), "byte {place}");
            altered[place] ^= 1;
        }
        for token in ["x", "!", "AAAA"] {
            assert!(of("a").read("contexts", token).is_err(), "{token}");
        }
        assert_eq!(of("a").read("contexts", ""), Ok(None));
        assert_eq!(of("a").write("contexts", ""), "");
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

//! Sync tokens: none is taken that was not signed, and one that was signed is read, or refused, whatever it holds.
#![no_main]

use std::time::Duration;

use agb_gateway::secret::Keyring;
use agb_gateway::sync::TokenKeys;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac as _;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

const LIFETIME: Duration = Duration::from_secs(3600);

fuzz_target!(|content: &[u8]| {
    let ring = Keyring::of_secret("secret", "tenant");
    let keys = TokenKeys::new(ring.clone(), LIFETIME);
    let now = Timestamp::from_second(1_800_000_000).expect("a point in time");

    if let Ok(text) = std::str::from_utf8(content) {
        assert!(keys.read(text, now).is_err());
    }
    assert!(keys.read(&URL_SAFE_NO_PAD.encode(content), now).is_err());

    let key = ring.keys("sync token").remove(0);
    let mac = key.chain_update(content).finalize().into_bytes();
    let signed = URL_SAFE_NO_PAD.encode([content, &mac].concat());
    let other = TokenKeys::new(Keyring::of_secret("secret", "other"), LIFETIME);
    assert!(other.read(&signed, now).is_err());
    let Ok(ticket) = keys.read(&signed, now) else {
        return;
    };
    // AGB's count begins at one, and only such tasks are ever written down.
    if ticket.sync.baseline.iter().all(|task| task.start > 0) {
        let again = keys.write(&ticket.sync, ticket.issued);
        let again = keys.read(&again, now).expect("its own token");
        assert_eq!(again.sync, ticket.sync);
        assert_eq!(again.issued, ticket.issued);
    }
});

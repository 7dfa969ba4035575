//! Page tokens: only what was written for a list is read for it, and as it was written.
#![no_main]

use agb_gateway::secret::Keyring;
use agb_gateway::service::PageTokens;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    let (list, token) = input;
    let of = |tenant| PageTokens::new(Keyring::of_secret("secret", tenant));
    assert_eq!(of("a").read(list, token).is_ok(), token.is_empty());
    let written = of("a").write(list, token);
    let expected = (!token.is_empty()).then(|| token.to_owned());
    assert_eq!(of("a").read(list, &written), Ok(expected));
    if !token.is_empty() {
        assert!(of("b").read(list, &written).is_err());
        // Other lists, a longer one and one of the same length.
        assert!(of("a").read(&format!("{list}x"), &written).is_err());
        let one = of("a").write(&format!("{list}1"), token);
        assert!(of("a").read(&format!("{list}2"), &one).is_err());
    }
});

//! Patterns of principals and images.

use std::fmt;

/// A text in which `*` stands for other text: at the end for any rest, elsewhere for any run of characters without `:` and `/`.
/// Both may be empty. Everything else stands for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// A pattern; it must not be empty.
    pub fn try_new(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("must not be empty".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether the whole text fits.
    pub fn fits(&self, text: &str) -> bool {
        fits(&self.0, text)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Follows all ways at once, so that the cost is the product of both lengths and no more: `ways` are the places in the text up to
/// which the pattern so far fits. Bytes will do, since `*`, `:` and `/` are never part of a longer character.
fn fits(pattern: &str, text: &str) -> bool {
    let text = text.as_bytes();
    let mut ways = vec![false; text.len() + 1];
    ways[0] = true;
    for (index, sign) in pattern.bytes().enumerate() {
        if sign == b'*' {
            if index + 1 == pattern.len() {
                return ways.contains(&true);
            }
            for (at, byte) in text.iter().enumerate() {
                ways[at + 1] |= ways[at] && !b":/".contains(byte);
            }
        } else {
            for (at, byte) in text.iter().enumerate().rev() {
                ways[at + 1] = ways[at] && *byte == sign;
            }
            ways[0] = false;
        }
    }
    ways[text.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_takes_a_segment_and_at_the_end_the_rest() {
        for (pattern, text, fits) in [
            ("token:ci", "token:ci", true),
            ("token:ci", "token:cid", false),
            ("token:ci", "xtoken:ci", false),
            ("*", "", true),
            ("*", "mtls:spiffe://corp/a", true),
            ("token:ci-*", "token:ci-", true),
            ("token:ci-*", "token:ci", false),
            ("mtls:spiffe://corp/*", "mtls:spiffe://corp/a/b", true),
            ("mtls:spiffe://corp/*", "mtls:spiffe://corp.evil/a", false),
            ("mtls:spiffe://corp/*/web", "mtls:spiffe://corp/a/web", true),
            (
                "mtls:spiffe://corp/*/web",
                "mtls:spiffe://corp/a/b/web",
                false,
            ),
            ("jwt:*:search", "jwt:k8s:search", true),
            ("jwt:*:search", "jwt:k8s:system:search", false),
            ("a*b*c", "abbbc", true),
            ("a*b*c", "abbbd", false),
            ("ü*", "üx", true),
            ("*ü", "üü", true),
            ("[a-z].", "b.", false),
        ] {
            let pattern = Pattern::try_new(pattern).unwrap();
            assert_eq!(pattern.fits(text), fits, "{pattern} {text}");
        }
        assert!(Pattern::try_new("").is_err());
    }
}

//! Where AGB is.

use std::fmt;

use reqwest::Url;

/// The base of AGB's URLs: `https://sdk-api.agb.cloud` unless configured otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Url);

impl Endpoint {
    /// Parses an endpoint. As in AGB's SDK, a value without a scheme means `https://`.
    ///
    /// The error is the rule that the value breaks. It does not repeat the value, which may hold a password.
    pub fn try_new(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let text = if text.contains("://") {
            text.to_owned()
        } else {
            format!("https://{text}")
        };
        let url = Url::parse(&text).map_err(|error| format!("must be a URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!(
                "must begin with http:// or https://, got {}://",
                url.scheme()
            ));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not hold a user name or a password".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("must not hold a query or a fragment".to_owned());
        }
        Ok(Self(url))
    }

    pub(super) fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    pub(super) fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or_default()
    }

    pub(super) fn scheme(&self) -> &str {
        self.0.scheme()
    }

    /// The URL of an operation, with its parameters.
    pub(super) fn url(&self, path: &str, query: &[(String, String)]) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{path}", self.0.path().trim_end_matches('/')));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(endpoint: &str) -> String {
        Endpoint::try_new(endpoint)
            .unwrap()
            .url("/mcp", &[("imageId".to_owned(), "a b&c".to_owned())])
            .to_string()
    }

    #[test]
    fn a_value_without_a_scheme_means_https() {
        assert_eq!(
            url("sdk-api.agb.cloud"),
            "https://sdk-api.agb.cloud/mcp?imageId=a+b%26c"
        );
    }

    #[test]
    fn a_path_before_the_operation_s_is_kept() {
        assert_eq!(
            url("http://127.0.0.1:7070/agb/"),
            "http://127.0.0.1:7070/agb/mcp?imageId=a+b%26c"
        );
    }

    #[test]
    fn what_is_no_endpoint_is_refused_without_repeating_it() {
        for text in [
            "",
            "ftp://agb",
            "https://user:hunter2@agb",
            "https://agb?key=hunter2",
            "https://agb#hunter2",
            "https://",
        ] {
            let error = Endpoint::try_new(text).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}

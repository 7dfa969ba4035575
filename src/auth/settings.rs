//! What the configuration says about callers.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::jwt::IssuerSettings;
use super::rules::Rule;

/// The tenant of callers for whom no rule names another.
pub const DEFAULT_TENANT: &str = "default";

/// A way to know a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Whoever comes without credentials is `anonymous`.
    None,
    /// A bearer token of the token file.
    Token,
    /// A JWT of a known issuer.
    Jwt,
    /// The client certificate of the connection.
    Mtls,
    /// The caller's own AGB key.
    AgbKey,
}

impl Method {
    /// Every way.
    pub const ALL: [Self; 5] = [Self::None, Self::Token, Self::Jwt, Self::Mtls, Self::AgbKey];

    /// The name, as it stands in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Token => "token",
            Self::Jwt => "jwt",
            Self::Mtls => "mtls",
            Self::AgbKey => "agb_key",
        }
    }

    /// The way of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }

    /// What an honest caller has to present.
    pub(super) fn asks_for(self) -> &'static str {
        match self {
            Self::None => "no credentials",
            Self::Token => "\"authorization: Bearer\" with a token of this gateway",
            Self::Jwt => "\"authorization: Bearer\" with a JWT",
            Self::Mtls => "a client certificate",
            Self::AgbKey => "\"x-agb-api-key\" with an AGB key",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Section `auth`, checked.
#[derive(Clone, Debug)]
pub struct AuthConfig {
    /// The ways to know a caller. Default: `none`.
    pub methods: Vec<Method>,
    /// The hashed tokens; there where `methods` has `token`.
    pub token_file: Option<PathBuf>,
    /// The issuers of JWTs; there where `methods` has `jwt`.
    pub issuers: Vec<IssuerSettings>,
    /// What callers may do; the first rule that fits counts. Without any rule, every caller may do everything.
    pub rules: Vec<Rule>,
    /// Whether server reflection needs no credentials. Default: yes.
    pub open_reflection: bool,
    /// How often files are looked at for changes.
    pub reload_interval: Duration,
}

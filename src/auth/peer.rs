//! Who is at the other end of a connection.

use std::net::SocketAddr;
use std::sync::Arc;

use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use super::token::principal_name;

const SPIFFE: &str = "spiffe://";

/// Who is at the other end of a connection. Made once for each connection; clones are cheap.
#[derive(Clone, Debug)]
pub struct Peer {
    address: Option<SocketAddr>,
    certificate: Certificate,
}

/// What the client certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Certificate {
    /// There is none.
    None,
    /// It names nobody.
    Nameless,
    /// It names this principal.
    Of(Arc<str>),
}

impl Peer {
    /// The peer at an address, and the DER of its certificate, which the TLS handshake must have verified.
    pub fn new(address: Option<SocketAddr>, certificate: Option<&[u8]>) -> Self {
        let certificate = match certificate {
            None => Certificate::None,
            Some(der) => match principal(der) {
                Some(principal) => Certificate::Of(principal.into()),
                None => Certificate::Nameless,
            },
        };
        Self {
            address,
            certificate,
        }
    }

    /// Where the connection comes from, where that is known.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    pub(super) fn certificate(&self) -> &Certificate {
        &self.certificate
    }
}

/// The SPIFFE id, of which a certificate has one at most (SPIFFE X.509-SVID, 2), or else the first DNS name without a wildcard.
/// The common name is never taken: nothing holds it to be a name of the client.
fn principal(der: &[u8]) -> Option<String> {
    let (rest, certificate) = parse_x509_certificate(der).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let names = certificate.subject_alternative_name().ok()??;
    let names = &names.value.general_names;
    let mut ids = names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) if uri.starts_with(SPIFFE) => Some(*uri),
        _ => None,
    });
    let name = match (ids.next(), ids.next()) {
        (Some(id), None) => id.to_owned(),
        (Some(_), Some(_)) => return None,
        (None, _) => {
            let mut hosts = names.iter().filter_map(|name| match name {
                GeneralName::DNSName(host) if !host.contains('*') => Some(*host),
                _ => None,
            });
            format!("dns:{}", hosts.next()?.to_ascii_lowercase())
        }
    };
    principal_name(&name).ok()?;
    Some(format!("mtls:{name}"))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn certificate(names: Vec<SanType>) -> Certificate {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Peer::new(None, Some(certificate.der())).certificate
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(text.try_into().unwrap())
    }

    fn dns(text: &str) -> SanType {
        SanType::DnsName(text.try_into().unwrap())
    }

    #[test]
    fn a_spiffe_id_counts_before_a_dns_name() {
        for (names, principal) in [
            (
                vec![dns("a.corp"), uri("spiffe://corp/web")],
                "mtls:spiffe://corp/web",
            ),
            (vec![dns("*.corp"), dns("Web.corp")], "mtls:dns:web.corp"),
            (
                vec![uri("https://corp/x"), dns("web.corp")],
                "mtls:dns:web.corp",
            ),
        ] {
            assert_eq!(certificate(names), Certificate::Of(principal.into()));
        }
    }

    #[test]
    fn a_certificate_that_names_nobody_for_certain_names_nobody() {
        let long = format!("spiffe://corp/{}", "a".repeat(300));
        for names in [
            vec![],
            vec![uri("spiffe://a/b"), uri("spiffe://c/d"), dns("web.corp")],
            vec![uri("https://corp/x")],
            vec![uri("spiffe://corp/a b"), dns("web.corp")],
            vec![uri(&long)],
        ] {
            assert_eq!(certificate(names), Certificate::Nameless);
        }
        let garbage = Peer::new(None, Some(b"no certificate"));
        assert_eq!(garbage.certificate, Certificate::Nameless);
        assert_eq!(Peer::new(None, None).certificate, Certificate::None);
    }
}

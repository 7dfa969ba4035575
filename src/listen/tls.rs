//! TLS of the listening side: the certificate, the client certificates that are asked for, and both anew when files change.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// HTTP/2 is all that gRPC speaks.
const ALPN: &[u8] = b"h2";

/// Which certificates clients must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificates {
    /// Who shows one is checked; who shows none is let through, to be known otherwise.
    Optional,
    /// Who shows none is not connected.
    Required,
}

/// Where keys and certificates are: PEM files.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The chain of certificates, the server's own first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
    /// Who may have signed clients' certificates.
    pub client_ca: Option<(PathBuf, ClientCertificates)>,
}

impl TlsFiles {
    /// The files, in the order that [`TlsFiles::make`] expects.
    pub fn paths(&self) -> Vec<PathBuf> {
        let client_ca = self.client_ca.as_ref().map(|(path, _)| path.clone());
        [self.certificate.clone(), self.key.clone()]
            .into_iter()
            .chain(client_ca)
            .collect()
    }

    /// TLS with the contents of the files. The error names the file.
    pub fn make(&self, contents: &[Vec<u8>]) -> Result<Tls, String> {
        let [certificate, key, client_ca @ ..] = contents else {
            return Err("a certificate and a key are needed".to_owned());
        };
        let chain = certificates(certificate)
            .map_err(|rule| format!("{}: {rule}", self.certificate.display()))?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| format!("{}: holds no private key", self.key.display()))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let builder = match (&self.client_ca, client_ca) {
            (Some((path, clients)), [content]) => {
                let in_file = |rule: String| format!("{}: {rule}", path.display());
                let mut roots = RootCertStore::empty();
                for certificate in certificates(content).map_err(in_file)? {
                    roots
                        .add(certificate)
                        .map_err(|error| in_file(error.to_string()))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                let verifier = match clients {
                    ClientCertificates::Optional => verifier.allow_unauthenticated(),
                    ClientCertificates::Required => verifier,
                };
                builder.with_client_cert_verifier(
                    verifier
                        .build()
                        .map_err(|error| in_file(error.to_string()))?,
                )
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| {
            format!(
                "{} and {} do not go together: {error}",
                self.certificate.display(),
                self.key.display()
            )
        })?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Tls(TlsAcceptor::from(Arc::new(config))))
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read {
        Ok(certificates) if certificates.is_empty() => Err("holds no certificate".to_owned()),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(format!("is no PEM: {error}")),
    }
}

/// Makes connections secret.
pub struct Tls(TlsAcceptor);

impl Tls {
    /// Shakes hands. Beside the stream, the client's own certificate, checked, where it has shown one.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<(TlsStream<TcpStream>, Option<Vec<u8>>)> {
        let stream = self.0.accept(stream).await?;
        let (_, session) = stream.get_ref();
        let certificate = session
            .peer_certificates()
            .and_then(<[_]>::first)
            .map(|certificate| certificate.to_vec());
        Ok((stream, certificate))
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Tls")
    }
}

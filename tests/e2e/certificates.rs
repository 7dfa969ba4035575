//! Certificates made for one test, and connections that use them.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use figment::Figment;
use rcgen::{CertificateParams, Issuer, KeyPair, SanType};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Error, Identity};

/// Who signs certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub(crate) struct Signed {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// For a server at `localhost`.
    pub(crate) fn server(&self) -> Signed {
        self.sign(&CertificateParams::new(vec!["localhost".to_owned()]).unwrap())
    }

    /// For a client with this URI as its name.
    pub(crate) fn client(&self, uri: &str) -> Signed {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Signed {
        let key = KeyPair::generate().unwrap();
        Signed {
            certificate: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

/// The files of a gateway's TLS in a folder of their own.
pub(crate) struct Files(tempfile::TempDir);

impl Files {
    pub(crate) fn new(server: &Signed) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.put(server);
        files
    }

    pub(crate) fn put(&self, server: &Signed) {
        self.write("tls.crt", &server.certificate);
        self.write("tls.key", &server.key);
    }

    /// Puts a file in place in one step.
    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let new = self.path("new");
        fs::write(&new, content).unwrap();
        fs::rename(new, self.path(name)).unwrap();
        self.path(name)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        Path::join(self.0.path(), name)
    }

    /// Settings of a gateway that serves with these files, and looks at them often.
    pub(crate) fn settings(&self) -> Figment {
        Figment::new()
            .merge(("server.tls_certificate_file", self.path("tls.crt")))
            .merge(("server.tls_key_file", self.path("tls.key")))
            .merge(("secrets.reload_interval", "5ms"))
    }
}

/// A connection to `localhost` in TLS.
pub(crate) async fn connect_tls(
    address: SocketAddr,
    ca: &Authority,
    client: Option<&Signed>,
) -> Result<Channel, Error> {
    let mut tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(&ca.pem))
        .domain_name("localhost");
    if let Some(client) = client {
        tls = tls.identity(Identity::from_pem(&client.certificate, &client.key));
    }
    let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap();
    endpoint.tls_config(tls)?.connect().await
}

/// Takes connections, opens their TLS where there is any, and passes all on.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    taken: Arc<AtomicUsize>,
    serving: tokio::task::JoinHandle<()>,
}

impl Relay {
    pub(crate) async fn start(tls: Option<rustls::ServerConfig>, to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let taken = Arc::new(AtomicUsize::new(0));
        let counter = taken.clone();
        let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let serving = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                counter.fetch_add(1, Ordering::Relaxed);
                let tls = tls.clone();
                tokio::spawn(async move {
                    let mut upstream = TcpStream::connect(to).await.unwrap();
                    // Either side may break off.
                    let _ = match tls {
                        None => copy_bidirectional(&mut stream, &mut upstream).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(mut stream) => copy_bidirectional(&mut stream, &mut upstream).await,
                            Err(error) => Err(error),
                        },
                    };
                });
            }
        });
        Self {
            address,
            taken,
            serving,
        }
    }

    /// How many connections it has taken.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

//! `healthcheck`: asks a running gateway whether it is serving, as a probe or a test of an installation does.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agb_gateway::proto::v1::ListContextsRequest;
use agb_gateway::proto::v1::context_service_client::ContextServiceClient;
use clap::Args;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

#[derive(Args)]
pub(super) struct Healthcheck {
    #[command(flatten)]
    tls: Tls,
    /// Where the gateway listens: a host and a port.
    #[arg(long, default_value = "127.0.0.1:50051")]
    address: String,
    /// Ask only whether it lives: so does a gateway whose certificate is not good, or that does not take the one shown to it. For
    /// probes that restart what does not live, which mends no certificate.
    #[arg(long, requires = "ca_file", conflicts_with = "ask_agb")]
    alive: bool,
    /// Also list one context. AGB is asked for it, so this shows that the gateway reaches AGB and that its key is good.
    #[arg(long)]
    ask_agb: bool,
    /// A file with the bearer token to make that call with. Its principal needs the role "read".
    #[arg(long, requires = "ask_agb")]
    token_file: Option<PathBuf>,
    /// How long everything may take.
    #[arg(long, default_value = "2s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

/// How a gateway is reached that serves in TLS.
#[derive(Args)]
struct Tls {
    /// Who must have signed the gateway's certificate: a PEM file. With it, TLS is spoken.
    #[arg(long = "tls-ca-file")]
    ca_file: Option<PathBuf>,
    /// The name that the certificate must be for.
    #[arg(long = "tls-server-name", default_value = "localhost")]
    server_name: String,
    /// A certificate to show to the gateway: a PEM file.
    #[arg(
        long = "tls-certificate-file",
        requires = "ca_file",
        requires = "key_file"
    )]
    certificate_file: Option<PathBuf>,
    /// The key of that certificate: a PEM file.
    #[arg(long = "tls-key-file", requires = "certificate_file")]
    key_file: Option<PathBuf>,
}

impl Tls {
    /// Without the certificate to show, where there is none, or where it is no good and only `alive` counts.
    fn endpoint(&self, address: &str, alive: bool) -> Result<Endpoint, String> {
        let scheme = if self.ca_file.is_some() {
            "https"
        } else {
            "http"
        };
        let endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))
            .map_err(|error| format!("{address:?} is no address: {}", in_words(&error)))?;
        let Some(ca) = &self.ca_file else {
            return Ok(endpoint);
        };
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(read(ca)?))
            .domain_name(&self.server_name);
        let with = |tls| {
            let endpoint = endpoint.clone().tls_config(tls);
            endpoint.map_err(|error| in_words(&error))
        };
        let identified = match self.identity() {
            Ok(None) => return with(tls),
            Ok(Some(identity)) => with(tls.clone().identity(identity)),
            Err(error) => Err(error),
        };
        match identified {
            Err(_no_good) if alive => with(tls),
            endpoint => endpoint,
        }
    }

    fn identity(&self) -> Result<Option<Identity>, String> {
        let (Some(certificate), Some(key)) = (&self.certificate_file, &self.key_file) else {
            return Ok(None);
        };
        Ok(Some(Identity::from_pem(read(certificate)?, read(key)?)))
    }
}

impl Healthcheck {
    /// Whether everything that is asked for is well, within the time.
    pub(super) async fn run(&self) -> Result<(), String> {
        let (address, timeout) = (&self.address, self.timeout);
        tokio::time::timeout(timeout, self.ask())
            .await
            .map_err(|_elapsed| format!("{address} did not answer within {timeout:?}"))?
    }

    async fn ask(&self) -> Result<(), String> {
        let address = &self.address;
        let endpoint = self.tls.endpoint(address, self.alive)?;
        let channel = match endpoint.connect().await {
            Ok(channel) => channel,
            Err(error) if self.alive && has_bad_certificate(&error) => return Ok(()),
            Err(error) => {
                let words = in_words(&error);
                return Err(format!("{address} could not be reached: {words}"));
            }
        };
        let request = HealthCheckRequest::default();
        let answer = match HealthClient::new(channel.clone()).check(request).await {
            Ok(answer) => answer,
            // It has spoken TLS and then closed the connection: this is how TLS 1.3 tells that the certificate shown is not taken.
            Err(status) if self.alive && status.source().is_some() => return Ok(()),
            Err(status) => return Err(format!("{address} does not tell its health: {status}")),
        };
        match answer.into_inner().status() {
            ServingStatus::Serving if self.ask_agb => self.list_a_context(channel).await,
            ServingStatus::Serving => Ok(()),
            other => Err(format!("{address} is {}", other.as_str_name())),
        }
    }

    async fn list_a_context(&self, channel: Channel) -> Result<(), String> {
        let mut request = Request::new(ListContextsRequest {
            page_size: 1,
            ..ListContextsRequest::default()
        });
        request.set_timeout(self.timeout);
        if let Some(file) = &self.token_file {
            let headers = request.metadata_mut();
            headers.insert("authorization", bearer(file)?);
        }
        let answer = ContextServiceClient::new(channel)
            .list_contexts(request)
            .await;
        let address = &self.address;
        answer
            .map(drop)
            .map_err(|status| format!("{address} could not list a context: {status}"))
    }
}

/// The header that presents the token of a file. The error does not repeat it.
fn bearer(file: &Path) -> Result<MetadataValue<Ascii>, String> {
    let token = read(file)?;
    let header = [b"Bearer ", token.trim_ascii()].concat();
    let mut value = MetadataValue::try_from(header)
        .map_err(|_invalid| format!("{} holds no token", file.display()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| format!("could not read {}: {error}", file.display()))
}

/// Whether somebody has answered in TLS, with a certificate that is not good.
fn has_bad_certificate(error: &(dyn Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |&cause| cause.source());
    causes.any(|cause| {
        let wrapped = cause.downcast_ref::<std::io::Error>();
        let inner = wrapped.and_then(|error| error.get_ref()?.downcast_ref());
        matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
    })
}

/// An error with its causes.
fn in_words(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |words, cause| {
        format!("{words}: {cause}")
    })
}

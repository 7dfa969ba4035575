//! How a service in Rust reaches the gateway: TLS, a token, a trace, and a deadline.

use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};

use crate::Outcome;
use crate::world::env;

pub(crate) type Connected = InterceptedService<Channel, Caller>;

/// What goes along with each call.
#[derive(Clone)]
pub(crate) struct Caller {
    authorization: Option<MetadataValue<Ascii>>,
    traceparent: MetadataValue<Ascii>,
}

impl Caller {
    pub(crate) fn new(token: Option<&str>, traceparent: &str) -> Outcome<Self> {
        let authorization = token.map(|token| format!("Bearer {token}").parse());
        Ok(Self {
            authorization: authorization.transpose()?,
            traceparent: traceparent.parse()?,
        })
    }
}

impl Interceptor for Caller {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let metadata = request.metadata_mut();
        metadata.insert("traceparent", self.traceparent.clone());
        if let Some(authorization) = &self.authorization {
            metadata.insert("authorization", authorization.clone());
        }
        Ok(request)
    }
}

/// An endpoint over TLS, for the caller to build on.
pub(crate) fn endpoint(target: &str) -> Outcome<Endpoint> {
    let ca = Certificate::from_pem(std::fs::read(env("AGB_CA_FILE")?)?);
    let tls = ClientTlsConfig::new()
        .ca_certificate(ca)
        .domain_name("localhost");
    Ok(Endpoint::new(format!("https://{target}"))?.tls_config(tls)?)
}

/// A request with a deadline.
pub(crate) fn within<T>(time: Duration, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(time);
    request
}

/// A request with a minute.
pub(crate) fn minute<T>(message: T) -> Request<T> {
    within(Duration::from_mins(1), message)
}

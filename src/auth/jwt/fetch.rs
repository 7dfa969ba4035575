//! Fetches a JWKS: one bounded request without redirects.

use std::path::Path;

use reqwest::{Certificate, Client, redirect};

use super::keys::Keys;
use super::source::RemoteKeys;

const MAX_BYTES: usize = 1 << 20;

/// The keys as they are now. What the request needs from files is read anew each time: Kubernetes changes it every hour.
pub(super) async fn keys(settings: &RemoteKeys) -> Result<Keys, String> {
    let mut client = Client::builder()
        // A redirect could carry the bearer token elsewhere.
        .redirect(redirect::Policy::none())
        .no_proxy()
        .timeout(settings.timeout);
    if let Some(file) = &settings.ca_file {
        let pem = read(file).await?;
        let certificates = Certificate::from_pem_bundle(&pem)
            .map_err(|_| format!("{}: is no PEM with certificates", file.display()))?;
        client = client.tls_certs_only(certificates);
    }
    let client = client.build().map_err(|error| words(&error))?;
    let mut request = client.get(&settings.url);
    if let Some(file) = &settings.bearer_token_file {
        let token = read(file).await?;
        let token = String::from_utf8(token)
            .map_err(|_| format!("{}: is no UTF-8 text", file.display()))?;
        request = request.bearer_auth(token.trim());
    }
    let mut answer = request.send().await.map_err(|error| words(&error))?;
    if answer.status() != http::StatusCode::OK {
        return Err(format!("the answer is {}", answer.status()));
    }
    let mut content = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| words(&error))? {
        if content.len() + piece.len() > MAX_BYTES {
            return Err(format!("the answer is longer than {MAX_BYTES} bytes"));
        }
        content.extend_from_slice(&piece);
    }
    Keys::parse(&content).map_err(|rule| format!("the answer {rule}"))
}

async fn read(file: &Path) -> Result<Vec<u8>, String> {
    let content = tokio::fs::read(file).await;
    content.map_err(|error| format!("{}: {error}", file.display()))
}

/// What failed, with its causes.
fn words(error: &reqwest::Error) -> String {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}

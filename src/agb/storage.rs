//! The storage behind presigned URLs: whole files, streamed, without AGB's key.
//!
//! The URL is all the authority there is, so it is never logged and stands in no error.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, header};
use reqwest::{Body, RequestBuilder, Response};
use secrecy::{ExposeSecret as _, SecretString};

use super::attempt::{Attempt, Nth};
use super::client::{Client, causes, header_text, not_redirected, transport_error};
use super::error::{Error, Kind, Refusal};
use super::operation::{GET_FILE, Operation, PUT_FILE};
use crate::resilience::Deadline;

/// As much of an error page as is read for its code.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// A file that is being read.
#[derive(Debug)]
pub struct Download {
    response: Response,
    deadline: Deadline,
}

impl Client {
    /// Writes a file from its pieces. An error among them breaks the upload off; the storage then keeps what was there before.
    pub async fn put_file(
        &self,
        url: &SecretString,
        pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
        size: Option<u64>,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let body = Body::wrap_stream(pieces);
        let mut request = self.connections.http().put(url.expose_secret()).body(body);
        if let Some(size) = size {
            request = request.header(header::CONTENT_LENGTH, size);
        }
        // The pieces come from the caller, once: a second attempt would have nothing to send.
        let sending = self.sent(&PUT_FILE, request, Nth::default(), deadline);
        let response = self
            .connections
            .storage_attempts
            .once(&PUT_FILE, sending)
            .await;
        response.map(drop)
    }

    /// Begins to read a file.
    pub async fn get_file(
        &self,
        url: &SecretString,
        deadline: Deadline,
    ) -> Result<Download, Error> {
        let exchange = |nth| {
            let request = self.connections.http().get(url.expose_secret());
            self.sent(&GET_FILE, request, nth, deadline)
        };
        Ok(Download {
            response: self
                .connections
                .storage_attempts
                .make(&GET_FILE, deadline, exchange)
                .await?,
            deadline,
        })
    }

    /// Sends a request and reads what the storage says to it, within the deadline: also the page of an error can stall.
    async fn sent(
        &self,
        operation: &'static Operation,
        request: RequestBuilder,
        nth: Nth,
        deadline: Deadline,
    ) -> Result<Response, Error> {
        let exchange = async {
            let timeout = Duration::MAX;
            let mut attempt = Attempt::begin(&self.connections, operation, nth, timeout, deadline);
            let result = match request.headers(attempt.headers()).send().await {
                Ok(response) => {
                    attempt.answered(response.status());
                    accepted(operation, response).await
                }
                Err(error) => Err(transport_error(operation, &error)),
            };
            let request_id = result.as_ref().map(Response::headers).map(request_id);
            attempt.end(&result, &request_id.unwrap_or_default());
            result
        };
        deadline
            .bound(exchange)
            .await
            .unwrap_or_else(|exceeded| Err(Error::from_deadline(operation, exceeded)))
    }
}

fn request_id(headers: &HeaderMap) -> String {
    header_text(headers, "x-oss-request-id")
}

impl Download {
    /// The size of the whole file in bytes, where the storage tells.
    pub fn size(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// The next bytes; `None` at the end. A file that breaks off is an error.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let chunk = self.deadline.bound(self.response.chunk()).await;
        chunk
            .map_err(|exceeded| Error::from_deadline(&GET_FILE, exceeded))?
            .map_err(|error| Error::new(&GET_FILE, Kind::Lost(causes(&error))))
    }
}

async fn accepted(operation: &'static Operation, response: Response) -> Result<Response, Error> {
    let status = not_redirected(operation, &response)?;
    if status.is_success() {
        return Ok(response);
    }
    let headers = response.headers().clone();
    let page = error_page(response).await;
    let code =
        element(&page, "Code").map_or_else(|| format!("HTTP{}", status.as_u16()), str::to_owned);
    Err(Error::refused(
        operation,
        Refusal {
            http_status: status.as_u16(),
            code,
            message: element(&page, "Message").unwrap_or_default().to_owned(),
            request_id: request_id(&headers),
            retry_after: None,
            is_of_caller: false,
        },
    ))
}

async fn error_page(mut response: Response) -> String {
    let mut page = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        page.extend_from_slice(&chunk);
        if page.len() > MAX_ERROR_BYTES {
            break;
        }
    }
    String::from_utf8_lossy(&page).into_owned()
}

/// The text of an element of the storage's error page, which is XML: `<Code>NoSuchKey</Code>`.
fn element<'a>(page: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = page.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_read_from_the_storage_s_error_page() {
        let page =
            "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>no</Message></Error>";
        assert_eq!(element(page, "Code"), Some("NoSuchKey"));
        assert_eq!(element("<html>", "Code"), None);
    }
}

//! Calls made by chance, and their way to the emulator.

use std::net::SocketAddr;

use reqwest::Method;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::generator::Generator;
use crate::operations::Operation;
use crate::support::PATIENCE;

pub struct Call {
    verb: &'static str,
    pub path: String,
    query: Vec<(String, String)>,
    body: Vec<u8>,
    authorization: Option<Vec<u8>>,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        let body: String = body.chars().take(2000).collect();
        let authorization = self.authorization.as_deref().map(String::from_utf8_lossy);
        let (verb, path, query) = (self.verb, &self.path, &self.query);
        write!(
            formatter,
            "{verb} {path} {query:?} {authorization:?} {body}"
        )
    }
}

impl Call {
    pub async fn send(&self, http: &reqwest::Client, url: &str) -> reqwest::Result<(u16, Vec<u8>)> {
        let verb = Method::from_bytes(self.verb.as_bytes()).unwrap();
        let mut request = http
            .request(verb, format!("{url}{}", self.path))
            .query(&self.query)
            .body(self.body.clone());
        if let Some(value) = &self.authorization {
            request = request.header("authorization", value.as_slice());
        }
        let response = request.send().await?;
        Ok((response.status().as_u16(), response.bytes().await?.to_vec()))
    }
}

impl Generator {
    /// A call of one of the operations, with some of its parameters left out and some doubled.
    pub fn call(&mut self, operations: &[Operation]) -> Call {
        let mut operation = operations[self.rng.usize(..operations.len())];
        // Releases are rare and tool calls are not, so that there are sessions, and something happens in them.
        if operation.1.contains("release") && self.rng.u8(..4) > 0 {
            operation = *operations
                .iter()
                .find(|operation| operation.1 == "/mcp")
                .unwrap();
        }
        let (verb, path, query, body) = operation;
        let mut parameters = Vec::new();
        for name in query {
            for _ in 0..[1, 1, 1, 1, 1, 1, 1, 0, 0, 2][self.rng.usize(..10)] {
                parameters.push(((*name).to_owned(), self.text(name)));
            }
        }
        // It takes both of these or neither, and rarely two that belong together.
        if path == "/sdk/SyncContext" && self.rng.bool() {
            parameters.retain(|(name, _)| name != "contextId" && name != "path");
        }
        let fields = body.iter().filter_map(|name| {
            let wanted = self.rng.u8(..10) > 0;
            wanted.then(|| ((*name).to_owned(), self.field(name)))
        });
        let fields = Value::Object(fields.collect());
        Call {
            verb: if self.rng.u8(..50) == 0 {
                "PATCH"
            } else {
                verb
            },
            path: match self.rng.u8(..60) {
                0 => format!("{path}/"),
                1 => format!("/{}", self.rng.alphanumeric()),
                _ => path.to_owned(),
            },
            query: parameters,
            body: match self.rng.u8(..30) {
                0 => self.value(3).to_string().into_bytes(),
                1 => (0..self.rng.usize(..200))
                    .map(|_| self.rng.u8(..))
                    .collect(),
                2 => "[".repeat(100_000).into_bytes(),
                _ => fields.to_string().into_bytes(),
            },
            authorization: match self.rng.u8(..40) {
                0 => None,
                1 => Some(b"Basic a2V5".to_vec()),
                2 => Some(b"Bearer \xff\xfe".to_vec()),
                3 => Some(b"Bearer".to_vec()),
                _ => Some(b"Bearer key".to_vec()),
            },
        }
    }

    /// A call of one of the URLs that were told, as it is or nearly so.
    pub fn open_call(&mut self) -> Option<(Method, String, Vec<u8>)> {
        let mut url = self.known(|known| &known.urls);
        let address_ends = url.strip_prefix("http://")?.find('/')? + "http://".len();
        if self.rng.bool() {
            let index = self.rng.usize(address_ends + 1..=url.len());
            if url.is_char_boundary(index) {
                url.truncate(index);
                url.push_str(&self.nasty());
            }
        }
        let verbs = [
            Method::GET,
            Method::PUT,
            Method::POST,
            Method::HEAD,
            Method::DELETE,
        ];
        let body = self.value(2).to_string().into_bytes();
        Some((verbs[self.rng.usize(..verbs.len())].clone(), url, body))
    }

    /// Bytes that are no HTTP, or hardly.
    pub fn bytes(&mut self) -> Vec<u8> {
        let mut bytes = match self.rng.u8(..5) {
            0 => (0..self.rng.usize(..500)).map(|_| self.rng.u8(..)).collect(),
            1 => b"GET /sdk/ListContexts HTTP/9.9\r\n\r\n".to_vec(),
            2 => b"POST /mcp HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999999999\r\n\r\n".to_vec(),
            3 => b"POST /mcp HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n".to_vec(),
            _ => format!("GET /{} HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "a".repeat(self.rng.usize(..70_000)), "b".repeat(self.rng.usize(..1000))).into_bytes(),
        };
        if self.rng.bool() && !bytes.is_empty() {
            let index = self.rng.usize(..bytes.len());
            bytes[index] = self.rng.u8(..);
        }
        bytes
    }
}

/// Sends the bytes and reads until the other side closes, or says nothing more for a moment.
pub async fn send_bytes(address: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The other side may close before it has read all of them.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP/1.1 5"), "{bytes:?}");
}

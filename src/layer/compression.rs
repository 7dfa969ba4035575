//! Answers are compressed as their requests were.
//!
//! Most clients say that they can read gzip without having been asked for it. Compressing costs time and helps little on a fast
//! network, so a caller chooses it by compressing what he sends.

use tonic::metadata::MetadataMap;
use tonic::service::Interceptor;
use tonic::{Request, Status};

/// How the messages of a request are compressed.
const ENCODING: &str = "grpc-encoding";
/// How those of its answer may be.
const ACCEPTED: &str = "grpc-accept-encoding";
const GZIP: &str = "gzip";

/// Lets the answer be compressed only where the request is.
#[derive(Clone, Copy, Debug)]
pub struct CompressionInterceptor;

impl Interceptor for CompressionInterceptor {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if !is_compressed(request.metadata()) {
            request.metadata_mut().remove(ACCEPTED);
        }
        Ok(request)
    }
}

fn is_compressed(metadata: &MetadataMap) -> bool {
    metadata.get(ENCODING).is_some_and(|name| name == GZIP)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(encoding: Option<&str>) -> Option<String> {
        let mut request = Request::new(());
        let metadata = request.metadata_mut();
        metadata.insert(ACCEPTED, "identity,gzip".parse().unwrap());
        if let Some(encoding) = encoding {
            metadata.insert(ENCODING, encoding.parse().unwrap());
        }
        let request = CompressionInterceptor.call(request).unwrap();
        let accepted = request.metadata().get(ACCEPTED)?;
        Some(accepted.to_str().unwrap().to_owned())
    }

    #[test]
    fn who_compresses_gets_it_compressed_and_nobody_else() {
        assert_eq!(accepted(Some("gzip")).as_deref(), Some("identity,gzip"));
        assert_eq!(accepted(Some("identity")), None);
        assert_eq!(accepted(None), None);
    }
}

//! What gRPC itself refuses, before any service is asked: each refusal has a reason and says what to do.

use agb_gateway::proto::v1 as pb;
use agb_gateway::proto::v1::context_service_client::ContextServiceClient;
use figment::Figment;
use prost::Message as _;
use tonic::client::Grpc;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Code, Request, Status};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::support::{World, reason, within};

const LIST: &str = "/agb.gateway.v1.ContextService/ListContexts";

/// Bytes as they are, so that a request can be what no stub would send.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put_slice(buffer, &item);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        use bytes::Buf as _;
        let length = buffer.remaining();
        Ok(Some(buffer.copy_to_bytes(length).to_vec()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

async fn refusal(world: &World, path: &'static str, request: Request<Vec<u8>>) -> Status {
    let mut client = Grpc::new(world.channel.clone());
    client.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static(path);
    client.unary(request, path, Raw).await.unwrap_err()
}

#[tokio::test]
async fn an_unknown_method_or_service_is_named() {
    let world = World::start().await;
    for path in [
        "/agb.gateway.v1.ContextService/Nothing",
        "/agb.gateway.v2.Nothing/ListContexts",
    ] {
        let status = refusal(&world, path, within(Vec::new())).await;
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::Unimplemented, "METHOD_NOT_FOUND"),
            "{status:?}"
        );
        assert!(status.message().contains(path), "{status:?}");
    }
}

#[tokio::test]
async fn what_is_no_message_of_its_type_is_the_caller_s_mistake() {
    let world = World::start().await;
    // Field 1 as a text, where a number is due; and a text that breaks off.
    for bytes in [vec![0x0a, 0x01, b'x'], vec![0x12, 0x7f, b'x']] {
        let status = refusal(&world, LIST, within(bytes)).await;
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::InvalidArgument, "MESSAGE_MALFORMED"),
            "{status:?}"
        );
    }
    assert_eq!(world.emulator.requests().len(), 0);
}

#[tokio::test]
async fn a_message_beyond_the_limit_is_refused_with_the_setting_that_limits_it() {
    let settings = Figment::new().merge(("server.max_message_bytes", 2048));
    let world = World::with_settings(settings).await;
    let message = |bytes: usize| {
        let request = pb::ListContextsRequest {
            page_token: "x".repeat(bytes),
            ..pb::ListContextsRequest::default()
        };
        within(request.encode_to_vec())
    };
    let status = refusal(&world, LIST, message(2048)).await;
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::ResourceExhausted, "MESSAGE_TOO_LONG"),
        "{status:?}"
    );
    assert!(
        status.message().contains("server.max_message_bytes")
            && status.message().contains("2048 bytes"),
        "{status:?}"
    );
    let status = refusal(&world, LIST, message(2000)).await;
    assert_eq!(reason(&status), "INVALID_ARGUMENT");
}

#[tokio::test]
async fn a_piece_of_a_stream_beyond_the_limit_is_refused_alike() {
    let settings = Figment::new().merge(("server.max_message_bytes", 2048));
    let world = World::with_settings(settings).await;
    let data = pb::upload_context_file_request::Payload::Data(vec![0; 4096]);
    let request = within(tokio_stream::once(pb::UploadContextFileRequest {
        payload: Some(data),
    }));
    let status = world
        .contexts()
        .upload_context_file(request)
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "MESSAGE_TOO_LONG", "{status:?}");
}

#[tokio::test]
async fn compression_is_refused_by_name() {
    let world = World::start().await;
    let mut request = within(Vec::new());
    request
        .metadata_mut()
        .insert("grpc-encoding", "zstd".parse().unwrap());
    let status = refusal(&world, LIST, request).await;
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::Unimplemented, "COMPRESSION_NOT_SUPPORTED"),
        "{status:?}"
    );
    assert!(status.message().contains("zstd"), "{status:?}");
}

#[tokio::test]
async fn an_answer_is_compressed_when_its_request_was() {
    let world = World::start().await;
    let client = ContextServiceClient::new(world.channel.clone()).accept_compressed(Gzip);
    let request = || within(pb::ListContextsRequest::default());
    let answer = client.clone().list_contexts(request()).await.unwrap();
    assert_eq!(answer.metadata().get("grpc-encoding"), None);
    let answer = client.send_compressed(Gzip).list_contexts(request()).await;
    let answer = answer.unwrap();
    assert_eq!(answer.metadata().get("grpc-encoding").unwrap(), "gzip");
}

#[tokio::test]
async fn what_grows_beyond_the_limit_when_unpacked_is_refused() {
    let settings = Figment::new().merge(("server.max_message_bytes", 65536));
    let world = World::with_settings(settings).await;
    let request = |length| {
        within(pb::GetContextRequest {
            selector: Some(pb::get_context_request::Selector::Name("a".repeat(length))),
            ..pb::GetContextRequest::default()
        })
    };
    let mut client = ContextServiceClient::new(world.channel.clone()).send_compressed(Gzip);
    // A thousandth of that on the wire.
    let status = client.get_context(request(10 << 20)).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::ResourceExhausted, "MESSAGE_TOO_LONG"),
        "{status:?}"
    );
    let status = client.get_context(request(1000)).await.unwrap_err();
    assert_eq!(reason(&status), "INVALID_ARGUMENT", "{status:?}");
}

#[tokio::test]
async fn health_answers_by_its_own_rules() {
    let world = World::start().await;
    let request = HealthCheckRequest {
        service: "nothing".to_owned(),
    };
    let status = HealthClient::new(world.channel.clone())
        .check(within(request))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert!(status.details().is_empty());
}

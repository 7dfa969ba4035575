//! Uploads to, and downloads from, a storage that does as it is told: refuses early, stalls, or hears a caller break off.

use std::time::Duration;

use agb_emulator::FaultAction;
use agb_gateway::proto::v1 as pb;
use agb_gateway::proto::v1::context_service_client::ContextServiceClient;
use agb_gateway::proto::v1::upload_context_file_request::Payload as Piece;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic::transport::Channel;

use crate::support::{World, reason, within, wrong_fields};

const REFUSAL: &str = "HTTP/1.1 403 Forbidden\r\ncontent-length: 54\r\n\r\n\
                       <Error><Code>AccessDenied</Code><Message/></Error>    ";

/// The storage's side, to which AGB's next presigned URL leads.
struct Storage(TcpListener);

impl Storage {
    async fn of(world: &World, operation: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let body = format!(
            r#"{{"success": true, "data": {{"url": "http://{address}/file", "expireTime": 1}}}}"#
        );
        let fault = FaultAction::Respond {
            status: 200,
            body,
            headers: std::collections::BTreeMap::new(),
        };
        world.inject(operation, 1, fault);
        Self(listener)
    }

    /// Takes the gateway's connection, and reads the head of its request.
    async fn request(&self) -> TcpStream {
        let (mut connection, _) = self.0.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(connection.read_u8().await.unwrap());
        }
        connection
    }
}

/// The bytes up to the end of the connection, however it ends.
async fn rest_of(mut connection: TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let _ = connection.read_to_end(&mut rest).await;
    rest
}

/// A caller's upload that stays open as long as the sender lives.
fn open_upload(
    channel: &Channel,
    size_bytes: Option<i64>,
) -> (
    mpsc::Sender<pb::UploadContextFileRequest>,
    tokio::task::JoinHandle<Result<(), tonic::Status>>,
) {
    let (sender, receiver) = mpsc::channel(8);
    let header = Piece::Header(pb::UploadContextFileHeader {
        context_id: "c".to_owned(),
        path: "/home/data/file".to_owned(),
        size_bytes,
    });
    sender.try_send(message(header)).unwrap();
    let mut contexts = ContextServiceClient::new(channel.clone());
    let call = tokio::spawn(async move {
        let request = within(ReceiverStream::new(receiver));
        contexts
            .upload_context_file(request)
            .await
            .map(|_answer| ())
    });
    (sender, call)
}

fn message(payload: Piece) -> pb::UploadContextFileRequest {
    pb::UploadContextFileRequest {
        payload: Some(payload),
    }
}

fn data(bytes: usize) -> pb::UploadContextFileRequest {
    message(Piece::Data(vec![b'x'; bytes]))
}

#[tokio::test]
async fn an_upload_that_the_storage_refuses_is_answered_without_the_caller_s_next_piece() {
    let world = World::start().await;
    let storage = Storage::of(&world, "GetContextFileUploadUrl").await;
    let (_open, call) = open_upload(&world.channel, None);
    let mut connection = storage.request().await;
    connection.write_all(REFUSAL.as_bytes()).await.unwrap();
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::PermissionDenied, "AGB_PERMISSION_DENIED"),
        "{status:?}"
    );
}

#[tokio::test]
async fn a_storage_that_calls_half_a_file_written_is_not_believed() {
    let world = World::start().await;
    let storage = Storage::of(&world, "GetContextFileUploadUrl").await;
    let (_open, call) = open_upload(&world.channel, None);
    let mut connection = storage.request().await;
    let success = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    connection.write_all(success.as_bytes()).await.unwrap();
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(reason(&status), "AGB_UNINTELLIGIBLE", "{status:?}");
}

#[tokio::test]
async fn a_caller_who_leaves_leaves_no_whole_file_behind() {
    let world = World::start().await;
    let storage = Storage::of(&world, "GetContextFileUploadUrl").await;
    let (open, call) = open_upload(&world.channel, None);
    open.send(data(1000)).await.unwrap();
    open.send(data(1000)).await.unwrap();
    let connection = storage.request().await;
    call.abort();
    let sent = rest_of(connection).await;
    // What ends a body of unknown length.
    assert!(!sent.ends_with(b"0\r\n\r\n"), "{} bytes", sent.len());
}

#[tokio::test]
async fn a_piece_too_many_is_found_before_the_storage_has_all_that_was_announced() {
    let world = World::start().await;
    let storage = Storage::of(&world, "GetContextFileUploadUrl").await;
    let (open, call) = open_upload(&world.channel, Some(1000));
    open.send(data(1000)).await.unwrap();
    let connection = storage.request().await;
    open.send(data(1)).await.unwrap();
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(wrong_fields(&status), ["header.size_bytes"]);
    assert!(rest_of(connection).await.len() < 1000);
}

#[tokio::test]
async fn an_error_page_that_stalls_ends_with_the_deadline() {
    let world = World::start().await;
    let storage = Storage::of(&world, "GetContextFileDownloadUrl").await;
    let (_gateway, channel) = world.hasty_replica().await;
    let begin = Instant::now();
    let call = tokio::spawn(async move {
        let request = pb::DownloadContextFileRequest {
            context_id: "c".to_owned(),
            path: "/home/data/file".to_owned(),
        };
        let mut contexts = ContextServiceClient::new(channel);
        contexts.download_context_file(within(request)).await
    });
    let mut connection = storage.request().await;
    let (half, _) = REFUSAL.split_at(REFUSAL.len() - 10);
    connection.write_all(half.as_bytes()).await.unwrap();
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
        "{status:?}"
    );
    assert!(begin.elapsed() < Duration::from_secs(20));
}

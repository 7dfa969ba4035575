//! Files of contexts through the gateway: presigned URLs, and streams up and down.

use agb_emulator::FaultAction;
use agb_gateway::proto::v1 as pb;
use agb_gateway::proto::v1::download_context_file_response::Payload as Sent;
use agb_gateway::proto::v1::upload_context_file_request::Payload as Piece;
use figment::Figment;
use sha2::{Digest as _, Sha256};
use tokio_stream::StreamExt as _;
use tonic::{Code, Status};

use crate::support::{CODE_IMAGE, World, mount, reason, within, wrong_fields};

const PATH: &str = "/home/data/file.bin";

fn header(context_id: &str, size_bytes: Option<i64>) -> Piece {
    Piece::Header(pb::UploadContextFileHeader {
        context_id: context_id.to_owned(),
        path: PATH.to_owned(),
        size_bytes,
    })
}

async fn upload(
    world: &World,
    pieces: Vec<Piece>,
) -> Result<pb::UploadContextFileResponse, Status> {
    let messages = pieces
        .into_iter()
        .map(|payload| pb::UploadContextFileRequest {
            payload: Some(payload),
        });
    let request = within(tokio_stream::iter(messages.collect::<Vec<_>>()));
    Ok(world
        .contexts()
        .upload_context_file(request)
        .await?
        .into_inner())
}

async fn download(
    world: &World,
    context_id: &str,
) -> Result<(Option<i64>, Vec<u8>, Vec<u8>), Status> {
    let request = pb::DownloadContextFileRequest {
        context_id: context_id.to_owned(),
        path: PATH.to_owned(),
    };
    let mut pieces = world
        .contexts()
        .download_context_file(within(request))
        .await?
        .into_inner();
    let (mut size, mut data, mut sha256) = (None, Vec::new(), Vec::new());
    while let Some(piece) = pieces.next().await {
        match piece?.payload.unwrap() {
            Sent::Header(header) => size = header.size_bytes,
            Sent::Data(piece) => data.extend(piece),
            Sent::Trailer(trailer) => sha256 = trailer.sha256,
        }
    }
    Ok((size, data, sha256))
}

#[tokio::test]
async fn a_file_goes_up_comes_back_and_is_seen_by_a_session() {
    let world = World::start().await;
    let context_id = world.create_context("c").await;
    let bytes: Vec<u8> = (0..251).cycle().take(3_000_000).collect();
    let sha256 = Sha256::digest(&bytes).to_vec();
    for size in [Some(3_000_000), None] {
        let data = bytes
            .chunks(1 << 20)
            .map(|piece| Piece::Data(piece.to_vec()));
        let pieces = std::iter::once(header(&context_id, size))
            .chain(data)
            .collect();
        let answer = upload(&world, pieces).await.unwrap();
        assert_eq!((answer.size_bytes, &answer.sha256), (3_000_000, &sha256));
    }
    let (size, found, found_sha256) = download(&world, &context_id).await.unwrap();
    assert_eq!(size, Some(3_000_000));
    assert!(found == bytes);
    assert_eq!(found_sha256, sha256);
    let session = world
        .create_session(CODE_IMAGE, vec![mount(&context_id, "/home/data")])
        .await;
    assert_eq!(
        world.run(&session, &format!("stat -c %s {PATH}")).await,
        "3000000\n"
    );
}

#[tokio::test]
async fn an_upload_of_another_size_than_announced_writes_nothing() {
    let world = World::start().await;
    let context_id = world.create_context("c").await;
    upload(
        &world,
        vec![header(&context_id, Some(3)), Piece::Data(b"old".to_vec())],
    )
    .await
    .unwrap();
    for size in [4, 2] {
        let pieces = vec![
            header(&context_id, Some(size)),
            Piece::Data(b"new".to_vec()),
        ];
        let status = upload(&world, pieces).await.unwrap_err();
        assert_eq!(wrong_fields(&status), ["header.size_bytes"]);
    }
    let doubled = vec![
        header(&context_id, None),
        Piece::Data(b"new".to_vec()),
        header(&context_id, None),
    ];
    let status = upload(&world, doubled).await.unwrap_err();
    assert_eq!(wrong_fields(&status), ["header"]);
    let headless = vec![Piece::Data(b"new".to_vec())];
    let status = upload(&world, headless).await.unwrap_err();
    assert_eq!(wrong_fields(&status), ["header"]);
    assert_eq!(download(&world, &context_id).await.unwrap().1, b"old");
}

#[tokio::test]
async fn no_message_of_a_stream_holds_more_than_the_setting_says() {
    let settings = Figment::new().merge(("limits.max_piece_bytes", 1024));
    let world = World::with_settings(settings).await;
    let context_id = world.create_context("c").await;
    let pieces = vec![header(&context_id, None), Piece::Data(vec![7; 1025])];
    let status = upload(&world, pieces).await.unwrap_err();
    assert_eq!(wrong_fields(&status), ["data"]);
    assert!(
        status.message().contains("limits.max_piece_bytes"),
        "{status:?}"
    );
    let pieces = std::iter::once(header(&context_id, None))
        .chain(std::iter::repeat_n(Piece::Data(vec![7; 1024]), 9));
    upload(&world, pieces.collect()).await.unwrap();
    let request = pb::DownloadContextFileRequest {
        context_id,
        path: PATH.to_owned(),
    };
    let pieces = world
        .contexts()
        .download_context_file(within(request))
        .await
        .unwrap()
        .into_inner();
    let sizes: Vec<_> = pieces
        .filter_map(|piece| match piece.unwrap().payload.unwrap() {
            Sent::Data(data) => Some(data.len()),
            _ => None,
        })
        .collect()
        .await;
    assert_eq!(sizes.iter().sum::<usize>(), 9 * 1024);
    assert!(sizes.iter().all(|size| *size <= 1024), "{sizes:?}");
}

#[tokio::test]
async fn a_file_that_is_not_there_is_not_found() {
    let world = World::start().await;
    let context_id = world.create_context("c").await;
    let status = download(&world, &context_id).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::NotFound, "CONTEXT_FILE_NOT_FOUND"),
        "{status:?}"
    );
    let status = download(&world, "SdkCtx-none").await.unwrap_err();
    assert_eq!(reason(&status), "CONTEXT_NOT_FOUND", "{status:?}");
}

#[tokio::test]
async fn presigned_urls_are_made_and_expire() {
    let world = World::start().await;
    let context_id = world.create_context("c").await;
    let request = pb::CreateUploadUrlRequest {
        context_id: context_id.clone(),
        path: PATH.to_owned(),
    };
    let answer = world
        .contexts()
        .create_upload_url(within(request))
        .await
        .unwrap()
        .into_inner();
    assert!(answer.url.starts_with(&world.emulator.url()));
    assert!(answer.expire_time.is_some());
    upload(
        &world,
        vec![header(&context_id, None), Piece::Data(b"x".to_vec())],
    )
    .await
    .unwrap();
    let request = pb::CreateDownloadUrlRequest {
        context_id,
        path: PATH.to_owned(),
    };
    let answer = world
        .contexts()
        .create_download_url(within(request))
        .await
        .unwrap()
        .into_inner();
    assert!(answer.url.starts_with(&world.emulator.url()));
}

#[tokio::test]
async fn a_url_to_write_to_is_for_a_file_with_a_name() {
    let world = World::start().await;
    let request = pb::CreateUploadUrlRequest {
        context_id: "c".to_owned(),
        path: "/home/data/".to_owned(),
    };
    let status = world.contexts().create_upload_url(within(request)).await;
    assert_eq!(wrong_fields(&status.unwrap_err()), ["path"]);
    assert_eq!(world.emulator.requests().len(), 0);
}

#[tokio::test]
async fn the_url_stands_in_no_error() {
    let world = World::start().await;
    let context_id = world.create_context("c").await;
    let body = r#"{"success": true, "data": {"url": "http://127.0.0.1:1/secret-signature", "expireTime": 1}}"#;
    let fault = FaultAction::Respond {
        status: 200,
        body: body.to_owned(),
        headers: std::collections::BTreeMap::new(),
    };
    world.inject("GetContextFileDownloadUrl", 1, fault);
    let status = download(&world, &context_id).await.unwrap_err();
    assert_eq!(reason(&status), "AGB_UNREACHABLE");
    assert!(
        !format!("{status:?}").contains("secret-signature"),
        "{status:?}"
    );
}

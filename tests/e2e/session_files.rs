//! Files of a session: written, read and listed.

use agb_gateway::proto::v1 as pb;
use agb_gateway::proto::v1::read_file_response::Payload as Read;
use agb_gateway::proto::v1::write_file_request::Payload as Write;
use figment::Figment;
use sha2::{Digest as _, Sha256};
use tokio_stream::StreamExt as _;
use tonic::Status;

use crate::support::{World, reason, within, wrong_fields};
use crate::tools::session;

async fn write(
    world: &World,
    session_id: &str,
    path: &str,
    mode: pb::WriteMode,
    pieces: &[&[u8]],
) -> Result<pb::WriteFileResponse, Status> {
    let header = pb::WriteFileHeader {
        session_id: session_id.to_owned(),
        path: path.to_owned(),
        mode: mode.into(),
    };
    let data = pieces.iter().map(|piece| Write::Data(piece.to_vec()));
    let messages: Vec<_> = std::iter::once(Write::Header(header))
        .chain(data)
        .map(|payload| pb::WriteFileRequest {
            payload: Some(payload),
        })
        .collect();
    let request = within(tokio_stream::iter(messages));
    Ok(world.sessions().write_file(request).await?.into_inner())
}

async fn read(
    world: &World,
    request: pb::ReadFileRequest,
) -> Result<(i64, Vec<u8>, Vec<u8>), Status> {
    let mut pieces = world
        .sessions()
        .read_file(within(request))
        .await?
        .into_inner();
    let (mut size, mut data, mut sha256) = (0, Vec::new(), Vec::new());
    while let Some(piece) = pieces.next().await {
        match piece?.payload.unwrap() {
            Read::Header(header) => size = header.size_bytes,
            Read::Data(piece) => data.extend(piece),
            Read::Trailer(trailer) => sha256 = trailer.sha256,
        }
    }
    Ok((size, data, sha256))
}

fn whole(session_id: &str, path: &str) -> pb::ReadFileRequest {
    pb::ReadFileRequest {
        session_id: session_id.to_owned(),
        path: path.to_owned(),
        ..pb::ReadFileRequest::default()
    }
}

#[tokio::test]
async fn files_of_any_bytes_come_back_as_they_went() {
    let world = World::start().await;
    let session_id = session(&world).await;
    let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(200_000).collect();
    let umlauts = "größe ".repeat(20_000).into_bytes();
    for (path, data) in [("/tmp/it's binary", &bytes), ("/home/text", &umlauts)] {
        let (first, second) = data.split_at(data.len() / 3);
        let written = write(
            &world,
            &session_id,
            path,
            pb::WriteMode::Overwrite,
            &[first, second],
        )
        .await;
        let written = written.unwrap();
        let sha256 = Sha256::digest(data).to_vec();
        assert_eq!(
            (written.size_bytes, &written.sha256),
            (i64::try_from(data.len()).unwrap(), &sha256)
        );
        let (size, found, found_sha256) = read(&world, whole(&session_id, path)).await.unwrap();
        assert_eq!(size, i64::try_from(data.len()).unwrap());
        assert!(found == *data, "{path} differs");
        assert_eq!(found_sha256, sha256);
    }
    assert_eq!(world.run(&session_id, "ls /tmp").await, "it's binary\n");
}

#[tokio::test]
async fn a_part_of_a_file_can_be_read_and_added() {
    let world = World::start().await;
    let session_id = session(&world).await;
    for (mode, data) in [
        (pb::WriteMode::Overwrite, "0123"),
        (pb::WriteMode::Append, "456789"),
    ] {
        write(&world, &session_id, "/tmp/digits", mode, &[data.as_bytes()])
            .await
            .unwrap();
    }
    let request = pb::ReadFileRequest {
        offset: 3,
        length: 4,
        ..whole(&session_id, "/tmp/digits")
    };
    let (size, data, _) = read(&world, request).await.unwrap();
    assert_eq!((size, data.as_slice()), (10, b"3456".as_slice()));
    let status = read(&world, whole(&session_id, "/tmp/none"))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "AGB_TOOL_FAILED");
    let status = read(&world, whole(&session_id, "/tmp")).await.unwrap_err();
    assert!(status.message().contains("is a directory"), "{status:?}");
}

#[tokio::test]
async fn a_write_that_breaks_off_leaves_the_file_as_it_was() {
    let world = World::start().await;
    let session_id = session(&world).await;
    write(
        &world,
        &session_id,
        "/tmp/file",
        pb::WriteMode::Overwrite,
        &[b"old"],
    )
    .await
    .unwrap();
    let header = pb::WriteFileHeader {
        session_id: session_id.clone(),
        path: "/tmp/file".to_owned(),
        mode: 0,
    };
    let payloads = [
        Write::Header(header.clone()),
        Write::Data(b"new".to_vec()),
        Write::Header(header),
    ];
    let messages = payloads.map(|payload| pb::WriteFileRequest {
        payload: Some(payload),
    });
    let request = within(tokio_stream::iter(messages));
    let status = world.sessions().write_file(request).await.unwrap_err();
    assert_eq!(wrong_fields(&status), ["header"]);
    assert_eq!(
        world.run(&session_id, "cat /tmp/file; ls /tmp").await,
        "oldfile\n"
    );
}

#[tokio::test]
async fn a_write_whose_caller_leaves_changes_nothing_and_leaves_nothing_behind() {
    let world = World::start().await;
    let session_id = session(&world).await;
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let header = Write::Header(pb::WriteFileHeader {
        session_id: session_id.clone(),
        path: "/tmp/file".to_owned(),
        mode: 0,
    });
    for payload in [header, Write::Data(b"half".to_vec())] {
        let payload = Some(payload);
        let message = pb::WriteFileRequest { payload };
        sender.send(message).await.unwrap();
    }
    let mut sessions = world.sessions();
    let call = tokio::spawn(async move {
        let request = within(tokio_stream::wrappers::ReceiverStream::new(receiver));
        sessions.write_file(request).await
    });
    // The part is made by one call of a tool, filled by the next, and removed by a third.
    let mut pause = tokio::time::interval(std::time::Duration::from_millis(10));
    while world.emulator.request_count("callTool") < 2 {
        pause.tick().await;
    }
    call.abort();
    while !world.run(&session_id, "ls -A /tmp").await.is_empty() {
        pause.tick().await;
    }
}

#[tokio::test]
async fn a_write_keeps_the_mode_of_a_file_and_does_not_go_into_a_folder() {
    let world = World::start().await;
    let session_id = session(&world).await;
    world
        .run(
            &session_id,
            "mkdir /tmp/folder && touch /tmp/script && chmod 750 /tmp/script",
        )
        .await;
    let overwrite = pb::WriteMode::Overwrite;
    write(&world, &session_id, "/tmp/script", overwrite, &[b"new"])
        .await
        .unwrap();
    let mode = world.run(&session_id, "stat -c %a /tmp/script").await;
    assert_eq!(mode, "750\n");
    let status = write(&world, &session_id, "/tmp/folder", overwrite, &[b"new"])
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "AGB_TOOL_FAILED");
    assert_eq!(world.run(&session_id, "ls -A /tmp/folder").await, "");
    let status = write(&world, &session_id, "/tmp/folder/", overwrite, &[b"new"])
        .await
        .unwrap_err();
    assert_eq!(wrong_fields(&status), ["header.path"]);
}

#[tokio::test]
async fn a_directory_is_listed() {
    let world = World::start().await;
    let session_id = session(&world).await;
    world
        .run(&session_id, "mkdir '/tmp/my dir' && touch /tmp/file")
        .await;
    let request = pb::ListDirectoryRequest {
        session_id,
        path: "/tmp".to_owned(),
    };
    let answer = world
        .sessions()
        .list_directory(within(request))
        .await
        .unwrap();
    let mut entries: Vec<_> = answer
        .into_inner()
        .entries
        .into_iter()
        .map(|entry| (entry.name, entry.is_directory))
        .collect();
    entries.sort();
    assert_eq!(
        entries,
        [("file".to_owned(), false), ("my dir".to_owned(), true)]
    );
}

#[tokio::test]
async fn files_of_a_session_go_in_pieces_of_the_size_of_the_setting() {
    let settings = Figment::new().merge(("limits.session_piece_bytes", 1024));
    let world = World::with_settings(settings).await;
    let session_id = session(&world).await;
    let overwrite = pb::WriteMode::Overwrite;
    write(&world, &session_id, "/tmp/a", overwrite, &[&[b'x'; 2049]])
        .await
        .unwrap();
    // The part is made, filled with three calls, and put in place.
    assert_eq!(world.emulator.request_count("callTool"), 5);
    read(&world, whole(&session_id, "/tmp/a")).await.unwrap();
    // The size is asked for, and three pieces.
    assert_eq!(world.emulator.request_count("callTool"), 9);
}

#[tokio::test]
async fn a_message_of_a_written_file_keeps_to_the_setting() {
    let settings = Figment::new().merge(("limits.max_piece_bytes", 1024));
    let world = World::with_settings(settings).await;
    let session_id = session(&world).await;
    let overwrite = pb::WriteMode::Overwrite;
    let status = write(&world, &session_id, "/tmp/a", overwrite, &[&[b'x'; 1025]])
        .await
        .unwrap_err();
    assert_eq!(wrong_fields(&status), ["data"]);
    assert_eq!(world.run(&session_id, "ls -A /tmp").await, "");
}

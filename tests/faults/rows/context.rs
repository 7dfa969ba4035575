//! ContextService.

use agb_gateway::proto::v1 as pb;
use pb::context_service_client::ContextServiceClient;
use pb::upload_context_file_request::Payload;

use crate::row::{About, Call, Class, Row, client_stream, server_stream, unary};
use crate::support::{Effect, FILE};

const NEW_FILE: &str = "/tmp/original/new.txt";

pub(crate) const ROWS: &[Row] = &[
    Row::new(
        "ContextService/GetContext",
        "GetContext",
        Class::Safe,
        About::Context,
        Effect::Nothing,
        unary!(ContextServiceClient.get_context, |fixture| {
            pb::GetContextRequest {
                selector: Some(pb::get_context_request::Selector::Name(
                    fixture.context_name,
                )),
                ..pb::GetContextRequest::default()
            }
        }),
    ),
    Row::new(
        "ContextService/CreateContext",
        "GetContext",
        Class::Safe,
        About::Context,
        Effect::NewContext,
        unary!(ContextServiceClient.create_context, |_| {
            pb::CreateContextRequest {
                context: Some(named("", "new")),
                ..pb::CreateContextRequest::default()
            }
        }),
    ),
    Row::new(
        "ContextService/ListContexts",
        "ListContexts",
        Class::Safe,
        About::Nothing,
        Effect::Nothing,
        unary!(ContextServiceClient.list_contexts, |_| {
            pb::ListContextsRequest::default()
        }),
    ),
    Row::new(
        "ContextService/UpdateContext",
        "ModifyContext",
        Class::Safe,
        About::Context,
        Effect::RenamedContext,
        UPDATE_CONTEXT,
    ),
    Row::new(
        "ContextService/UpdateContext",
        "GetContext",
        Class::Safe,
        About::Context,
        Effect::Nothing,
        UPDATE_CONTEXT,
    )
    .after(Effect::RenamedContext),
    Row::new(
        "ContextService/DeleteContext",
        "DeleteContext",
        Class::Once,
        About::Context,
        Effect::LostContext,
        unary!(ContextServiceClient.delete_context, |fixture| {
            pb::DeleteContextRequest {
                context_id: fixture.context_id,
                ..pb::DeleteContextRequest::default()
            }
        }),
    ),
    Row::new(
        "ContextService/ClearContext",
        "ClearContext",
        Class::Once,
        About::Context,
        Effect::LostFile,
        unary!(ContextServiceClient.clear_context, |fixture| {
            pb::ClearContextRequest {
                context_id: fixture.context_id,
            }
        }),
    ),
    Row::new(
        "ContextService/ListContextFiles",
        "DescribeContextFiles",
        Class::Safe,
        About::Context,
        Effect::Nothing,
        unary!(ContextServiceClient.list_context_files, |fixture| {
            pb::ListContextFilesRequest {
                context_id: fixture.context_id,
                ..pb::ListContextFilesRequest::default()
            }
        }),
    ),
    Row::new(
        "ContextService/DeleteContextFile",
        "DeleteContextFile",
        Class::Once,
        About::File,
        Effect::LostFile,
        unary!(ContextServiceClient.delete_context_file, |fixture| {
            pb::DeleteContextFileRequest {
                context_id: fixture.context_id,
                path: FILE.to_owned(),
                ..pb::DeleteContextFileRequest::default()
            }
        }),
    ),
    Row::new(
        "ContextService/CreateUploadUrl",
        "GetContextFileUploadUrl",
        Class::Safe,
        About::File,
        Effect::Nothing,
        unary!(ContextServiceClient.create_upload_url, |fixture| {
            pb::CreateUploadUrlRequest {
                context_id: fixture.context_id,
                path: NEW_FILE.to_owned(),
            }
        }),
    ),
    Row::new(
        "ContextService/CreateDownloadUrl",
        "GetContextFileDownloadUrl",
        Class::Safe,
        About::File,
        Effect::Nothing,
        unary!(ContextServiceClient.create_download_url, |fixture| {
            pb::CreateDownloadUrlRequest {
                context_id: fixture.context_id,
                path: FILE.to_owned(),
            }
        }),
    ),
    Row::new(
        "ContextService/UploadContextFile",
        "GetContextFileUploadUrl",
        Class::Safe,
        About::File,
        Effect::Nothing,
        UPLOAD_CONTEXT_FILE,
    )
    .before(Effect::NewFile),
    Row::new(
        "ContextService/UploadContextFile",
        "StorageUpload",
        Class::Safe,
        About::File,
        Effect::NewFile,
        UPLOAD_CONTEXT_FILE,
    )
    .later(),
    Row::new(
        "ContextService/DownloadContextFile",
        "GetContextFileDownloadUrl",
        Class::Safe,
        About::File,
        Effect::Nothing,
        DOWNLOAD_CONTEXT_FILE,
    ),
    Row::new(
        "ContextService/DownloadContextFile",
        "StorageDownload",
        Class::Safe,
        About::File,
        Effect::Nothing,
        DOWNLOAD_CONTEXT_FILE,
    )
    .later(),
];

const UPDATE_CONTEXT: Call = unary!(ContextServiceClient.update_context, |fixture| {
    pb::UpdateContextRequest {
        context: Some(named(&fixture.context_id, "renamed")),
        update_mask: None,
    }
});

const UPLOAD_CONTEXT_FILE: Call =
    client_stream!(ContextServiceClient.upload_context_file, |fixture| {
        let header = pb::UploadContextFileHeader {
            context_id: fixture.context_id,
            path: NEW_FILE.to_owned(),
            size_bytes: None,
        };
        [Payload::Header(header), Payload::Data(b"new".to_vec())].map(|payload| {
            pb::UploadContextFileRequest {
                payload: Some(payload),
            }
        })
    });

const DOWNLOAD_CONTEXT_FILE: Call =
    server_stream!(ContextServiceClient.download_context_file, |fixture| {
        pb::DownloadContextFileRequest {
            context_id: fixture.context_id,
            path: FILE.to_owned(),
        }
    });

fn named(id: &str, name: &str) -> pb::Context {
    pb::Context {
        context_id: id.to_owned(),
        name: name.to_owned(),
        ..pb::Context::default()
    }
}

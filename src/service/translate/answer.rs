//! Domain types as protobuf messages.

use jiff::Timestamp;
use secrecy::ExposeSecret as _;

use crate::agb::wire::{self, ContextFileData};
use crate::domain::{
    Advice, Context, ContextState, Direction, DownloadStrategy, FieldViolation, Lifecycle, Session,
    SessionState, SyncPolicy, SyncTask, TaskState, UploadMode, UploadStrategy,
};
use crate::proto::v1 as pb;
use crate::sync::{Report, Verdict};

impl From<Context> for pb::Context {
    fn from(context: Context) -> Self {
        let state = match context.state {
            None => pb::ContextState::Unspecified,
            Some(ContextState::Available) => pb::ContextState::Available,
            Some(ContextState::Clearing) => pb::ContextState::Clearing,
            Some(ContextState::PreAvailable) => pb::ContextState::PreAvailable,
            Some(ContextState::InUse) => pb::ContextState::InUse,
        };
        Self {
            context_id: context.id,
            name: context.name,
            state: state.into(),
            create_time: context.create_time.map(timestamp),
            last_used_time: context.last_used_time.map(timestamp),
        }
    }
}

impl From<ContextFileData> for pb::ContextFile {
    fn from(file: ContextFileData) -> Self {
        Self {
            create_time: wire::timestamp(&file.gmt_create).map(timestamp),
            update_time: wire::timestamp(&file.gmt_modified).map(timestamp),
            path: file.file_path,
            name: file.file_name,
            file_id: file.file_id,
            file_type: file.file_type,
            size_bytes: i64::try_from(file.size).unwrap_or(i64::MAX),
            agb_status: file.status,
        }
    }
}

impl From<&FieldViolation> for pb::FieldViolation {
    fn from(violation: &FieldViolation) -> Self {
        Self {
            field: violation.field.clone(),
            description: violation.description.clone(),
        }
    }
}

impl From<Advice> for pb::SyncPolicyAdvice {
    fn from(advice: Advice) -> Self {
        Self {
            field: format!("policy.{}", advice.field),
            reason: advice.reason.to_owned(),
            description: advice.description.to_owned(),
        }
    }
}

impl From<SyncPolicy> for pb::SyncPolicy {
    fn from(policy: SyncPolicy) -> Self {
        let white_lists = policy.bw_list.white_lists.into_iter();
        Self {
            upload_policy: Some(pb::UploadPolicy {
                auto_upload: Some(policy.upload.auto_upload),
                upload_strategy: match policy.upload.strategy {
                    UploadStrategy::BeforeResourceRelease => {
                        pb::UploadStrategy::BeforeResourceRelease.into()
                    }
                },
                upload_mode: match policy.upload.mode {
                    UploadMode::File => pb::UploadMode::File.into(),
                    UploadMode::Archive => pb::UploadMode::Archive.into(),
                },
            }),
            download_policy: Some(pb::DownloadPolicy {
                auto_download: Some(policy.download.auto_download),
                download_strategy: match policy.download.strategy {
                    DownloadStrategy::Async => pb::DownloadStrategy::Async.into(),
                },
            }),
            delete_policy: Some(pb::DeletePolicy {
                sync_local_file: Some(policy.delete.sync_local_file),
            }),
            extract_policy: Some(pb::ExtractPolicy {
                extract: Some(policy.extract.extract),
                delete_src_file: Some(policy.extract.delete_src_file),
                extract_to_current_folder: Some(policy.extract.extract_to_current_folder),
            }),
            recycle_policy: Some(pb::RecyclePolicy {
                lifecycle: lifecycle(policy.recycle.lifecycle).into(),
                paths: policy.recycle.paths,
            }),
            bw_list: Some(pb::BwList {
                white_lists: white_lists
                    .map(|white_list| pb::WhiteList {
                        path: white_list.path,
                        exclude_paths: white_list.exclude_paths,
                    })
                    .collect(),
            }),
            mapping_policy: policy.mapping.map(|mapping| pb::MappingPolicy {
                path: mapping.path.as_str().to_owned(),
            }),
        }
    }
}

fn lifecycle(lifecycle: Lifecycle) -> pb::Lifecycle {
    match lifecycle {
        Lifecycle::Days1 => pb::Lifecycle::Lifecycle1Day,
        Lifecycle::Days3 => pb::Lifecycle::Lifecycle3Days,
        Lifecycle::Days5 => pb::Lifecycle::Lifecycle5Days,
        Lifecycle::Days10 => pb::Lifecycle::Lifecycle10Days,
        Lifecycle::Days15 => pb::Lifecycle::Lifecycle15Days,
        Lifecycle::Days30 => pb::Lifecycle::Lifecycle30Days,
        Lifecycle::Days90 => pb::Lifecycle::Lifecycle90Days,
        Lifecycle::Days180 => pb::Lifecycle::Lifecycle180Days,
        Lifecycle::Days360 => pb::Lifecycle::Lifecycle360Days,
        Lifecycle::Forever => pb::Lifecycle::Forever,
    }
}

impl From<Session> for pb::Session {
    fn from(session: Session) -> Self {
        let state = match session.state {
            None => pb::SessionState::Unspecified,
            Some(SessionState::Running) => pb::SessionState::Running,
            Some(SessionState::Deleting) => pb::SessionState::Deleting,
            Some(SessionState::Deleted) => pb::SessionState::Deleted,
        };
        Self {
            session_id: session.id,
            state: state.into(),
            image_id: String::new(),
            resource_url: session.resource_url.expose_secret().to_owned(),
            app_instance_id: session.app_instance_id,
            resource_id: session.resource_id,
        }
    }
}

impl From<&SyncTask> for pb::SyncTask {
    fn from(task: &SyncTask) -> Self {
        let direction = match task.direction {
            Direction::Upload => pb::SyncDirection::Upload,
            Direction::Download => pb::SyncDirection::Download,
        };
        let state = match task.state() {
            TaskState::Running => pb::SyncTaskState::Running,
            TaskState::Succeeded => pb::SyncTaskState::Succeeded,
            TaskState::Failed => pb::SyncTaskState::Failed,
        };
        Self {
            context_id: task.context_id.clone(),
            path: task.path.clone(),
            direction: direction.into(),
            state: state.into(),
            agb_status: task.agb_status.clone(),
            error_message: task.error_message.clone(),
            start_time: task.start_time().map(timestamp),
            finish_time: task.finish_time().map(timestamp),
        }
    }
}

impl From<&Report> for pb::SyncStatus {
    fn from(report: &Report) -> Self {
        let state = match report.state {
            Verdict::Pending => pb::SyncState::Pending,
            Verdict::Running => pb::SyncState::Running,
            Verdict::Succeeded => pb::SyncState::Succeeded,
            Verdict::Failed => pb::SyncState::Failed,
        };
        Self {
            state: state.into(),
            tasks: report.tasks.iter().map(pb::SyncTask::from).collect(),
            sync_token: report.token.clone().unwrap_or_default(),
            look_count: i32::try_from(report.look_count).unwrap_or(i32::MAX),
        }
    }
}

pub(crate) fn timestamp(timestamp: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: timestamp.as_second(),
        nanos: timestamp.subsec_nanosecond(),
    }
}

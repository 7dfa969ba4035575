//! Domain types as protobuf messages.

use jiff::Timestamp;

use crate::domain::{Context, ContextState, Direction, Session, SessionState, SyncTask, TaskState};
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
            resource_url: session.resource_url,
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

fn timestamp(timestamp: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: timestamp.as_second(),
        nanos: timestamp.subsec_nanosecond(),
    }
}

//! The gateway's own terms: plain types and their rules.
//!
//! Nothing here knows gRPC, HTTP or JSON, and nothing here does I/O.

mod advice;
mod context;
mod labels;
mod limits;
mod mapping;
mod path;
mod session;
mod sync_policy;
mod sync_task;
mod violation;

pub use advice::{Advice, ContextContents, advice};
pub use context::{Context, ContextState};
pub use labels::{Labels, RESERVED_PREFIX as RESERVED_LABEL_PREFIX};
pub use limits::{Limit, Limits, PageSizes};
pub use mapping::{Mapping, NearMiss, near_misses, relative_to};
pub use path::{MountPath, absolute_path, file_path};
pub use session::{Session, SessionState};
pub use sync_policy::{
    BwList, DeletePolicy, DownloadPolicy, DownloadStrategy, ExtractPolicy, Lifecycle,
    MappingPolicy, Preset, RecyclePolicy, SyncPolicy, UploadMode, UploadPolicy, UploadStrategy,
    WhiteList, exact_path,
};
pub use sync_task::{Direction, SyncTask, TaskState, epoch};
pub use violation::{FieldViolation, Violations};

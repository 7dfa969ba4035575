//! The `get_metrics` tool: the measures of the machine, and of the session's disk.

use serde_json::{Value, json};

use super::{ToolError, ToolOutput};
use crate::sandbox::Request;
use crate::session::{Session, SessionStatus};

pub(super) async fn call(session: &Session) -> Result<ToolOutput, ToolError> {
    let _in_use = session.in_use.read().await;
    if session.status() != SessionStatus::Running {
        return Err(ToolError::SessionEnded);
    }
    let measures = match session.machine.ask(Request::Metrics).await? {
        Ok(measures) => measures,
        Err(reason) => return Ok(ToolOutput::error(reason)),
    };
    let mut measures: Value = serde_json::from_str(&measures)?;
    let (total, used) = session.machine.disk().await;
    measures["disk_total"] = json!(total);
    measures["disk_used"] = json!(used);
    Ok(ToolOutput::text(measures.to_string()))
}

//! Synchronisation. The answer to a look is JSON in JSON in JSON.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{NoData, call};
use crate::domain::{Direction, SyncTask};

/// Starts tasks; `context_id` and `path` come together or not at all.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncContext<'a> {
    /// AGB's id of the session.
    pub session_id: &'a str,
    /// AGB's id of the context.
    pub context_id: Option<&'a str>,
    /// Where the session mounts it.
    pub path: Option<&'a str>,
    /// `upload` or `download`; AGB's default is `upload`.
    pub mode: Option<&'a str>,
}
call!(SyncContext<'_> => SYNC_CONTEXT, NoData);

/// Looks at the tasks of a session.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GetContextInfo<'a> {
    /// AGB's id of the session.
    pub session_id: &'a str,
    /// Only tasks of this context.
    pub context_id: Option<&'a str>,
    /// Only tasks of this mount path.
    pub path: Option<&'a str>,
    /// Only `upload` or only `download`.
    pub task_type: Option<&'a str>,
}
call!(GetContextInfo<'_> => GET_CONTEXT_INFO, ContextInfoData);

/// What a look shows.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContextInfoData {
    /// JSON text: a list of items, of which those of type `data` hold JSON text again.
    pub context_status: String,
}

#[derive(Deserialize)]
struct StatusItem {
    #[serde(rename = "type", default)]
    kind: Value,
    #[serde(default)]
    data: Value,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TaskData {
    context_id: Option<String>,
    path: Option<String>,
    error_message: Option<String>,
    status: Option<String>,
    start_time: Option<i64>,
    finish_time: Option<i64>,
    task_type: Option<String>,
}

impl ContextInfoData {
    /// The synchronisation tasks in AGB's order; tasks of other kinds are left out.
    ///
    /// Text that cannot be read is an error and not an empty list: an empty list would say that there are no tasks.
    pub fn tasks(&self) -> Result<Vec<SyncTask>, serde_json::Error> {
        if self.context_status.is_empty() {
            return Ok(Vec::new());
        }
        let items: Vec<StatusItem> = serde_json::from_str(&self.context_status)?;
        let mut tasks = Vec::new();
        for item in items.into_iter().filter(|item| item.kind == "data") {
            let data: Vec<TaskData> = match item.data {
                Value::Null => Vec::new(),
                Value::String(text) if text.is_empty() => Vec::new(),
                Value::String(text) => serde_json::from_str(&text)?,
                other => serde_json::from_value(other)?,
            };
            tasks.extend(data.into_iter().filter_map(TaskData::into_task));
        }
        Ok(tasks)
    }
}

impl TaskData {
    fn into_task(self) -> Option<SyncTask> {
        Some(SyncTask {
            direction: Direction::from_agb(&self.task_type.unwrap_or_default())?,
            context_id: self.context_id.unwrap_or_default(),
            path: self.path.unwrap_or_default(),
            agb_status: self.status.unwrap_or_default(),
            error_message: self.error_message.unwrap_or_default(),
            start: self.start_time.unwrap_or_default(),
            finish: self.finish_time.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn look(tasks: &serde_json::Value) -> ContextInfoData {
        ContextInfoData {
            context_status: json!([
                {"type": "note", "data": "not JSON"},
            {"type": "note", "data": {"an": "object"}},
            {"data": null},
                {"type": "data", "data": tasks.to_string()},
            ])
            .to_string(),
        }
    }

    #[test]
    fn tasks_are_read_through_three_layers_of_json() {
        let tasks = look(&json!([
            {"contextId": "SdkCtx-1", "path": "/tmp/mapping", "errorMessage": null, "status": "Success",
             "startTime": 1_760_517_000_000_i64, "finishTime": 1_760_517_001_000_i64, "taskType": "upload"},
            {"contextId": "SdkCtx-1", "path": "/tmp/mapping", "status": "Success", "taskType": "recycle"},
        ]))
        .tasks()
        .unwrap();
        assert_eq!(
            tasks,
            [SyncTask {
                context_id: "SdkCtx-1".to_owned(),
                path: "/tmp/mapping".to_owned(),
                direction: Direction::Upload,
                agb_status: "Success".to_owned(),
                error_message: String::new(),
                start: 1_760_517_000_000,
                finish: 1_760_517_001_000,
            }]
        );
    }

    #[test]
    fn text_that_cannot_be_read_is_not_taken_for_no_tasks() {
        assert_eq!(ContextInfoData::default().tasks().unwrap(), []);
        assert_eq!(look(&json!([])).tasks().unwrap(), []);
        for text in ["{", "{}", r#"[{"type":"data","data":"["}]"#] {
            let data = ContextInfoData {
                context_status: text.to_owned(),
            };
            assert!(data.tasks().is_err(), "{text}");
        }
    }
}

//! Scripting faults and reading their account.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::body;
use super::error::AdminError;
use crate::app::App;
use crate::fault::{Fault, FaultAction, FaultId, FaultState, Schedule};

/// A fault as it is asked for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct FaultRequest {
    operation: String,
    times: Option<u32>,
    #[serde(default)]
    skip: u32,
    probability: Option<f64>,
    #[serde(default)]
    seed: u64,
    action: FaultAction,
}

/// A fault and its account.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireFault {
    id: FaultId,
    operation: String,
    /// `None`: until it is cleared.
    times: Option<u32>,
    skip: u32,
    probability: f64,
    seed: u64,
    action: FaultAction,
    fired: u32,
    requests: Vec<String>,
}

impl From<FaultState> for WireFault {
    fn from(state: FaultState) -> Self {
        Self {
            id: state.id,
            operation: state.fault.operation,
            times: Some(state.fault.times).filter(|times| *times < u32::MAX),
            skip: state.schedule.skip,
            probability: state.schedule.probability,
            seed: state.schedule.seed,
            action: state.fault.action,
            fired: state.fired,
            requests: state.requests,
        }
    }
}

pub(super) async fn list(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!({ "faults": wire_faults(&app) }))
}

pub(super) fn wire_faults(app: &App) -> Vec<WireFault> {
    let states = app.faults.states().into_iter();
    states.map(WireFault::from).collect()
}

pub(super) async fn add(
    State(app): State<Arc<App>>,
    bytes: Bytes,
) -> Result<(StatusCode, Json<WireFault>), AdminError> {
    let request: FaultRequest = body::read(&bytes)?;
    let times = match (request.times, request.probability) {
        (Some(times), _) => times,
        (None, Some(_)) => u32::MAX,
        (None, None) => {
            let message = "times is required unless there is a probability";
            return Err(AdminError::invalid("times", message));
        }
    };
    let fault = Fault {
        operation: request.operation,
        times,
        action: request.action,
    };
    let schedule = Schedule {
        skip: request.skip,
        probability: request.probability.unwrap_or(1.0),
        seed: request.seed,
    };
    let id = app.faults.schedule(fault, schedule)?;
    tracing::info!(target: "agb_emulator::fault", fault = id.0, "a fault was scripted");
    Ok((StatusCode::CREATED, Json(find(&app, id)?)))
}

pub(super) async fn get(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<WireFault>, AdminError> {
    Ok(Json(find(&app, read_id(&id)?)?))
}

pub(super) async fn remove(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<StatusCode, AdminError> {
    let id = read_id(&id)?;
    if app.faults.remove(id) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(no_fault(id))
    }
}

pub(super) async fn clear(State(app): State<Arc<App>>) -> StatusCode {
    app.faults.clear();
    StatusCode::NO_CONTENT
}

fn find(app: &App, id: FaultId) -> Result<WireFault, AdminError> {
    let state = app.faults.state(id).ok_or_else(|| no_fault(id))?;
    Ok(state.into())
}

fn no_fault(id: FaultId) -> AdminError {
    AdminError::not_found(format!("there is no fault {}", id.0))
}

fn read_id(text: &str) -> Result<FaultId, AdminError> {
    text.parse()
        .map(FaultId)
        .map_err(|_| AdminError::not_found(format!("there is no fault {text}")))
}

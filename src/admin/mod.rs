//! The admin service: what operators ask one running gateway, and the little that they change in it.
//!
//! It looks at what the other rooms hold, and decides nothing. Where it listens, and who reaches it, is not its business. It asks AGB
//! nothing, so it answers also while AGB does not.

mod log_control;
mod upstream;
mod waits;

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use crate::agb::Connections;
use crate::config::Settings;
use crate::listen::Occupancy;
use crate::proto::admin as pb;
use crate::proto::admin::admin_service_server as server;
use crate::service::{timestamp, to_struct};
use crate::status::Failure;
use crate::sync::Syncs;
use crate::telemetry::LogFilter;
use log_control::LogControl;

/// The optional parts that this gateway was built with.
const FEATURES: &[&str] = if cfg!(feature = "emulator") {
    &["emulator"]
} else {
    &[]
};

/// What the answers are made of.
#[derive(Debug)]
pub struct Sources {
    /// What each setting is.
    pub settings: Settings,
    /// The tenants.
    pub tenants: Box<dyn Tenants>,
    /// What goes over to AGB.
    pub upstream: Arc<Connections>,
    /// The connections of callers.
    pub callers: Occupancy,
    /// Which events are logged; `None` where that cannot be changed.
    pub log_filter: Option<LogFilter>,
}

/// The tenants that there are at this moment.
pub trait Tenants: fmt::Debug + Send + Sync {
    /// The syncs of each, with its name.
    fn syncs(&self) -> Vec<(String, Syncs)>;
}

/// AdminService.
#[derive(Debug)]
pub struct AdminService {
    start_time: Timestamp,
    started: Instant,
    settings: Settings,
    tenants: Box<dyn Tenants>,
    upstream: Arc<Connections>,
    callers: Occupancy,
    log_control: Option<LogControl>,
}

impl AdminService {
    /// The service of a gateway that starts now.
    pub fn new(sources: Sources) -> Self {
        Self {
            start_time: Timestamp::now(),
            started: Instant::now(),
            settings: sources.settings,
            tenants: sources.tenants,
            upstream: sources.upstream,
            callers: sources.callers,
            log_control: sources.log_filter.map(LogControl::new),
        }
    }

    fn build_info(&self) -> pb::GetBuildInfoResponse {
        pb::GetBuildInfoResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision: option_env!("AGB_GATEWAY_REVISION")
                .unwrap_or_default()
                .to_owned(),
            features: FEATURES.iter().map(ToString::to_string).collect(),
            start_time: Some(timestamp(self.start_time)),
            uptime: self.started.elapsed().try_into().ok(),
        }
    }

    fn log_control(&self) -> Result<&LogControl, Failure> {
        let missing = Failure::Internal("this gateway was started without its log filter");
        self.log_control.as_ref().ok_or(missing)
    }
}

#[tonic::async_trait]
impl server::AdminService for AdminService {
    async fn get_build_info(
        &self,
        _request: Request<pb::GetBuildInfoRequest>,
    ) -> Result<Response<pb::GetBuildInfoResponse>, Status> {
        Ok(Response::new(self.build_info()))
    }

    async fn get_configuration(
        &self,
        _request: Request<pb::GetConfigurationRequest>,
    ) -> Result<Response<pb::GetConfigurationResponse>, Status> {
        let settings = self.settings.iter();
        let settings = settings.map(|(name, value)| (name.to_owned(), value.clone()));
        Ok(Response::new(pb::GetConfigurationResponse {
            settings: Some(to_struct(settings.collect())),
        }))
    }

    async fn list_waits(
        &self,
        request: Request<pb::ListWaitsRequest>,
    ) -> Result<Response<pb::ListWaitsResponse>, Status> {
        let request = request.into_inner();
        let listed = waits::list(&self.tenants.syncs(), &request).map_err(Failure::from)?;
        Ok(Response::new(listed))
    }

    async fn get_upstream(
        &self,
        _request: Request<pb::GetUpstreamRequest>,
    ) -> Result<Response<pb::GetUpstreamResponse>, Status> {
        let answer = upstream::answer(&self.upstream, &self.callers);
        Ok(Response::new(answer))
    }

    async fn get_log_filter(
        &self,
        _request: Request<pb::GetLogFilterRequest>,
    ) -> Result<Response<pb::GetLogFilterResponse>, Status> {
        Ok(Response::new(pb::GetLogFilterResponse {
            log_filter: Some(self.log_control()?.now()),
        }))
    }

    async fn set_log_filter(
        &self,
        request: Request<pb::SetLogFilterRequest>,
    ) -> Result<Response<pb::SetLogFilterResponse>, Status> {
        let control = self.log_control()?;
        let change = log_control::change(request.get_ref()).map_err(Failure::from)?;
        let log_filter = control.set(&change).map_err(Failure::from)?;
        Ok(Response::new(pb::SetLogFilterResponse {
            log_filter: Some(log_filter),
        }))
    }
}

/// A point in time of this process by the clock.
fn clock(instant: Instant) -> prost_types::Timestamp {
    let (now, clock) = (Instant::now(), Timestamp::now());
    let time = if instant < now {
        clock - (now - instant)
    } else {
        clock + (instant - now)
    };
    timestamp(time)
}

fn count(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

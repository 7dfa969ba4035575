//! The published service config: tonic knows none, so this repeats calls as it says (gRFC A6).

use std::time::Duration;

use serde_json::Value;
use tonic::{Code, Request, Response, Status};

use crate::Outcome;
use crate::world::env;

/// Of gRFC A6, what the published service config has. Its throttling is left out: a suite makes too few calls.
pub(crate) struct RetryPolicy {
    max_attempts: u32,
    initial_backoff: Duration,
    max_backoff: Duration,
    multiplier: f64,
    codes: Vec<String>,
}

impl RetryPolicy {
    pub(crate) fn published() -> Outcome<Self> {
        let config: Value =
            serde_json::from_str(&std::fs::read_to_string(env("AGB_SERVICE_CONFIG")?)?)?;
        let policy = &config["methodConfig"][0]["retryPolicy"];
        let seconds = |name: &str| -> Outcome<Duration> {
            let text = policy[name].as_str().ok_or("no duration")?;
            Ok(Duration::from_secs_f64(text.trim_end_matches('s').parse()?))
        };
        let codes = policy["retryableStatusCodes"]
            .as_array()
            .ok_or("no codes")?;
        Ok(Self {
            max_attempts: u32::try_from(policy["maxAttempts"].as_u64().ok_or("no attempts")?)?,
            initial_backoff: seconds("initialBackoff")?,
            max_backoff: seconds("maxBackoff")?,
            multiplier: policy["backoffMultiplier"]
                .as_f64()
                .ok_or("no multiplier")?,
            codes: codes
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
        })
    }

    /// Makes a call, and makes it again as the policy says. `request` makes its request anew.
    pub(crate) async fn call<M, T>(
        &self,
        request: impl Fn() -> Request<M>,
        mut send: impl AsyncFnMut(Request<M>) -> Result<Response<T>, Status>,
    ) -> Result<T, Status> {
        let mut backoff = self.initial_backoff;
        let mut attempt = 1;
        loop {
            let mut request = request();
            if attempt > 1 {
                // The gateway takes from its own attempts what the client has tried before.
                request
                    .metadata_mut()
                    .insert("grpc-previous-rpc-attempts", (attempt - 1).into());
            }
            match send(request).await {
                Err(status) if attempt < self.max_attempts && self.is_retryable(status.code()) => {
                    tokio::time::sleep(backoff.mul_f64(fastrand::f64())).await;
                    backoff = backoff.mul_f64(self.multiplier).min(self.max_backoff);
                    attempt += 1;
                }
                answer => return answer.map(Response::into_inner),
            }
        }
    }

    fn is_retryable(&self, code: Code) -> bool {
        code == Code::Unavailable && self.codes.iter().any(|name| name == "UNAVAILABLE")
    }
}

/// What other languages call wait-for-ready: as long as no gateway has answered, the call is made again. For calls that may be.
pub(crate) async fn when_ready<T>(
    mut send: impl AsyncFnMut() -> Result<Response<T>, Status>,
) -> Result<T, Status> {
    let deadline = tokio::time::Instant::now() + Duration::from_mins(1);
    loop {
        match send().await {
            // The gateway's own statuses have details.
            Err(status)
                if status.code() == Code::Unavailable
                    && status.details().is_empty()
                    && tokio::time::Instant::now() < deadline =>
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            answer => return answer.map(Response::into_inner),
        }
    }
}

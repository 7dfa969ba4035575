//! What is told of creations.

use std::sync::Arc;

use opentelemetry::KeyValue;

use crate::telemetry::Telemetry;

/// Tells what becomes of the creations of one tenant.
#[derive(Clone, Debug)]
pub struct Told {
    telemetry: Telemetry,
    tenant: Arc<str>,
}

impl Told {
    /// Tells it there, under this name.
    pub fn new(telemetry: &Telemetry, tenant: &str) -> Self {
        Self {
            telemetry: telemetry.clone(),
            tenant: tenant.into(),
        }
    }

    /// A call has got a session, `created` or `found`, or `failed` to.
    pub(super) fn created(&self, outcome: &'static str) {
        let outcome = KeyValue::new("agb_gateway.outcome", outcome);
        let instruments = self.telemetry.instruments();
        instruments.session_created.add(1, &[outcome]);
    }

    /// A creation was not answered, and the session was looked for.
    pub(super) fn reconciled(&self, is_found: bool) {
        let outcome = if is_found { "found" } else { "not_found" };
        let outcome = KeyValue::new("agb_gateway.outcome", outcome);
        let instruments = self.telemetry.instruments();
        instruments.session_reconciles.add(1, &[outcome]);
    }

    /// A sweep has released so many sessions, of so many that were not handed over.
    pub(super) fn swept(&self, released: usize, listed: usize) {
        let tenant = KeyValue::new("agb_gateway.tenant", self.tenant.clone());
        let state = KeyValue::new("agb_gateway.state", "not_handed_over");
        let instruments = self.telemetry.instruments();
        let released = u64::try_from(released).unwrap_or(u64::MAX);
        instruments
            .session_swept
            .add(released, std::slice::from_ref(&tenant));
        let listed = u32::try_from(listed).unwrap_or(u32::MAX);
        instruments
            .session_live
            .record(listed.into(), &[tenant, state]);
    }
}

//! The tenants: for each a set of services of its own, with its own key, so that nothing of one can reach another.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use tokio_util::task::AbortOnDropHandle;
use tonic::service::Routes;

use super::StartError;
use super::routes::tenant_routes;
use crate::admin;
use crate::agb::{Client, Connections, Tools};
use crate::auth::TenantRef;
use crate::config::Config;
use crate::creation::{Clock, Creations, Keys, Sweeper, Told};
use crate::domain::Preset;
use crate::resilience::Drain;
use crate::secret::{Keyring, Reloaded, Secrets};
use crate::service::background::Background;
use crate::service::{Backend, Owned, PageTokens};
use crate::sync::{Syncs, TokenKeys};
use crate::telemetry::Telemetry;

/// For how long what was made for a caller with a key of its own is kept after the last call: longer than a call may take.
const KEPT_IDLE: Duration = Duration::from_hours(24);

/// All tenants; clones share them.
#[derive(Clone)]
pub(super) struct Tenants {
    named: Arc<HashMap<String, Tenant>>,
    /// By the fingerprints of their keys. Not swept: anybody can bring a key that AGB has never heard of, and would have AGB asked
    /// again and again.
    own: Cache<[u8; 32], (Routes, Syncs)>,
    parts: Arc<Parts>,
}

#[derive(Debug)]
struct Tenant {
    routes: Routes,
    syncs: Syncs,
    /// Ends with the tenant.
    _sweeping: Option<AbortOnDropHandle<()>>,
}

impl Tenants {
    /// Makes the services of each tenant of the configuration.
    pub(super) async fn start(
        config: Config,
        background: &Background,
        drain: &Drain,
        telemetry: &Telemetry,
    ) -> Result<Self, StartError> {
        let connections = Connections::start(config.agb.client.clone(), telemetry.clone());
        let signing_keys = config.secrets.signing_keys(telemetry).await;
        let parts = Parts {
            connections: connections.await.map_err(StartError::Client)?,
            background: background.clone(),
            drain: drain.clone(),
            telemetry: telemetry.clone(),
            signing_keys: signing_keys.map_err(StartError::Secret)?,
            presets: Arc::new(config.presets.clone()),
            config,
        };
        let looking = parts.config.secrets.looking(telemetry);
        let mut named = HashMap::new();
        for (name, key) in &parts.config.tenants {
            let account = key.watch(name, looking.clone()).await;
            let account = account.map_err(StartError::Secret)?;
            let client = Client::new(parts.connections.clone(), account.clone());
            named.insert(name.clone(), parts.tenant(name, client, account));
        }
        let own = Cache::builder()
            .max_capacity(parts.config.agb.max_own_accounts)
            .time_to_idle(KEPT_IDLE);
        Ok(Self {
            named: Arc::new(named),
            own: own.build(),
            parts: Arc::new(parts),
        })
    }

    /// The services of a tenant; `None` when there is no tenant of that name.
    pub(super) fn routes(&self, tenant: &TenantRef) -> Option<Routes> {
        match tenant {
            TenantRef::Named(name) => {
                let tenant = self.named.get(&**name)?;
                Some(tenant.routes.clone())
            }
            TenantRef::OwnKey { fingerprint, key } => {
                let (routes, _syncs) = self.own.get_with(*fingerprint, || {
                    let account = Reloaded::fixed(Secrets::one(key.clone()));
                    let client = Client::of_caller(self.parts.connections.clone(), account.clone());
                    let name = hex(fingerprint);
                    let (routes, backend) = self.parts.services(&name, client, account);
                    (routes, backend.syncs)
                });
                Some(routes)
            }
        }
    }

    /// What all of them go over.
    pub(super) fn connections(&self) -> &Arc<Connections> {
        &self.parts.connections
    }
}

impl admin::Tenants for Tenants {
    fn syncs(&self) -> Vec<(String, Syncs)> {
        let named = self.named.iter();
        let named = named.map(|(name, tenant)| (name.clone(), tenant.syncs.clone()));
        let own = self.own.iter();
        let own = own.map(|(fingerprint, (_routes, syncs))| (hex(&fingerprint), syncs));
        named.chain(own).collect()
    }
}

impl fmt::Debug for Tenants {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.named.keys();
        formatter.debug_list().entries(names).finish()
    }
}

/// A name for a key that no tenant of the configuration can have.
fn hex(fingerprint: &[u8; 32]) -> String {
    let digits = fingerprint.iter().map(|byte| format!("{byte:02x}"));
    format!("key:{}", digits.collect::<String>())
}

/// What all tenants are made of.
struct Parts {
    config: Config,
    connections: Arc<Connections>,
    background: Background,
    drain: Drain,
    telemetry: Telemetry,
    signing_keys: Option<Reloaded<Secrets>>,
    presets: Arc<BTreeMap<String, Preset>>,
}

impl Parts {
    fn tenant(&self, name: &str, client: Client, account: Reloaded<Secrets>) -> Tenant {
        let (routes, backend) = self.services(name, client, account);
        Tenant {
            routes,
            syncs: backend.syncs,
            _sweeping: self.sweep(backend.creations),
        }
    }

    fn services(
        &self,
        name: &str,
        client: Client,
        account: Reloaded<Secrets>,
    ) -> (Routes, Backend) {
        let config = &self.config;
        let keyring = Keyring::new(self.signing_keys.clone().unwrap_or(account), name);
        let creations = Creations::new(
            Arc::new(client.clone()),
            Keys::new(keyring.clone()),
            config.session.settings,
            Clock::system(),
            self.background.tasks(),
            Told::new(&self.telemetry, name),
        );
        let backend = Backend {
            creations,
            tools: Tools::new(client.clone()),
            telemetry: self.telemetry.clone(),
            background: self.background.clone(),
            syncs: Syncs::new(
                Arc::new(client.clone()),
                &config.sync.settings,
                TokenKeys::new(keyring.clone(), config.sync.token_lifetime),
                self.drain.clone(),
                self.telemetry.clone(),
            ),
            pace: config.sync.settings.pace,
            max_walk_entries: config.mapping.max_entries,
            page_tokens: PageTokens::new(keyring),
            limits: config.limits,
            presets: self.presets.clone(),
            owned: Owned::default(),
            client,
        };
        let routes = tenant_routes(&backend, config.server.max_message_bytes);
        (routes, backend)
    }

    /// Sweeps for sessions that nobody has until the drain begins; not at all where the interval is zero.
    fn sweep(&self, creations: Creations) -> Option<AbortOnDropHandle<()>> {
        let interval = self.config.session.sweep_interval;
        let drain = self.drain.clone();
        (!interval.is_zero()).then(|| {
            AbortOnDropHandle::new(tokio::spawn(async move {
                tokio::select! {
                    () = drain.begun() => {}
                    () = Sweeper::new(creations, interval).run() => {}
                }
            }))
        })
    }
}

//! The tenants: for each a set of services of its own, with its own key, so that nothing of one can reach another.

use std::sync::Arc;

use tokio_util::task::AbortOnDropHandle;
use tonic::service::Routes;

use super::StartError;
use super::routes::tenant_routes;
use crate::agb::{Client, Connections, Tools};
use crate::config::Config;
use crate::creation::{Clock, Creations, Keys, Sweeper};
use crate::resilience::Drain;
use crate::secret::{Keyring, Reloaded, Secrets};
use crate::service::background::Background;
use crate::service::{Backend, PageTokens};
use crate::sync::{Syncs, TokenKeys};

const DEFAULT: &str = "default";

/// All tenants; clones share them.
#[derive(Clone, Debug)]
pub(super) struct Tenants {
    default: Arc<Tenant>,
}

#[derive(Debug)]
struct Tenant {
    routes: Routes,
    /// Ends with the tenant.
    _sweeping: Option<AbortOnDropHandle<()>>,
}

impl Tenants {
    /// Makes the services of each tenant.
    pub(super) async fn start(
        config: &Config,
        background: &Background,
        drain: &Drain,
    ) -> Result<Self, StartError> {
        let connections = Connections::start(config.agb.client.clone())
            .await
            .map_err(StartError::Client)?;
        let parts = Parts {
            config,
            connections,
            background,
            drain,
            signing_keys: config
                .secrets
                .signing_keys()
                .await
                .map_err(StartError::Secret)?,
        };
        let account = config
            .agb
            .account
            .watch(DEFAULT, config.secrets.reload_interval);
        let account = account.await.map_err(StartError::Secret)?;
        Ok(Self {
            default: Arc::new(parts.tenant(DEFAULT, account)),
        })
    }

    /// The services of the default tenant.
    pub(super) fn routes(&self) -> Routes {
        self.default.routes.clone()
    }
}

/// What all tenants are made of.
struct Parts<'a> {
    config: &'a Config,
    connections: Arc<Connections>,
    background: &'a Background,
    drain: &'a Drain,
    signing_keys: Option<Reloaded<Secrets>>,
}

impl Parts<'_> {
    fn tenant(&self, name: &str, account: Reloaded<Secrets>) -> Tenant {
        let config = self.config;
        let signing_keys = self.signing_keys.clone();
        let keyring = Keyring::new(signing_keys.unwrap_or_else(|| account.clone()), name);
        let client = Client::new(self.connections.clone(), account);
        let creations = Creations::new(
            Arc::new(client.clone()),
            Keys::new(keyring.clone()),
            config.session.settings,
            Clock::system(),
            self.background.tasks(),
        );
        let backend = Backend {
            creations: creations.clone(),
            tools: Tools::new(client.clone()),
            background: self.background.clone(),
            syncs: Syncs::new(
                Arc::new(client.clone()),
                &config.sync.settings,
                TokenKeys::new(keyring.clone(), config.sync.token_lifetime),
                self.drain.clone(),
            ),
            pace: config.sync.settings.pace,
            max_walk_entries: config.mapping.max_entries,
            page_tokens: PageTokens::new(keyring),
            limits: config.limits,
            presets: Arc::new(config.presets.clone()),
            client,
        };
        Tenant {
            routes: tenant_routes(&backend, config.server.max_message_bytes),
            _sweeping: self.sweep(creations),
        }
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

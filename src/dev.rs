//! `dev`: the gateway and an emulated AGB in one process, for trying things out. Never in production builds.

use std::net::SocketAddr;

use agb_emulator::Emulator;
use agb_gateway::app::Gateway;
use agb_gateway::config::Config;
use agb_gateway::telemetry;
use figment::Figment;

use super::{in_lines, stop_signal};

/// The emulator takes any key; this one belongs to nobody.
const DEV_KEY: &str = "dev-key";

pub(super) async fn dev(
    listen: SocketAddr,
    emulator_listen: SocketAddr,
    admin_listen: Option<SocketAddr>,
) -> Result<(), String> {
    let stop = stop_signal()?;
    let emulator = Emulator::start(agb_emulator::Config {
        listen: emulator_listen,
        ..agb_emulator::Config::default()
    })
    .await
    .map_err(|error| error.to_string())?;
    let mut settings = Figment::new()
        .merge(("server.listen", listen.to_string()))
        .merge(("agb.endpoint", emulator.url()))
        .merge(("log.format", "text"));
    if let Some(address) = admin_listen {
        settings = settings.merge(("admin.listen", address.to_string()));
    }
    let config = Config::read(&settings, Some(DEV_KEY.to_owned()))
        .map_err(|problems| in_lines(&problems))?;
    // The last lines are written when this is dropped.
    let logs = telemetry::start_logs(&config.log)?;
    if let Err(reason) = emulator.check_isolation().await {
        println!("Commands cannot be run: this machine cannot isolate them: {reason}");
    }
    let gateway = Gateway::start_with(config, Some(logs.filter.clone()))
        .await
        .map_err(|error| error.to_string())?;
    greet(gateway.address(), &emulator.url());
    let result = gateway
        .run_until(stop)
        .await
        .map_err(|error| error.to_string());
    emulator.stop().await;
    result
}

fn greet(gateway: SocketAddr, emulator: &str) {
    println!(
        "\
agb-gateway for development: plaintext, no authentication, an emulated AGB whose data ends with it. Not for production.

  gateway   {gateway}
  emulator  {emulator}

Try it:
  grpcurl -plaintext {gateway} list
  grpcurl -plaintext -d '{{\"context\": {{\"name\": \"demo\"}}}}' {gateway} agb.gateway.v1.ContextService/CreateContext
  grpcurl -plaintext -d '{{\"image_id\": \"agb-code-space-1\"}}' {gateway} agb.gateway.v1.SessionService/CreateSession
  cargo run --example cross_environment -- --target http://{gateway}
"
    );
}

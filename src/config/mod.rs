//! The configuration: nested as the subsystems are, read from a TOML file and the environment, validated whole at start.
//!
//! Every problem is told at once, a line each. Nothing else in the gateway reads the environment. Sources, later ones win:
//! defaults, the file, `AGB_ENDPOINT`, and `AGB_GATEWAY_<SECTION>__<SETTING>` (for example `AGB_GATEWAY_SERVER__LISTEN`).

mod admin;
mod agb;
mod auth;
mod limits;
mod log;
mod mapping;
mod presets;
mod reader;
mod secrets;
mod server;
mod session;
mod settings;
mod sync;
mod telemetry;
mod tenants;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format as _, Toml};

pub use admin::AdminConfig;
pub use agb::AgbConfig;
pub use mapping::MappingConfig;
pub use reader::{Problem, Problems};
pub use secrets::SecretsConfig;
pub use server::ServerConfig;
pub use session::SessionConfig;
pub use settings::Settings;
pub use sync::SyncConfig;

use crate::auth::AuthConfig;
use crate::domain::{Limits, Preset};
use crate::secret::AccountKey;
use crate::telemetry::{LogSettings, TelemetrySettings};
use reader::Reader;

const SHIPPED_PRESETS: &str = include_str!("../../config/sync-policies.toml");
const ENV_PREFIX: &str = "AGB_GATEWAY_";
const API_KEY_VARIABLE: &str = "AGB_API_KEY";
const ENDPOINT_VARIABLE: &str = "AGB_ENDPOINT";
/// `AGB_GATEWAY_REVISION` is for builds, and may be left over from one.
const REVISION: &str = "revision";

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Config {
    /// The listening side.
    pub server: ServerConfig,
    /// Who may call, and what.
    pub auth: AuthConfig,
    /// The side towards AGB.
    pub agb: AgbConfig,
    /// How syncs are followed.
    pub sync: SyncConfig,
    /// How sessions are created, and found when nobody has them.
    pub session: SessionConfig,
    /// What the gateway signs with, and how soon changed files are seen.
    pub secrets: SecretsConfig,
    /// How mappings are inspected and verified.
    pub mapping: MappingConfig,
    /// How much callers may ask for.
    pub limits: Limits,
    /// Policies with names. Those that ship with the gateway are there unless they are changed.
    pub presets: BTreeMap<String, Preset>,
    /// The AGB account of each tenant, by its name.
    pub tenants: BTreeMap<String, AccountKey>,
    /// What is logged, and how.
    pub log: LogSettings,
    /// What else is told, and where to.
    pub telemetry: TelemetrySettings,
    /// Where operators ask.
    pub admin: AdminConfig,
    /// What each setting is, to be shown.
    pub settings: Settings,
}

impl Config {
    /// Reads the file, if one is named, and the environment.
    pub fn load(file: Option<&Path>) -> Result<Self, Problems> {
        let mut figment = Figment::new();
        if let Some(file) = file {
            if !file.is_file() {
                return Err(Problem::new(
                    "--config",
                    format!("there is no file {}", file.display()),
                )
                .into());
            }
            figment = figment.merge(Toml::file_exact(file));
        }
        let environment = Env::prefixed(ENV_PREFIX)
            .filter(|name| !is_service_link(name.as_str()) && name != REVISION)
            .split("__");
        let figment = figment
            .merge(
                Env::raw()
                    .only(&[ENDPOINT_VARIABLE])
                    .map(|_| "agb.endpoint".into()),
            )
            .merge(environment);
        Self::read(&figment, std::env::var(API_KEY_VARIABLE).ok())
    }

    /// Reads a configuration that was put together elsewhere.
    pub fn read(figment: &Figment, api_key: Option<String>) -> Result<Self, Problems> {
        let figment = figment.clone().join(Toml::string(SHIPPED_PRESETS));
        let mut reader = Reader::new(&figment);
        let server = ServerConfig::read(&mut reader);
        let secrets = SecretsConfig::read(&mut reader);
        let reload_interval = secrets.as_ref().map(|secrets| secrets.reload_interval);
        let agb = AgbConfig::read(&mut reader, reload_interval);
        let account = agb::read_key(&mut reader, api_key);
        let sync = SyncConfig::read(&mut reader);
        let pace = sync.as_ref().map(|sync| sync.settings.pace);
        let session = SessionConfig::read(&mut reader, pace);
        let mapping = MappingConfig::read(&mut reader);
        let limits = limits::read(&mut reader);
        let presets = presets::read(&mut reader);
        let auth = auth::read(
            &mut reader,
            server.as_ref(),
            limits.as_ref(),
            reload_interval,
        );
        let tenants = tenants::read(&mut reader, account.as_ref(), auth.as_ref());
        let log = log::read(&mut reader);
        let telemetry = telemetry::read(&mut reader);
        let admin = AdminConfig::read(&mut reader);
        let settings = reader.finish()?;
        // Whatever could not be read has left a problem behind.
        match (
            server, auth, agb, sync, session, secrets, mapping, limits, log, telemetry, admin,
        ) {
            (
                Some(server),
                Some(auth),
                Some(agb),
                Some(sync),
                Some(session),
                Some(secrets),
                Some(mapping),
                Some(limits),
                Some(log),
                Some(telemetry),
                Some(admin),
            ) => Ok(Self {
                server,
                auth,
                agb,
                sync,
                session,
                secrets,
                mapping,
                limits,
                presets,
                tenants,
                log,
                telemetry,
                admin,
                settings,
            }),
            _ => Err(Problem::new("configuration", "could not be read").into()),
        }
    }
}

/// The contents of files. The error names the one that could not be read.
fn read_all(paths: &[PathBuf]) -> Result<Vec<Vec<u8>>, String> {
    let read = |path: &PathBuf| {
        let content = std::fs::read(path);
        content.map_err(|error| format!("could not read {}: {error}", path.display()))
    };
    paths.iter().map(read).collect()
}

/// Whether Kubernetes has put this variable there: it does so for a Service that is named `agb-gateway`.
fn is_service_link(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "port"
        || ["port_", "service_host", "service_port"]
            .iter()
            .any(|link| name.starts_with(link))
}

#[cfg(test)]
#[allow(clippy::result_large_err)] // figment's Jail fixes the error type.
mod tests {
    use figment::Jail;

    use super::*;

    fn problems(file: &str, variables: &[(&str, &str)]) -> Vec<String> {
        let mut lines = Vec::new();
        Jail::expect_with(|jail| {
            jail.clear_env();
            jail.create_file("gateway.toml", file)?;
            for (name, value) in variables {
                jail.set_env(name, value);
            }
            if let Err(problems) = Config::load(Some(Path::new("gateway.toml"))) {
                lines = problems.iter().map(ToString::to_string).collect();
            }
            Ok(())
        });
        lines
    }

    #[test]
    fn the_key_is_all_that_has_to_be_set() {
        assert_eq!(problems("", &[("AGB_API_KEY", "k")]), Vec::<String>::new());
        let lines = problems("", &[]);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].contains("AGB_API_KEY"), "{lines:?}");
    }

    #[test]
    fn every_problem_is_told_with_its_setting() {
        let lines = problems(
            r#"
            [server]
            listen = "nowhere"
            max_deadline = "0s"
            listne = "127.0.0.1:1"
            [agb]
            endpoint = "ftp://agb"
            max_response_bytes = -1
            [sync]
            pace_share = 2.0
            [telemetry]
            x = 1
            "#,
            &[("AGB_GATEWAY_LOG__FORMAT", "xml")],
        );
        for setting in [
            "server.listen:",
            "server.max_deadline:",
            "server.listne:",
            "agb.endpoint:",
            "agb.max_response_bytes:",
            "agb.api_key_file:",
            "sync:",
            "telemetry.x:",
            "log.format:",
        ] {
            assert_eq!(
                lines
                    .iter()
                    .filter(|line| line.starts_with(setting))
                    .count(),
                1,
                "{setting} in {lines:#?}"
            );
        }
        assert_eq!(lines.len(), 9, "{lines:#?}");
    }

    #[test]
    fn what_is_no_toml_is_told_by_its_place_and_without_the_line() {
        let file = "[agb]\nproxy = \"http://user:hunter2@proxy\n";
        let lines = problems(file, &[("AGB_API_KEY", "k")]);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("line 2, column "), "{lines:?}");
        assert!(lines[0].contains("gateway.toml"), "{lines:?}");
        assert!(!lines[0].contains("hunter2"), "{lines:?}");
    }

    #[test]
    fn what_a_caller_gets_unasked_is_not_above_what_he_may_ask_for() {
        let file = "[server]\nmax_deadline = \"1m\"\ndefault_deadline = \"61s\"\n\
                    [limits]\nmax_page_size = 9\ndefault_file_page_size = 501";
        let lines = problems(file, &[("AGB_API_KEY", "k")]);
        assert_eq!(
            lines,
            [
                "server.default_deadline: must not be above server.max_deadline",
                "limits.default_page_size: must not be above limits.max_page_size, 9",
                "limits.default_file_page_size: must not be above limits.max_file_page_size, 500",
            ]
        );
        let file = "[server]\nmax_deadline = \"5m\"\n[limits]\nmax_page_size = 10";
        assert_eq!(
            problems(file, &[("AGB_API_KEY", "k")]),
            Vec::<String>::new()
        );
    }

    #[test]
    fn the_service_links_of_kubernetes_are_no_settings() {
        let mut variables = vec![
            ("AGB_API_KEY", "k"),
            ("AGB_GATEWAY_PORT", "tcp://10.0.0.1:50051"),
            ("AGB_GATEWAY_PORT_50051_TCP_ADDR", "10.0.0.1"),
            ("AGB_GATEWAY_SERVICE_HOST", "10.0.0.1"),
            ("AGB_GATEWAY_SERVICE_PORT_GRPC", "50051"),
        ];
        assert_eq!(problems("", &variables), Vec::<String>::new());
        variables.push(("AGB_GATEWAY_LISTEN", "127.0.0.1:1"));
        assert_eq!(problems("", &variables).len(), 1);
    }

    #[test]
    fn origins_are_as_browsers_write_them() {
        let told = |origin: &str| {
            let file = format!("[server]\ngrpc_web_origins = [{origin:?}]");
            problems(&file, &[("AGB_API_KEY", "k")]).len()
        };
        for origin in [
            "",
            "*",
            "https://*.example",
            "https://tools.example/",
            "https://Tools.example",
            "https://user@tools.example",
            "https://tools.example:443",
            "tools.example",
            "ftp://tools.example",
        ] {
            assert_eq!(told(origin), 1, "{origin}");
        }
        assert_eq!(told("https://tools.example"), 0);
        assert_eq!(told("http://127.0.0.1:8080"), 0);
    }

    #[test]
    fn tokens_of_sessions_go_to_domains_that_have_names() {
        let told = |domain: &str| {
            let file = format!("[agb]\nsession_link_domains = [{domain:?}]");
            problems(&file, &[("AGB_API_KEY", "k")]).len()
        };
        for domain in [
            "",
            ".",
            "agb.cloud.",
            ".agb.cloud",
            "*.agb.cloud",
            "AGB.cloud",
        ] {
            assert_eq!(told(domain), 1, "{domain}");
        }
        assert_eq!(told("link.agb-2.cloud"), 0);
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        Jail::expect_with(|jail| {
            jail.clear_env();
            jail.create_file(
                "gateway.toml",
                "[server]\nlisten = \"127.0.0.1:1\"\n[agb]\nendpoint = \"a\"",
            )?;
            jail.set_env("AGB_API_KEY", "0123");
            jail.set_env("AGB_ENDPOINT", "http://127.0.0.1:7070");
            jail.set_env("AGB_GATEWAY_SERVER__LISTEN", "127.0.0.1:2");
            let config = Config::load(Some(Path::new("gateway.toml"))).unwrap();
            assert_eq!(config.server.listen.port(), 2);
            assert_eq!(
                config.agb.client.endpoint.to_string(),
                "http://127.0.0.1:7070/"
            );
            assert!(!format!("{config:?}").contains("0123"));
            Ok(())
        });
    }

    #[test]
    fn a_key_comes_from_one_place() {
        Jail::expect_with(|jail| {
            jail.clear_env();
            jail.create_file("key", "from-file\n")?;
            jail.create_file("gateway.toml", "[agb]\napi_key_file = \"key\"")?;
            let file = Some(Path::new("gateway.toml"));
            assert!(Config::load(file).is_ok());
            jail.set_env("AGB_API_KEY", "from-environment");
            assert!(Config::load(file).is_err());
            Ok(())
        });
        for (key, rule) in [("", "empty"), ("a\nb", "white space")] {
            let lines = problems("", &[("AGB_API_KEY", key)]);
            assert!(lines[0].contains(rule), "{lines:?}");
        }
    }
}

//! Every example of a configuration that the repository ships is one that the gateway takes.

#![allow(clippy::unwrap_used)] // A test that unwraps in vain has failed, which is right.

use std::collections::BTreeSet;
use std::fs;

use agb_gateway::config::Config;
use agb_gateway::proto::FILE_DESCRIPTOR_SET;
use figment::Figment;
use figment::providers::{Format as _, Toml};
use prost::Message as _;
use prost_types::FileDescriptorSet;

fn read(text: &str) -> Config {
    let settings = Figment::new().merge(Toml::string(text));
    Config::read(&settings, Some("key".to_owned())).unwrap()
}

#[test]
fn every_shipped_example_is_valid() {
    let mut count = 0;
    for entry in fs::read_dir("config").unwrap() {
        read(&fs::read_to_string(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 0);
}

#[test]
fn the_reference_configuration_tells_the_defaults() {
    let reference = read(&fs::read_to_string("config/gateway.toml").unwrap());
    assert_eq!(format!("{reference:?}"), format!("{:?}", read("")));
}

/// The dotted names of the settings that a configuration has, or shows in comments.
fn names(text: &str) -> BTreeSet<String> {
    let mut section = "";
    let mut names = BTreeSet::new();
    for line in text.lines() {
        // What is optional in an entry that is itself shown in comments stands in a comment of the comment.
        let line = line.strip_prefix("# ").unwrap_or(line);
        let line = line.strip_prefix("# ").unwrap_or(line);
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_matches(['[', ']']);
        } else if let Some((name, _)) = line.split_once(" = ")
            && name
                .chars()
                .all(|char| char.is_ascii_lowercase() || char == '_')
        {
            names.insert(format!("{section}.{name}"));
        }
    }
    names
}

#[test]
fn what_is_shown_of_the_configuration_has_every_setting() {
    let reference = fs::read_to_string("config/gateway.toml").unwrap();
    let named = names(&reference);
    assert!(named.len() > 100, "{}", named.len());
    assert!(named.contains("agb.proxy") && named.contains("auth.jwt.leeway"));
    let key = tempfile::NamedTempFile::new().unwrap();
    fs::write(key.path(), "key-of-search").unwrap();
    let config = read(&format!(
        "[tenants.search]\napi_key_file = {:?}\n\
         [auth]\nmethods = [\"jwt\"]\n\
         [[auth.jwt]]\nname = \"k8s\"\nissuer = \"i\"\naudiences = [\"a\"]\njwks_file = \"/keys\"\n\
         [[auth.rules]]\nprincipals = [\"*\"]\nroles = [\"read\"]",
        key.path()
    ));
    let mut shown = BTreeSet::new();
    for (name, value) in config.settings.iter() {
        shown.insert(name.to_owned());
        for entry in value.as_array().into_iter().flatten() {
            let fields = entry.as_object().into_iter().flat_map(|entry| entry.keys());
            shown.extend(fields.map(|field| format!("{name}.{field}")));
        }
    }
    let missing: Vec<_> = named.difference(&shown).collect();
    assert_eq!(missing, Vec::<&String>::new());
    // And nothing that the reference does not tell of, beside lists and names that are not fixed.
    let free = |name: &&String| {
        let lists = ["auth.jwt", "auth.rules", "telemetry.resource_attributes"];
        name.starts_with("sync_policies.") || lists.contains(&name.as_str())
    };
    let untold = shown.difference(&named).filter(|name| !free(name));
    assert_eq!(untold.collect::<Vec<_>>(), ["AGB_API_KEY"]);
}

#[test]
fn what_is_shown_of_the_configuration_is_what_counts() {
    let shown = |text: &str, name: &str| {
        let settings = read(text).settings;
        let found = settings.iter().find(|(shown, _)| *shown == name);
        found.unwrap().1.to_string()
    };
    for (name, default) in [
        ("server.max_deadline", "\"15m\""),
        ("sync.pace_share", "0.08"),
        ("auth.methods", "[\"none\"]"),
        ("agb.proxy", "null"),
        ("agb.session_link_domains", "[\"agb.cloud\"]"),
        ("server.tls_client_certificates", "\"required\""),
        ("limits.max_page_size", "100"),
        ("admin.listen", "\"\""),
        ("telemetry.traces.keep_errors", "false"),
    ] {
        assert_eq!(shown("", name), default, "{name}");
    }
    let text = "[sync]\npace_share = 0.5\n[limits]\nmax_page_size = 99\n[log]\nfilter = \"warn\"\n\
                [sync_policies.development]\ndescription = \"d\"\nupload_policy = { auto_upload = false }";
    assert_eq!(shown(text, "sync.pace_share"), "0.5");
    assert_eq!(shown(text, "limits.max_page_size"), "99");
    assert_eq!(shown(text, "log.filter"), "\"warn\"");
    let policy = shown(text, "sync_policies.development.upload_policy");
    assert!(policy.contains("\"auto_upload\":false"), "{policy}");
    assert!(policy.contains("\"upload_mode\":\"File\""), "{policy}");
}

#[test]
fn the_admin_service_listens_on_loopback_unless_more_is_allowed_by_name() {
    let problems = |admin: &str| {
        let settings = Figment::new().merge(Toml::string(&format!("[admin]\n{admin}")));
        match Config::read(&settings, Some("key".to_owned())) {
            Ok(_config) => Vec::new(),
            Err(problems) => problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }
    };
    for listen in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1"] {
        let told = problems(&format!("listen = \"{listen}\""));
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("admin.listen: "), "{told:?}");
        assert!(told[0].contains("admin.allow_remote"), "{told:?}");
        let forced = format!("listen = \"{listen}\"\nallow_remote = true");
        assert_eq!(problems(&forced), Vec::<String>::new());
    }
    for listen in ["127.0.0.1:1", "[::1]:1", ""] {
        let told = problems(&format!("listen = \"{listen}\""));
        assert_eq!(told, Vec::<String>::new());
    }
}

#[test]
fn every_example_of_the_documents_is_valid() {
    let text = ["docs/authentication.md", "docs/grpc-web.md"]
        .map(|document| fs::read_to_string(document).unwrap())
        .concat();
    let examples: Vec<_> = text
        .split("```toml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(examples.len() >= 7, "{}", examples.len());
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    for (name, content) in [
        ("tls/tls.crt", certificate.as_str()),
        ("tls/tls.key", key.serialize_pem().as_str()),
        ("client-ca/ca.crt", certificate.as_str()),
        ("search/agb-api-key", "key-of-search"),
    ] {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }
    let secrets = format!("{}/", folder.path().display());
    for example in examples {
        read(&example.replace("/run/secrets/", &secrets));
    }
}

#[test]
fn what_the_reference_configuration_shows_as_comments_is_valid_too() {
    let text = fs::read_to_string("config/gateway.toml").unwrap();
    let section = text.split("\n[auth]\n").nth(1).unwrap();
    let section = section.split("\n[agb]\n").next().unwrap();
    let shown = section.lines().map(|line| {
        let rest = line.strip_prefix("# ").unwrap_or_default();
        let is_setting = |rest: &str| rest.split(' ').nth(1) == Some("=");
        if rest.starts_with("[[") || is_setting(rest) {
            rest
        } else {
            line
        }
    });
    let shown = shown.collect::<Vec<_>>().join("\n");
    let all = shown.replace("[\"none\"]", "[\"none\", \"token\", \"jwt\"]");
    let auth = read(&format!("[auth]\n{all}")).auth;
    assert_eq!((auth.issuers.len(), auth.rules.len()), (1, 1));
    let defaults = read(&format!(
        "[auth]\nmethods = [\"jwt\"]\n[[auth.jwt]]\nname = \"k8s\"\nissuer = {:?}\n\
         audiences = [\"agb-gateway\"]\njwks_url = \"https://kubernetes.default.svc/openid/v1/jwks\"\n\
         jwks_ca_file = \"/var/run/secrets/kubernetes.io/serviceaccount/ca.crt\"\n\
         jwks_bearer_token_file = \"/var/run/secrets/kubernetes.io/serviceaccount/token\"",
        auth.issuers[0].issuer
    ));
    let defaults = format!("{:?}", defaults.auth.issuers);
    assert_eq!(format!("{:?}", auth.issuers), defaults);
}

#[test]
fn the_service_config_for_clients_names_every_service_and_repeats_unavailable_alone() {
    let text = fs::read_to_string("docs/service-config.json").unwrap();
    let config: serde_json::Value = serde_json::from_str(&text).unwrap();
    let method = &config["methodConfig"][0];
    let mut named: Vec<_> = method["name"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name["service"].as_str().unwrap().to_owned())
        .collect();
    named.sort();
    let files = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap().file;
    let mut services: Vec<_> = files
        .iter()
        .filter(|file| file.package() == "agb.gateway.v1")
        .flat_map(|file| &file.service)
        .map(|service| format!("agb.gateway.v1.{}", service.name()))
        .collect();
    services.sort();
    assert_eq!(named, services);
    let codes = &method["retryPolicy"]["retryableStatusCodes"];
    assert_eq!(*codes, serde_json::json!(["UNAVAILABLE"]));
}

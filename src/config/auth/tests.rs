//! What section `auth` may say, and what it may not.

use figment::Figment;
use figment::providers::{Format as _, Toml};

use crate::auth::{KeySource, Method, Right};
use crate::config::Config;

fn read(text: &str) -> Result<Config, Vec<String>> {
    let settings = Figment::new().merge(Toml::string(text));
    Config::read(&settings, Some("key".to_owned()))
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn problems(text: &str) -> Vec<String> {
    read(text).err().unwrap_or_default()
}

#[test]
fn nobody_is_let_in_unknown_beyond_loopback_unless_that_is_forced_by_name() {
    let open = |auth: &str| problems(&format!("[server]\nlisten = \"0.0.0.0:1\"\n[auth]\n{auth}"));
    for auth in ["", "methods = [\"agb_key\", \"none\"]"] {
        let lines = open(auth);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("auth.methods: "), "{lines:?}");
        assert!(
            lines[0].contains("auth.allow_none_beyond_loopback"),
            "{lines:?}"
        );
    }
    for auth in [
        "allow_none_beyond_loopback = true",
        "methods = [\"agb_key\"]",
    ] {
        assert_eq!(open(auth), Vec::<String>::new());
    }
    for listen in ["127.0.0.1:1", "[::1]:1"] {
        assert!(read(&format!("[server]\nlisten = \"{listen}\"")).is_ok());
    }
}

#[test]
fn a_whole_section_is_read() {
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), "key-of-search").unwrap();
    let tenant = format!("[tenants.search]\napi_key_file = {:?}\n", key.path());
    let config = read(
        &(tenant
            + r#"
        [auth]
        methods = ["token", "jwt", "agb_key"]
        token_file = "/tokens"
        [[auth.jwt]]
        name = "k8s"
        issuer = "https://kubernetes.default.svc"
        audiences = ["agb-gateway"]
        jwks_url = "https://kubernetes.default.svc/openid/v1/jwks"
        [[auth.jwt]]
        name = "dev"
        issuer = "dev"
        audiences = ["a"]
        jwks_file = "/jwks"
        algorithms = ["PS256"]
        leeway = "0s"
        principal_claim = "email"
        [[auth.rules]]
        principals = ["token:ci", "jwt:k8s:*"]
        tenant = "search"
        roles = ["read", "sessions"]
        images = ["agb-code-*"]
        labels = { team = "search" }
        calls_per_second = 2.5
        [[auth.rules]]
        principals = ["*"]
        roles = ["read"]
        "#),
    );
    let config = config.unwrap();
    let tenants: Vec<_> = config.tenants.keys().collect();
    assert_eq!(tenants, ["default", "search"]);
    let auth = config.auth;
    assert_eq!(auth.methods.len(), 3);
    assert!(auth.open_reflection && !auth.methods.contains(&Method::None));
    assert!(matches!(&auth.issuers[0].keys, KeySource::Url(_)));
    assert_eq!(
        format!("{:?}", auth.issuers[0].algorithms),
        "[RS256, ES256, EdDSA]"
    );
    assert_eq!(auth.issuers[1].principal_claim, "email");
    assert!(auth.rules[0].rights.cover(Right::Sessions));
    assert!(!auth.rules[0].rights.cover(Right::Contexts));
    assert_eq!(auth.rules[0].quotas.rate, Some((2.5, 3)));
    assert_eq!(auth.rules[1].tenant, "default");
}

#[test]
fn every_problem_of_every_entry_is_told() {
    let lines = problems(
        r#"
        [auth]
        methods = ["token", "tls", "token"]
        [[auth.jwt]]
        name = "a:b"
        issuer = ""
        audiences = []
        algorithms = ["HS256", "none"]
        jwks_url = "http://issuer.corp/jwks"
        leeway = "1h"
        [[auth.jwt]]
        name = "a:b"
        issuer = "x"
        audiences = ["x"]
        [[auth.rules]]
        principals = ["ci", ""]
        roles = ["root"]
        images = []
        tenant = ""
        labels = { "agb-gateway/x" = "y" }
        burst = 0
        max_concurrent_calls = 0
        [[auth.rules]]
        principals = []
        roles = []
        calls_per_second = 0
        "#,
    );
    for (setting, count) in [
        ("auth.methods:", 2),
        ("auth.token_file:", 1),
        ("auth.jwt:", 1),
        ("auth.jwt[0].name:", 1),
        ("auth.jwt[0].issuer:", 1),
        ("auth.jwt[0].audiences:", 1),
        ("auth.jwt[0].algorithms:", 2),
        ("auth.jwt[0].jwks_url:", 1),
        ("auth.jwt[0].leeway:", 1),
        ("auth.jwt[1].name:", 1),
        ("auth.jwt[1].jwks_url:", 1),
        ("auth.rules[0].principals:", 3),
        ("auth.rules[0].roles:", 1),
        ("auth.rules[0].images:", 1),
        ("auth.rules[0].tenant:", 1),
        ("auth.rules[0].labels[\"agb-gateway/x\"]:", 1),
        ("auth.rules[0].burst:", 2),
        ("auth.rules[0].max_concurrent_calls:", 1),
        ("auth.rules[1].principals:", 1),
        ("auth.rules[1].roles:", 1),
        ("auth.rules[1].calls_per_second:", 1),
    ] {
        let told = lines.iter().filter(|line| line.starts_with(setting));
        assert_eq!(told.count(), count, "{setting} in {lines:#?}");
    }
    assert_eq!(lines.len(), 26, "{lines:#?}");
}

#[test]
fn tenants_have_keys_of_their_own_and_those_that_are_used_are_there() {
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), "key").unwrap();
    let own = format!("[tenants.own]\napi_key_file = {:?}", key.path());
    let rule = "[[auth.rules]]\nprincipals = [\"*\"]\nroles = [\"read\"]\ntenant";
    for (text, expected) in [
        (own.clone(), "tenants.own: has the key of tenant default"),
        (
            format!("{rule} = \"x\""),
            "auth.rules[0].tenant: there is no section tenants.x",
        ),
        (
            "[tenants.default]\napi_key_file = \"x\"".to_owned(),
            "tenants.default: ",
        ),
        (
            "[tenants.x]\napi_key_file = \"missing\"".to_owned(),
            "tenants.x: could not read",
        ),
        (
            "[auth]\nmethods = [\"mtls\"]".to_owned(),
            "auth.methods: \"mtls\" needs server.tls_client_ca_file",
        ),
    ] {
        let lines = problems(&text);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with(expected), "{lines:?}");
    }
    // Without a key of the gateway's own, where nobody needs one.
    let without_key = |text: &str| {
        let settings = Figment::new().merge(Toml::string(text));
        Config::read(&settings, None).map(|config| config.tenants.len())
    };
    assert_eq!(without_key("[auth]\nmethods = [\"agb_key\"]"), Ok(0));
    assert_eq!(without_key(&format!("{own}\n{rule} = \"own\"")), Ok(1));
    assert!(without_key(&own).is_err());
}

#[test]
fn an_entry_that_cannot_be_read_is_told_by_its_place() {
    let rule = "[[auth.rules]]\nprincipals = [\"*\"]\nroles = [\"read\"]\n";
    for (text, place, word) in [
        (format!("{rule}role = 1"), "auth.rules[0]", "role"),
        (
            format!("{rule}{rule}burst = \"x\""),
            "auth.rules[1].burst: ",
            "u32",
        ),
        (
            "[auth]\nmethods = [\"jwt\"]\n[[auth.jwt]]\nname = \"a\"".to_owned(),
            "auth.jwt[0]: ",
            "issuer",
        ),
    ] {
        let lines = problems(&text);
        assert_eq!(lines.len(), 1, "{lines:?}");
        let told = &lines[0];
        assert!(told.starts_with(place) && told.contains(word), "{told}");
    }
}

#[test]
fn keys_come_encrypted_or_from_this_machine() {
    for (url, is_good) in [
        ("https://issuer.corp/jwks", true),
        ("http://127.0.0.1:80/jwks", true),
        ("http://[::1]:80/jwks", true),
        ("http://localhost/jwks", true),
        ("http://issuer.corp/jwks", false),
        ("http://127.0.0.1.evil.corp/jwks", false),
        ("http://localhost@evil.corp/jwks", false),
        ("https://user:password@issuer.corp/jwks", false),
        ("ftp://issuer.corp/jwks", false),
        ("/jwks", false),
        ("", false),
    ] {
        assert_eq!(super::check_url(url).is_ok(), is_good, "{url}");
    }
}

//! The configuration: whatever the file says, it is read or refused with problems, and no problem repeats a key or a password.
#![no_main]

use agb_gateway::config::{Config, Problems};
use figment::Figment;
use figment::providers::{Format as _, Toml};
use libfuzzer_sys::fuzz_target;

const SECRET: &str = "tr0ub4dor";

fn read(file: &str, key: &str) -> Result<Config, Problems> {
    Config::read(&Figment::from(Toml::string(file)), Some(key.to_owned()))
}

fuzz_target!(|input: (&str, &str, &str)| {
    let (before, within, after) = input;
    // The secret stands only where a secret may stand: in the key, and in the URLs of section `agb`.
    let file = format!(
        "{before}\n[agb]\nendpoint = \"http://u:{SECRET}@{within}\"\nproxy = \"http://u:{SECRET}@{within}\"\n{after}"
    );
    if let Err(problems) = read(&file, &format!("{SECRET}{within}")) {
        let problems = problems.to_string();
        assert!(!problems.contains(SECRET), "{problems}");
    }
    // And alone, where it is more often right.
    let config = read(before, SECRET);
    let words = match &config {
        Ok(config) => format!("{config:?}"),
        Err(problems) => problems.to_string(),
    };
    assert!(
        !words.contains(SECRET) || before.contains(SECRET),
        "{words}"
    );
});

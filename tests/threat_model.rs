//! Holds docs/threat-model.md to the code: what it names as proof exists, and each of its defences names one.

#![allow(clippy::unwrap_used)] // A test that unwraps in vain has failed, which is right.

use std::fs;
use std::path::Path;

const MODEL: &str = "docs/threat-model.md";

/// The words of the page that stand between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Why what a proof names is not there.
fn missing(proof: &str) -> Option<String> {
    let unless = |there: bool| (!there).then(|| proof.to_owned());
    if let Some(target) = proof.strip_prefix("fuzz:") {
        return unless(Path::new(&format!("fuzz/fuzz_targets/{target}.rs")).is_file());
    }
    let Some((file, test)) = proof.split_once("::") else {
        let there = match proof {
            "h2spec" => Path::new("tests/h2spec/run"),
            other => Path::new(other),
        };
        return unless(there.is_file());
    };
    let code = fs::read_to_string(file).unwrap_or_default();
    unless(has_test(&code, test))
}

/// Whether there is a test of this name, and not just a function. In `proptest!` they look the same.
fn has_test(code: &str, test: &str) -> bool {
    let lines: Vec<_> = code.lines().map(str::trim).collect();
    let place = lines.iter().position(|line| {
        let line = line.strip_prefix("async ").unwrap_or(line);
        let name = line
            .strip_prefix("fn ")
            .and_then(|line| line.split('(').next());
        name == Some(test)
    });
    place.is_some_and(|place| {
        let before = lines[..place].iter().rev();
        let mut attributes = before.take_while(|line| line.starts_with("#["));
        attributes.any(|line| *line == "#[test]" || line.starts_with("#[tokio::test"))
    })
}

/// The last cells of the rows of the tables under "Defended".
fn proofs(model: &str) -> Vec<&str> {
    let (_, defended) = model.split_once("\n## Defended\n").unwrap();
    let (defended, _) = defended.split_once("\n## Not defended\n").unwrap();
    let rows = defended.lines().filter(|line| line.starts_with("| "));
    rows.filter(|row| !row.starts_with("| threat |") && !row.starts_with("| --- "))
        .map(|row| row.trim_end_matches(" |").rsplit(" | ").next().unwrap())
        .collect()
}

#[test]
fn every_defence_names_a_proof_that_exists() {
    let model = fs::read_to_string(MODEL).unwrap();
    let proofs = proofs(&model);
    assert!(proofs.len() > 25, "only {} rows found", proofs.len());
    let mut wrong = Vec::new();
    for proof in proofs {
        if quoted(proof).next().is_none() {
            wrong.push(format!("a row without proof: {proof}"));
        }
        wrong.extend(quoted(proof).filter_map(missing));
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn only_tests_are_proof() {
    let code = "
        #[tokio::test(start_paused = true)]
        async fn slow() {}
        #[test]
        #[should_panic]
        fn quick() {}
        fn helper() {}
        // fn gone() {}
    ";
    assert!(has_test(code, "slow") && has_test(code, "quick"));
    for name in ["helper", "gone", "slo", "unknown"] {
        assert!(!has_test(code, name), "{name}");
    }
    assert!(missing("tests/threat_model.rs::only_tests_are_proof").is_none());
    for proof in [
        "tests/threat_model.rs::gone",
        "gone.rs::gone",
        "fuzz:gone",
        "gone.toml",
    ] {
        assert_eq!(missing(proof).as_deref(), Some(proof));
    }
}

#[test]
fn unsafe_code_stays_forbidden() {
    let manifest = fs::read_to_string("Cargo.toml").unwrap();
    assert!(manifest.contains("\n[lints.rust]\nunsafe_code = \"forbid\"\n"));
}

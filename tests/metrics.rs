//! Holds `docs/metrics.md` to the code: every instrument stands there once, as it is.

#![allow(clippy::unwrap_used)] // A test that unwraps in vain has failed, which is right.

use std::collections::BTreeSet;

use agb_gateway::telemetry::{Description, INSTRUMENTS};

/// The row of an instrument in the table.
fn row(instrument: &Description) -> String {
    let attributes = instrument.attributes.iter().map(|name| format!("`{name}`"));
    let kind = match instrument.kind {
        "observed" => "gauge",
        "observed_counter" => "counter",
        kind => kind,
    };
    format!(
        "| `{}` | {} | {} | {} | {} |",
        instrument.name,
        kind.replace('_', " "),
        instrument.unit,
        instrument.text.trim(),
        attributes.collect::<Vec<_>>().join(", "),
    )
}

#[test]
fn the_document_tells_every_instrument_as_it_is_and_no_other() {
    let document = std::fs::read_to_string("docs/metrics.md").unwrap();
    let begins = |line: &&str| {
        let named = ["| `agb_gateway.", "| `rpc.", "| `http."];
        // Values of attributes stand in a table of their own, with two columns.
        named.iter().any(|name| line.starts_with(name)) && line.matches(" | ").count() == 4
    };
    let told: BTreeSet<_> = document.lines().filter(begins).map(str::to_owned).collect();
    let expected: BTreeSet<_> = INSTRUMENTS.iter().map(row).collect();
    let missing: Vec<_> = expected.difference(&told).collect();
    let wrong: Vec<_> = told.difference(&expected).collect();
    assert!(
        missing.is_empty() && wrong.is_empty(),
        "missing: {missing:#?}\nwrong: {wrong:#?}"
    );
}

#[test]
fn every_name_and_attribute_is_told_once() {
    let names: BTreeSet<_> = INSTRUMENTS
        .iter()
        .map(|instrument| instrument.name)
        .collect();
    assert_eq!(names.len(), INSTRUMENTS.len());
    for instrument in INSTRUMENTS {
        let attributes: BTreeSet<_> = instrument.attributes.iter().collect();
        assert_eq!(
            attributes.len(),
            instrument.attributes.len(),
            "{}",
            instrument.name
        );
    }
}

//! Looks for secrets in all that a test process logs at TRACE, whichever crate it comes from, and in its panics.
//!
//! The statuses of the gateway are among its logs, with their details. A secret is known by its shape, so that nobody has to tell
//! which ones there are: what tests choose themselves bears [`MARK`], and so does what the emulator makes. The first one that is
//! found ends the process, and says where it was written: a test of its own could only tell of what came before it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{LazyLock, Once};
use std::{fmt, io, panic, process};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Stands in every secret that a test chooses.
pub(crate) const MARK: &str = "Pl4nted";
/// With this a process ends in which a secret was found.
pub(crate) const LEAKED: i32 = 70;

/// What begins a secret, and how many characters of its alphabet follow at least.
const PREFIXES: [(&str, usize, &str); 4] = [
    ("agbgw_", 20, "a bearer token"),
    (
        "agbs_",
        20,
        "a signature, link or token of the emulated AGB",
    ),
    // A header of JSON, and the dot after it.
    ("eyJ", 20, "a JWT"),
    // Keys on P-256, as PKCS #8 in base64.
    ("MIGHAgEAMBMGByqGSM49", 0, "a private key"),
];

/// Texts that are, or give away, a secret.
static TEXTS: LazyLock<Vec<(String, &str)>> = LazyLock::new(|| {
    let mark = "a secret of a test";
    let key = "a private key";
    let mut texts = vec![
        (MARK.to_owned(), mark),
        ("PRIVATE KEY".to_owned(), key),
        // Bytes as `Debug` lists them: of PEM, and of its content.
        (listed(b"PRIVATE KEY"), key),
        (listed(&[0x30, 0x81, 0x87, 2, 1, 0, 0x30, 0x13]), key),
        (listed(MARK.as_bytes()), mark),
    ];
    texts.extend(PREFIXES.map(|(prefix, _, secret)| (listed(prefix.as_bytes()), secret)));
    // In base64 it looks in three ways, by where in a group of three bytes it begins.
    for (before, partial) in [(0, 0), (1, 2), (2, 3)] {
        let bytes = [&[b'-'; 2][..before], MARK.as_bytes()].concat();
        let whole = bytes.len() * 8 / 6;
        let text = STANDARD_NO_PAD.encode(&bytes)[partial..whole].to_owned();
        texts.push((listed(text.as_bytes()), mark));
        texts.push((text, mark));
    }
    texts
});

/// Begins to look, once for the process.
pub(crate) fn watch() {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| {
        // Without a filter: this is more than any `log.filter` shows.
        tracing_subscriber::registry().with(Looking).init();
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            look_at(&panic.to_string());
            before(panic);
        }));
    });
}

/// Ends the process when there is a secret in a text that was written.
pub(crate) fn look_at(text: &str) {
    let Some(secret) = secret_in(text) else {
        return;
    };
    // Past what the harness keeps of a test's output.
    let _ = writeln!(io::stderr(), "\nThere is {secret} in:\n{text}");
    process::exit(LEAKED);
}

/// What secret stands in a text.
pub(crate) fn secret_in(text: &str) -> Option<&'static str> {
    let mut texts = TEXTS.iter();
    if let Some((_, secret)) = texts.find(|(secret, _)| text.contains(secret)) {
        return Some(secret);
    }
    let is_of_secret = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    let mut prefixes = PREFIXES.iter();
    let found = prefixes.find(|(prefix, length, _)| {
        text.match_indices(prefix).any(|(at, _)| {
            let rest = text[at + prefix.len()..].bytes();
            rest.take_while(is_of_secret).count() >= *length
        })
    });
    found.map(|(_, _, secret)| *secret)
}

/// As `Debug` writes bytes.
fn listed(bytes: &[u8]) -> String {
    let text = format!("{bytes:?}");
    text.trim_matches(['[', ']']).to_owned()
}

/// Looks at every event, and at every span with its fields.
struct Looking;

impl<S: Subscriber + for<'span> LookupSpan<'span>> Layer<S> for Looking {
    fn on_new_span(&self, span: &Attributes<'_>, _id: &Id, _context: Context<'_, S>) {
        let mut line = Line::new(span.metadata());
        span.record(&mut line);
        look_at(&line.0);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let metadata = context.metadata(id).expect("a span that is there");
        let mut line = Line::new(metadata);
        values.record(&mut line);
        look_at(&line.0);
    }

    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut line = Line::new(event.metadata());
        event.record(&mut line);
        look_at(&line.0);
    }
}

/// Where something was written, and what.
struct Line(String);

impl Line {
    fn new(metadata: &Metadata<'_>) -> Self {
        let file = metadata.file().unwrap_or_default();
        let line = metadata.line().unwrap_or_default();
        let target = metadata.target();
        Self(format!("{file}:{line} {target} {}", metadata.name()))
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a text cannot fail.
        let _ = write!(self.0, " {field}={value:?}");
    }
}

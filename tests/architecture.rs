//! Holds the code to the import rules of ARCHITECTURE.md: which module may use which, and which crates stay outside.

#![allow(clippy::unwrap_used)] // A test that unwraps in vain has failed, which is right.

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};

/// Each module of the library, and the modules that it may use beside itself.
const MAY_USE: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("secret", &["telemetry"]),
    ("resilience", &["domain"]),
    ("auth", &["secret", "resilience", "telemetry"]),
    ("telemetry", &[]),
    ("agb", &["domain", "resilience", "secret", "telemetry"]),
    (
        "sync",
        &["domain", "resilience", "secret", "telemetry", "agb"],
    ),
    (
        "creation",
        &["domain", "resilience", "secret", "telemetry", "agb"],
    ),
    ("proto", &[]),
    (
        "status",
        &[
            "domain",
            "resilience",
            "auth",
            "agb",
            "sync",
            "creation",
            "proto",
            "telemetry",
        ],
    ),
    (
        "service",
        &[
            "domain",
            "resilience",
            "secret",
            "auth",
            "agb",
            "sync",
            "creation",
            "proto",
            "status",
            "telemetry",
        ],
    ),
    ("listen", &["secret", "resilience", "auth", "telemetry"]),
    (
        "admin",
        &[
            "domain",
            "resilience",
            "agb",
            "sync",
            "listen",
            "config",
            "proto",
            "status",
            "service",
            "telemetry",
        ],
    ),
    (
        "layer",
        &[
            "domain",
            "resilience",
            "auth",
            "proto",
            "status",
            "telemetry",
        ],
    ),
    (
        "config",
        &[
            "domain",
            "resilience",
            "secret",
            "auth",
            "agb",
            "sync",
            "creation",
            "listen",
            "telemetry",
        ],
    ),
    (
        "app",
        &[
            "domain",
            "resilience",
            "auth",
            "agb",
            "sync",
            "creation",
            "proto",
            "status",
            "service",
            "layer",
            "listen",
            "secret",
            "config",
            "telemetry",
            "admin",
        ],
    ),
];

/// Crates that only these modules may use; `main`, `dev` and `healthcheck` are the program.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("reqwest", &["agb", "auth", "telemetry"]),
    (
        "opentelemetry",
        &[
            "telemetry",
            "layer",
            "agb",
            "sync",
            "creation",
            "secret",
            "auth",
            "listen",
        ],
    ),
    ("opentelemetry_sdk", &["telemetry"]),
    ("opentelemetry_otlp", &["telemetry"]),
    ("prometheus", &["telemetry"]),
    ("axum", &["telemetry"]),
    ("figment", &["config", "dev"]),
    (
        "tonic",
        &[
            "proto",
            "status",
            "service",
            "layer",
            "listen",
            "telemetry",
            "admin",
            "app",
            "healthcheck",
        ],
    ),
    ("tonic_types", &["status", "app"]),
    ("tonic_health", &["proto", "app", "healthcheck"]),
    ("tonic_reflection", &["proto", "app"]),
    ("tower", &["layer", "listen", "app"]),
    ("tower_http", &["layer"]),
    ("tonic_web", &["layer"]),
    ("hyper", &["listen"]),
    ("h2", &["listen"]),
    ("hyper_util", &["listen"]),
    ("rustls", &["listen", "healthcheck"]),
    ("tokio_rustls", &["listen"]),
    ("http_body_util", &["layer"]),
    ("prost", &["proto", "status"]),
    ("prost_types", &["proto", "status", "service", "admin"]),
    (
        "serde",
        &["agb", "auth", "sync", "service", "config", "telemetry"],
    ),
    (
        "serde_json",
        &["agb", "auth", "sync", "service", "config", "telemetry"],
    ),
    (
        "secrecy",
        &[
            "domain", "secret", "auth", "agb", "service", "config", "app",
        ],
    ),
    ("jsonwebtoken", &["auth"]),
    ("x509_parser", &["auth"]),
    ("subtle", &["auth"]),
    ("agb_emulator", &["main", "dev"]),
];

/// One path in the code: `crate::agb::Client` is `["crate", "agb", "Client"]`.
type CodePath = Vec<String>;

#[test]
fn modules_use_only_what_they_may() {
    let mut wrong = Vec::new();
    for (file, module, paths) in sources() {
        let Some((_, may_use)) = MAY_USE.iter().find(|(name, _)| *name == module) else {
            assert!(
                ["lib", "main", "dev", "healthcheck"].contains(&module.as_str()),
                "{module} has no rule"
            );
            continue;
        };
        for path in paths {
            let Some(used) = module_of(&path, depth(&file)) else {
                continue;
            };
            if used != module && !may_use.contains(&used.as_str()) {
                wrong.push(format!("{}: {}", file.display(), path.join("::")));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn crates_are_used_only_where_they_may_be() {
    let mut wrong = Vec::new();
    for (file, module, paths) in sources() {
        for path in paths {
            let rule = ONLY_IN.iter().find(|(name, _)| *name == path[0]);
            if rule.is_some_and(|(_, modules)| !modules.contains(&module.as_str())) {
                wrong.push(format!("{}: {}", file.display(), path.join("::")));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// The layer that explains gRPC's own refusals knows them by their lack of details, so no status may be made without.
#[test]
fn statuses_are_made_from_failures_alone() {
    let mut wrong = Vec::new();
    for (file, module, paths) in sources() {
        for path in paths {
            let made = path.iter().skip_while(|part| *part != "Status").nth(1);
            let by_hand =
                made.is_some_and(|made| made != "from" && made.starts_with(char::is_lowercase));
            if by_hand && !["status", "layer"].contains(&module.as_str()) {
                wrong.push(format!("{}: {}", file.display(), path.join("::")));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn the_emulator_knows_nothing_of_the_gateway() {
    for file in rust_files(Path::new("emulator")) {
        let text = fs::read_to_string(&file).unwrap();
        assert!(!text.contains("agb_gateway"), "{}", file.display());
    }
    let manifest = fs::read_to_string("emulator/Cargo.toml").unwrap();
    assert!(!manifest.contains("agb-gateway"));
}

#[test]
fn the_scanner_sees_every_way_to_name_a_module() {
    let code: TokenStream = "
        use crate::{agb::Client, sync as s};
        fn f() { super::super::status::f(); tonic::Status::ok(\"crate::layer\"); }
        macro_rules! m { () => { $crate::proto::v1::X } }
    "
    .parse()
    .unwrap();
    let mut paths = Vec::new();
    collect(code, &mut paths);
    let used: Vec<_> = paths.iter().filter_map(|path| module_of(path, 2)).collect();
    assert_eq!(used, ["agb", "sync", "status", "proto"]);
    assert!(paths.iter().any(|path| path[0] == "tonic"));
}

/// Every source file of the library and the program, its module, and the paths in it.
fn sources() -> Vec<(PathBuf, String, Vec<CodePath>)> {
    let files = rust_files(Path::new("src"));
    assert!(files.len() > 30, "only {} files found", files.len());
    files
        .into_iter()
        .map(|file| {
            let code: TokenStream = fs::read_to_string(&file).unwrap().parse().unwrap();
            let mut paths = Vec::new();
            collect(code, &mut paths);
            let first = file.strip_prefix("src").unwrap().iter().next().unwrap();
            let module = first.to_str().unwrap().trim_end_matches(".rs").to_owned();
            (file, module, paths)
        })
        .collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// How many modules lie between the root of the crate and the code of a file.
fn depth(file: &Path) -> usize {
    let parts = file.strip_prefix("src").unwrap().iter().count();
    if file.file_name().unwrap() == "mod.rs" {
        parts - 1
    } else {
        parts
    }
}

/// The module of the library that a path leads into, when it begins at the root of the crate.
fn module_of(path: &CodePath, depth: usize) -> Option<String> {
    let supers = path.iter().take_while(|part| *part == "super").count();
    let first = if path[0] == "crate" {
        path.get(1)
    } else if supers >= depth {
        path.get(supers)
    } else {
        None
    }?;
    let is_module = MAY_USE.iter().any(|(name, _)| name == first);
    is_module.then(|| first.clone())
}

/// Collects the paths in the code; a tree of `use` becomes one path for each of its leaves.
fn collect(code: TokenStream, paths: &mut Vec<CodePath>) {
    let tokens: Vec<TokenTree> = code.into_iter().collect();
    let mut index = 0;
    while index < tokens.len() {
        match &tokens[index] {
            TokenTree::Ident(ident) => {
                let mut path = vec![ident.to_string()];
                index += 1;
                while is_separator(&tokens, index) {
                    match tokens.get(index + 2) {
                        Some(TokenTree::Ident(ident)) => path.push(ident.to_string()),
                        Some(TokenTree::Group(group)) => {
                            let mut leaves = Vec::new();
                            collect(group.stream(), &mut leaves);
                            paths.extend(
                                leaves.into_iter().map(|leaf| [path.clone(), leaf].concat()),
                            );
                        }
                        _ => {}
                    }
                    index += 3;
                }
                paths.push(path);
            }
            TokenTree::Group(group) => {
                collect(group.stream(), paths);
                index += 1;
            }
            _ => index += 1,
        }
    }
}

fn is_separator(tokens: &[TokenTree], index: usize) -> bool {
    let is_colon = |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
    is_colon(tokens.get(index)) && is_colon(tokens.get(index + 1))
}

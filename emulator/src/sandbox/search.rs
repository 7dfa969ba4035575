//! Finds files by their names.

use std::fs;
use std::io;
use std::path::Path;

/// The most paths that a search tells.
const MAX_FOUND: usize = 10_000;
const NOTHING: &str = "No matches found";

/// The paths of the files and folders below `base` that match, one in a line. A pattern with `*`, `?` or `[` is
/// matched with the whole name, or with the path below `base` when it has a slash; any other is looked for in the name.
pub(super) fn search(base: &Path, pattern: &str, excluded: &[String]) -> io::Result<String> {
    if !fs::metadata(base)?.is_dir() {
        return Err(io::Error::other(format!(
            "{}: is no directory",
            base.display()
        )));
    }
    let mut found = Vec::new();
    let mut waiting = vec![base.to_owned()];
    while let Some(folder) = waiting.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            // Gone meanwhile, or closed to the session's user.
            Err(_) if folder != base => continue,
            Err(error) => return Err(error),
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let below = path
                .strip_prefix(base)
                .unwrap_or(&path)
                .to_string_lossy()
                .into_owned();
            if excluded.iter().any(|pattern| matches(pattern, &below)) {
                continue;
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                waiting.push(path.clone());
            }
            if matches(pattern, &below) {
                found.push(path.to_string_lossy().into_owned());
            }
        }
        if found.len() > MAX_FOUND {
            return Err(io::Error::other(format!("more than {MAX_FOUND} matches")));
        }
    }
    found.sort();
    Ok(if found.is_empty() {
        NOTHING.to_owned()
    } else {
        found.join("\n")
    })
}

fn matches(pattern: &str, below: &str) -> bool {
    let name = below.rsplit('/').next().unwrap_or(below);
    if !pattern.contains(['*', '?', '[']) {
        return name.to_lowercase().contains(&pattern.to_lowercase());
    }
    if pattern.contains('/') {
        glob(pattern.as_bytes(), below.as_bytes())
    } else {
        glob(pattern.as_bytes(), name.as_bytes())
    }
}

/// `?` is one byte of a name, `*` any number of them, `**` also slashes, and `**/` also nothing. `[…]` is one of a set.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', b'*', b'/', rest @ ..] => {
            glob(rest, text)
                || (0..text.len()).any(|at| text[at] == b'/' && glob(rest, &text[at + 1..]))
        }
        [b'*', b'*', rest @ ..] => (0..=text.len()).any(|at| glob(rest, &text[at..])),
        [b'*', rest @ ..] => {
            let name = text
                .iter()
                .position(|byte| *byte == b'/')
                .unwrap_or(text.len());
            (0..=name).any(|at| glob(rest, &text[at..]))
        }
        [b'?', rest @ ..] => {
            matches!(text, [byte, tail @ ..] if *byte != b'/' && glob(rest, tail))
        }
        [b'[', set @ ..] => match (set.iter().position(|byte| *byte == b']'), text) {
            (Some(end), [byte, tail @ ..]) => {
                in_set(&set[..end], *byte) && glob(&set[end + 1..], tail)
            }
            _ => false,
        },
        [byte, rest @ ..] => text.first() == Some(byte) && glob(rest, &text[1..]),
    }
}

fn in_set(set: &[u8], byte: u8) -> bool {
    let (set, wanted) = match set {
        [b'!' | b'^', rest @ ..] => (rest, false),
        _ => (set, true),
    };
    let ranges = set
        .windows(3)
        .any(|range| range[1] == b'-' && (range[0]..=range[2]).contains(&byte));
    (ranges || set.contains(&byte)) == wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_names_and_paths() {
        for (pattern, path, expected) in [
            ("*.txt", "a/b.txt", true),
            ("*.txt", "a/b.txt.gz", false),
            ("b", "a/B.txt", true),
            ("a", "a/b.txt", false),
            ("a/*.txt", "a/b.txt", true),
            ("a/*.txt", "a/c/b.txt", false),
            ("**/*.txt", "b.txt", true),
            ("**/*.txt", "a/c/b.txt", true),
            ("a/**", "a/c/b.txt", true),
            ("?.txt", "ab.txt", false),
            ("[a-c]?.txt", "bx.txt", true),
            ("[!a-c].txt", "b.txt", false),
            ("[a", "a", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn what_is_excluded_is_not_searched() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "skipped"] {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join("x.txt"), "").unwrap();
        }
        let found = search(folder.path(), "*.txt", &["skip*".to_owned()]).unwrap();
        assert_eq!(found, folder.path().join("a/x.txt").to_str().unwrap());
        assert_eq!(search(folder.path(), "y", &[]).unwrap(), NOTHING);
    }
}

//! Replaces parts of a text, and shows what was replaced.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// One replacement.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Edit {
    pub(super) old_text: String,
    pub(super) new_text: String,
}

/// Replaces the first occurrence for each edit, one after the other. Returns the new text and the lines that
/// went and came; the error is the text that is not there.
pub(super) fn edit(before: &str, edits: &[Edit]) -> Result<(String, String), String> {
    let mut text = before.to_owned();
    let mut difference = String::new();
    for edit in edits {
        if edit.old_text.is_empty() || !text.contains(&edit.old_text) {
            return Err(edit.old_text.clone());
        }
        text = text.replacen(&edit.old_text, &edit.new_text, 1);
        for (sign, lines) in [('-', &edit.old_text), ('+', &edit.new_text)] {
            for line in lines.lines() {
                let _ = writeln!(difference, "{sign}{line}");
            }
        }
    }
    Ok((text, format!("```diff\n{difference}```\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replace(old: &str, new: &str) -> Edit {
        Edit {
            old_text: old.to_owned(),
            new_text: new.to_owned(),
        }
    }

    #[test]
    fn edits_follow_one_another_and_are_shown() {
        let edits = [replace("one", "two"), replace("two\n", "three\n")];
        let (text, difference) = edit("one\none\n", &edits).unwrap();
        assert_eq!(text, "three\none\n");
        assert_eq!(difference, "```diff\n-one\n+two\n-two\n+three\n```\n");
    }

    #[test]
    fn an_edit_of_what_is_not_there_is_refused() {
        assert_eq!(
            edit("text", &[replace("other", "x")]),
            Err("other".to_owned())
        );
        assert!(edit("text", &[replace("", "x")]).is_err());
    }
}

//! What was measured, as Markdown and as JSON.

use std::fmt::Write as _;

use serde::Serialize;

/// All of it.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: String,
    pub(crate) sections: Vec<Section>,
    pub(crate) targets: Vec<Target>,
}

/// One table.
#[derive(Debug, Serialize)]
pub(crate) struct Section {
    pub(crate) title: String,
    /// What was done, and what the figures are.
    pub(crate) note: String,
    pub(crate) columns: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<Cell>>,
}

/// A cell of a table.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Cell {
    Text(String),
    /// Of several rounds: the median, and how far apart they lie.
    Spread(Spread),
}

/// Several figures of the same.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

/// What was promised, and what it is.
#[derive(Debug, Serialize)]
pub(crate) struct Target {
    pub(crate) what: &'static str,
    pub(crate) promised: String,
    pub(crate) measured: Spread,
    pub(crate) is_met: bool,
}

impl Spread {
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let at = |index: usize| figures.get(index).copied().unwrap_or(f64::NAN);
        let length = figures.len();
        Self {
            median: f64::midpoint(at(length.saturating_sub(1) / 2), at(length / 2)),
            least: at(0),
            most: at(length.saturating_sub(1)),
        }
    }
}

impl Target {
    pub(crate) fn at_least(what: &'static str, promised: f64, measured: Spread) -> Self {
        Self {
            what,
            promised: format!("≥ {promised}"),
            measured,
            is_met: measured.median >= promised,
        }
    }

    pub(crate) fn at_most(what: &'static str, promised: f64, measured: Spread) -> Self {
        Self {
            what,
            promised: format!("≤ {promised}"),
            measured,
            is_met: measured.median <= promised,
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Spread> for Cell {
    fn from(spread: Spread) -> Self {
        Self::Spread(spread)
    }
}

impl From<f64> for Cell {
    fn from(figure: f64) -> Self {
        Self::Spread(Spread::of([figure]))
    }
}

/// So many digits as say something.
fn number(figure: f64) -> String {
    match figure.abs() {
        size if size >= 100.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        size if size >= 1.0 => format!("{figure:.2}"),
        _ => format!("{figure:.4}"),
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&number(self.median))?;
        if self.most > self.least {
            write!(formatter, " ({}–{})", number(self.least), number(self.most))?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Cell {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => formatter.write_str(text),
            Self::Spread(spread) => spread.fmt(formatter),
        }
    }
}

impl Section {
    fn markdown(&self, text: &mut String) {
        let _ = write!(text, "\n## {}\n\n{}\n\n", self.title, self.note);
        let _ = writeln!(text, "| {} |", self.columns.join(" | "));
        let _ = writeln!(text, "|{}", " --- |".repeat(self.columns.len()));
        for row in &self.rows {
            let cells: Vec<_> = row.iter().map(ToString::to_string).collect();
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
    }
}

impl Report {
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!(
            "Machine: {}. Figures are medians; in brackets the least and the most.\n",
            self.machine
        );
        for section in &self.sections {
            section.markdown(&mut text);
        }
        if !self.targets.is_empty() {
            let rows = self.targets.iter().map(|target| {
                let verdict = if target.is_met { "met" } else { "missed" };
                vec![
                    target.what.into(),
                    target.promised.clone().into(),
                    target.measured.into(),
                    verdict.into(),
                ]
            });
            Section {
                title: "Targets".to_owned(),
                note: "Medians of the ratios of each round.".to_owned(),
                columns: vec!["what", "target", "measured", ""],
                rows: rows.collect(),
            }
            .markdown(&mut text);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        let spread = Spread::of([4.0, 1.0, 2.0, 3.0]);
        assert_eq!(spread.to_string(), "2.50 (1.00–4.00)");
        assert_eq!(Spread::of([7.0]).to_string(), "7.00");
    }
}

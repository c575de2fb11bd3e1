//! The table of results, in Markdown.

use std::fmt::Write as _;

use crate::scenario::{Outcome, Setting};

/// What became of every scenario that was run.
#[derive(Default)]
pub struct Report {
    violations: Vec<String>,
}

impl Report {
    pub const HEAD: &str = "\
| scenario | wiring | seed | events | acknowledged | lost | duplicates | order violations | other | recovery s |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |";

    /// The row of a scenario.
    pub fn row(
        &mut self,
        name: &str,
        setting: Setting,
        outcome: &anyhow::Result<Outcome>,
    ) -> String {
        let mut row = format!("| {name} | {} | {} |", setting.wiring, setting.seed);
        let told = match outcome {
            Ok(Outcome::Found(finding)) => {
                let audit = &finding.audit;
                if !audit.is_clean() {
                    let details = audit.details.join("; ");
                    self.violations.push(format!("{name}: {details}"));
                }
                write!(
                    row,
                    " {} | {} | {} | {} | {} | {} | {:.1} |",
                    audit.events,
                    audit.acknowledged,
                    audit.lost,
                    audit.duplicates,
                    audit.misordered,
                    audit.strange,
                    finding.recovery.as_secs_f64(),
                )
            }
            Ok(Outcome::Skipped(reason)) => write!(row, " skipped: {reason} | | | | | | |"),
            Err(error) => {
                self.violations.push(format!("{name}: {error:#}"));
                write!(row, " failed | | | | | | |")
            }
        };
        // Writing to a text does not fail.
        told.map_or_else(|_| String::new(), |()| row)
    }

    /// Every violation, in words.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }
}

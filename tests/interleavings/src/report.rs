//! What was explored, and what was found.

use std::{collections::BTreeMap, fmt, time::Duration};

/// A run that ended in what must not be.
#[derive(Debug, Clone)]
pub struct Violation {
    pub start: &'static str,
    pub operations: Vec<&'static str>,
    pub schedule: String,
    pub what: Vec<String>,
    pub trace: Vec<String>,
}

/// What became of a group of operations in all start states.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    pub schedules: usize,
    pub states: usize,
    pub violations: usize,
}

#[derive(Debug, Default)]
pub struct Report {
    pub tallies: BTreeMap<String, Tally>,
    pub violations: Vec<Violation>,
    /// How many schedules could not be played.
    pub blocked: usize,
    pub took: Duration,
}

impl Report {
    pub fn add(&mut self, other: Self) {
        for (group, tally) in other.tallies {
            let sum = self.tallies.entry(group).or_default();
            sum.schedules += tally.schedules;
            sum.states += tally.states;
            sum.violations += tally.violations;
        }
        self.violations.extend(other.violations);
        self.blocked += other.blocked;
    }

    pub fn schedules(&self) -> usize {
        self.tallies.values().map(|tally| tally.schedules).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (group, tally) in &self.tallies {
            writeln!(
                f,
                "{:6} schedules, {:4} outcomes, {:4} violations: {group}",
                tally.schedules, tally.states, tally.violations
            )?;
        }
        for violation in &self.violations {
            writeln!(f, "{violation}")?;
        }
        let states: usize = self.tallies.values().map(|tally| tally.states).sum();
        let violations: usize = self.tallies.values().map(|tally| tally.violations).sum();
        write!(
            f,
            "{} schedules of {} groups, {states} outcomes, {violations} violations, {:.0} s",
            self.schedules(),
            self.tallies.len(),
            self.took.as_secs_f64()
        )
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operations = self.operations.join(" ");
        write!(
            f,
            "VIOLATION {}: {operations}: \"{}\"",
            self.start, self.schedule
        )?;
        for what in &self.what {
            write!(f, "\n  {what}")?;
        }
        for line in &self.trace {
            write!(f, "\n    {line}")?;
        }
        Ok(())
    }
}

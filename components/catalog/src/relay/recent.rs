//! How the latest requests to an origin went.

/// How many are remembered.
const WINDOW: u32 = 20;

/// So many failures mean something at all.
const LEAST: u32 = 5;

/// The outcomes of the latest requests.
#[derive(Debug, Default)]
pub(super) struct Recent {
    count: u32,
    /// A bit for each, the latest lowest, set where it failed.
    failures: u32,
}

impl Recent {
    /// Remember how one more went.
    pub(super) fn note(&mut self, failed: bool) {
        self.count = WINDOW.min(self.count + 1);
        self.failures = (self.failures << 1 | u32::from(failed)) & ((1 << WINDOW) - 1);
    }

    /// Whether at least half of them failed: those of an origin that is away, not
    /// the odd ones of one that is busy. Failures in a row would not tell: they
    /// take long, and those that were begun at different times end together.
    pub(super) fn is_bad(&self) -> bool {
        let failures = self.failures.count_ones();
        failures >= LEAST && failures * 2 >= self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How it looks after these, of which `x` failed.
    fn after(outcomes: &str) -> bool {
        let mut recent = Recent::default();
        for outcome in outcomes.chars() {
            recent.note(outcome == 'x');
        }
        recent.is_bad()
    }

    #[test]
    fn an_origin_that_never_answers_is_soon_found_out() {
        assert!(!after("xxxx"));
        assert!(after("xxxxx"));
    }

    #[test]
    fn failures_that_come_together_are_forgiven() {
        assert!(!after("....................xxxxxxxxx"));
        assert!(after("....................xxxxxxxxxx"));
    }

    #[test]
    fn old_failures_are_forgotten() {
        assert!(!after("xxxxxxxxx...................."));
        assert!(!after("xxxxxxxxxxxx..........."));
    }
}

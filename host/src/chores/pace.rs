//! How long to wait between two ticks: until the next thing falls due, and no
//! longer than a period.

use std::time::Duration;

use serde::Deserialize;

/// The least time between two ticks.
const SHORTEST: Duration = Duration::from_millis(10);

/// What a tick said.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Ticked {
    /// The topics that had work.
    #[serde(default)]
    woken: Vec<String>,
    /// When something else falls due, in milliseconds from now.
    next_due_in_ms: Option<u64>,
}

/// The waits of one ticker.
#[derive(Debug)]
pub(super) struct Pace {
    period: Duration,
    shortest: Duration,
    is_early: bool,
}

impl Pace {
    pub(super) fn new(period: Duration) -> Self {
        Self {
            period,
            shortest: SHORTEST.min(period),
            is_early: false,
        }
    }

    /// How long to wait after a tick that said this; `None` if it failed.
    ///
    /// What is due already does not count: whoever could handle it was woken, and
    /// is woken again with the next period. Nor does an early tick lead to ever
    /// more of them if it finds nothing due after all.
    pub(super) fn after(&mut self, ticked: Option<Ticked>) -> Duration {
        let in_vain = self.is_early && ticked.as_ref().is_none_or(|it| it.woken.is_empty());
        self.shortest = match in_vain {
            true => (self.shortest * 2).min(self.period),
            false => SHORTEST.min(self.period),
        };
        let next = ticked.and_then(|ticked| ticked.next_due_in_ms);
        let next = next.map_or(self.period, Duration::from_millis);
        let wait = next.max(self.shortest).min(self.period);
        self.is_early = wait < self.period;
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(1);

    fn ticked(woken: &[&str], next_due_in_ms: Option<u64>) -> Option<Ticked> {
        Some(Ticked {
            woken: woken.iter().copied().map(Into::into).collect(),
            next_due_in_ms,
        })
    }

    #[test]
    fn the_next_tick_comes_when_something_falls_due() {
        let mut pace = Pace::new(PERIOD);
        for (said, wait_ms) in [
            (ticked(&[], None), 1_000),
            (ticked(&[], Some(300)), 300),
            (ticked(&["a"], Some(5_000)), 1_000),
            (ticked(&["a"], None), 1_000),
            (None, 1_000),
        ] {
            assert_eq!(pace.after(said).as_millis(), wait_ms);
        }
    }

    #[test]
    fn what_is_due_and_not_taken_is_no_reason_to_hurry() {
        let mut pace = Pace::new(PERIOD);
        for _ in 0..3 {
            assert_eq!(pace.after(ticked(&["nobody"], None)), PERIOD);
        }
    }

    #[test]
    fn ticks_are_never_closer_than_a_few_milliseconds() {
        let mut pace = Pace::new(PERIOD);
        for _ in 0..5 {
            assert_eq!(pace.after(ticked(&["a"], Some(0))), SHORTEST);
        }
        assert_eq!(
            Pace::new(PERIOD / 1000).after(ticked(&["a"], Some(0))),
            PERIOD / 1000
        );
    }

    #[test]
    fn a_tick_that_comes_early_for_nothing_makes_the_next_one_later() {
        let mut pace = Pace::new(PERIOD);
        let waits: Vec<_> = (0..9)
            .map(|_| pace.after(ticked(&[], Some(0))).as_millis())
            .collect();
        assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640, 1_000, 10]);
    }

    #[test]
    fn the_answer_of_a_tick_is_read() {
        let said = br#"{"woken":["a"],"next_due_in_ms":20,"swept":{"events":1}}"#;
        let mut pace = Pace::new(PERIOD);
        assert_eq!(
            pace.after(serde_json::from_slice(said).ok()).as_millis(),
            20
        );
        assert_eq!(pace.after(serde_json::from_slice(b"[]").ok()), PERIOD);
    }
}

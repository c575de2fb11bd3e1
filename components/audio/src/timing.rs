//! How long the packets of a track last.

/// So many packets in a row of the same duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) count: u32,
    pub(crate) duration: u32,
}

/// The part of a track that is to be heard, in units of its time scale. What is
/// before it primes the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) start: u64,
    /// To the end, if absent.
    pub(crate) length: Option<u64>,
}

/// The durations of the packets of a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Timing {
    /// Units a second, not 0.
    pub(crate) scale: u32,
    pub(crate) runs: Vec<Run>,
    pub(crate) edit: Option<Edit>,
}

impl Timing {
    /// No durations yet. A scale of 0 is taken for 1, which divides nothing by 0.
    pub(crate) fn new(scale: u32) -> Self {
        Self {
            scale: scale.max(1),
            runs: Vec::new(),
            edit: None,
        }
    }

    /// Add `count` packets of this duration.
    pub(crate) fn push(&mut self, count: u32, duration: u32) {
        match self.runs.last_mut() {
            Some(last) if last.duration == duration => {
                last.count = last.count.saturating_add(count);
            }
            _ if count == 0 => {}
            _ => self.runs.push(Run { count, duration }),
        }
    }

    /// Make it say something of each of `packets` packets, and of no more.
    pub(crate) fn fit(&mut self, packets: u32) {
        let mut rest = packets;
        self.runs.retain_mut(|run| {
            run.count = run.count.min(rest);
            rest -= run.count;
            run.count > 0
        });
        let last = self.runs.last().map_or(0, |run| run.duration);
        self.push(rest, last);
    }

    /// The duration of all packets, in units.
    pub(crate) fn total(&self) -> u64 {
        let run = |run: &Run| u64::from(run.count) * u64::from(run.duration);
        self.runs.iter().map(run).fold(0, u64::saturating_add)
    }

    /// The duration of what is to be heard, in milliseconds.
    pub(crate) fn heard_ms(&self) -> u64 {
        let total = self.total();
        let heard = match self.edit {
            None => total,
            Some(edit) => {
                let rest = total.saturating_sub(edit.start);
                edit.length.map_or(rest, |length| length.min(rest))
            }
        };
        u64::try_from(u128::from(heard) * 1000 / u128::from(self.scale)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_durations_are_one_run() {
        let mut timing = Timing::new(10);
        for duration in [5, 5, 6] {
            timing.push(1, duration);
        }
        assert_eq!(timing.runs.len(), 2);
        assert_eq!((timing.total(), timing.heard_ms()), (16, 1600));
    }

    #[test]
    fn durations_fit_the_packets() {
        let mut timing = Timing::new(10);
        timing.push(3, 5);
        timing.push(3, 6);
        timing.fit(4);
        assert_eq!(timing.total(), 21);
        timing.fit(6);
        assert_eq!(timing.total(), 33);
        timing.fit(0);
        assert_eq!(timing.total(), 0);
    }

    #[test]
    fn what_primes_the_decoder_is_not_heard() {
        let mut timing = Timing::new(1000);
        timing.push(10, 100);
        let (start, length) = (150, Some(500));
        timing.edit = Some(Edit { start, length });
        assert_eq!(timing.heard_ms(), 500);
        let length = None;
        timing.edit = Some(Edit { start, length });
        assert_eq!(timing.heard_ms(), 850);
    }
}

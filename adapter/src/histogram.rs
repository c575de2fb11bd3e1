//! How long things took, counted between bounds.

use crate::bindings::maintenance::Histogram;

/// The bounds of the contract, in milliseconds.
pub const BOUNDS_MS: [u64; 18] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000,
    600_000,
];

/// The number of counts: one for each bound, and one for what took longer.
pub const BUCKETS: usize = BOUNDS_MS.len() + 1;

/// Which of the counts something belongs to that took so long.
pub fn bucket(took_ms: u64) -> usize {
    BOUNDS_MS.partition_point(|bound| *bound < took_ms)
}

/// The histogram of counts as they are stored: those at the end may be missing.
pub fn of_counts(mut counts: Vec<u64>, sum_ms: u64, longest_ms: u64) -> Histogram {
    counts.resize(BUCKETS, 0);
    Histogram {
        counts,
        sum_ms,
        longest_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_count() {
        assert_eq!([0, 1, 2, 3, 5].map(bucket), [0, 0, 1, 2, 2]);
        assert_eq!(bucket(600_000), 17);
        assert_eq!([600_001, u64::MAX].map(bucket), [18, 18]);
    }

    #[test]
    fn counts_that_were_never_stored_are_zero() {
        assert_eq!(of_counts(vec![3], 9, 9).counts.len(), BUCKETS);
    }
}

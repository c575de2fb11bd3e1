//! What a histogram of latencies says: its bounds, and quantiles estimated from
//! it.

use emporium_sdk::maintenance::Histogram;
use serde::Serialize;
use utoipa::ToSchema;

/// The bounds of `maintenance.histogram`, in milliseconds.
pub(crate) const BOUNDS_MS: [u64; 18] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000,
    200_000, 600_000,
];

/// How long things took, estimated from a histogram, in milliseconds.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct LatencyView {
    mean_ms: f64,
    p50_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
    /// How long the slowest took.
    longest_ms: u64,
}

impl LatencyView {
    /// `None` if nothing was counted.
    pub(crate) fn estimate(histogram: &Histogram) -> Option<Self> {
        let count: u64 = histogram.counts.iter().sum();
        (count > 0).then(|| Self {
            mean_ms: histogram.sum_ms as f64 / count as f64,
            p50_ms: quantile(histogram, 0.5),
            p90_ms: quantile(histogram, 0.9),
            p99_ms: quantile(histogram, 0.99),
            longest_ms: longest_ms(histogram),
        })
    }
}

/// As Prometheus does: as if what is between two bounds were spread evenly. Nothing
/// took longer than the slowest.
fn quantile(histogram: &Histogram, share: f64) -> f64 {
    let count: u64 = histogram.counts.iter().sum();
    let rank = share * count as f64;
    let longest = longest_ms(histogram) as f64;
    let bounds = BOUNDS_MS.iter().map(|bound| *bound as f64).chain([longest]);
    let mut below = 0.0;
    let mut from = 0.0;
    for (bound, count) in bounds.zip(&histogram.counts) {
        let (to, count) = (bound.min(longest), *count as f64);
        if count > 0.0 && below + count >= rank {
            return from + (to - from) * (rank - below) / count;
        }
        below += count;
        from = bound;
    }
    longest
}

/// How long the slowest took: what the histogram says, unless its counts come from
/// before it was noted.
fn longest_ms(histogram: &Histogram) -> u64 {
    let last = histogram.counts.iter().rposition(|count| *count > 0);
    let longer_than = last.and_then(|last| BOUNDS_MS.get(last.checked_sub(1)?));
    histogram.longest_ms.max(longer_than.copied().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(filled: &[(usize, u64)]) -> Histogram {
        up_to(600_000, filled)
    }

    fn up_to(longest_ms: u64, filled: &[(usize, u64)]) -> Histogram {
        let mut counts = vec![0; BOUNDS_MS.len() + 1];
        for &(place, count) in filled {
            if let Some(slot) = counts.get_mut(place) {
                *slot = count;
            }
        }
        Histogram {
            counts,
            sum_ms: 0,
            longest_ms,
        }
    }

    #[test]
    fn a_quantile_lies_between_the_bounds_it_was_counted_in() {
        // A hundred from 5 to 10 ms.
        let even = histogram(&[(3, 100)]);
        assert_eq!(quantile(&even, 0.5), 7.5);
        let slow = histogram(&[(0, 98), (9, 2)]);
        assert!((500.0..=1000.0).contains(&quantile(&slow, 0.99)));
        assert!(quantile(&slow, 0.5) <= 1.0);
    }

    #[test]
    fn no_estimate_exceeds_what_was_seen() {
        // A run of 15 s whose slowest took 14 of them: 54,975 was said of it.
        let run = up_to(14_000, &[(3, 980), (12, 5), (13, 15)]);
        let p99 = quantile(&run, 0.99);
        assert!(p99 > 10_000.0 && p99 <= 14_000.0, "{p99}");
        let longest = LatencyView::estimate(&run).map(|latency| latency.longest_ms);
        assert_eq!(longest, Some(14_000));
        let one = up_to(3, &[(2, 1)]);
        assert_eq!(quantile(&one, 1.0), 3.0);
    }

    #[test]
    fn what_is_over_the_last_bound_is_spread_up_to_the_slowest() {
        assert_eq!(quantile(&up_to(800_000, &[(18, 2)]), 0.5), 700_000.0);
    }

    #[test]
    fn counts_from_before_the_slowest_was_noted_stay_where_they_are() {
        let old = up_to(0, &[(9, 4)]);
        assert_eq!(quantile(&old, 0.5), 500.0);
        let mixed = up_to(7, &[(3, 4), (9, 4)]);
        assert_eq!(quantile(&mixed, 0.25), 7.5);
    }

    #[test]
    fn nothing_has_no_latency() {
        assert_eq!(LatencyView::estimate(&histogram(&[])), None);
    }
}

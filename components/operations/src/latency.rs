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
        })
    }
}

/// As Prometheus does: as if what is between two bounds were spread evenly. What
/// is over the last bound counts as that bound.
fn quantile(histogram: &Histogram, share: f64) -> f64 {
    let count: u64 = histogram.counts.iter().sum();
    let rank = share * count as f64;
    let mut below = 0.0;
    let mut from = 0.0;
    for (bound, count) in BOUNDS_MS.iter().zip(&histogram.counts) {
        let (to, count) = (*bound as f64, *count as f64);
        if count > 0.0 && below + count >= rank {
            return from + (to - from) * (rank - below) / count;
        }
        below += count;
        from = to;
    }
    from
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(filled: &[(usize, u64)]) -> Histogram {
        let mut counts = vec![0; BOUNDS_MS.len() + 1];
        for &(place, count) in filled {
            if let Some(slot) = counts.get_mut(place) {
                *slot = count;
            }
        }
        Histogram {
            counts,
            sum_ms: 0,
            longest_ms: u64::MAX,
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
    fn what_is_over_the_last_bound_counts_as_it() {
        assert_eq!(quantile(&histogram(&[(18, 1)]), 0.5), 600_000.0);
    }

    #[test]
    fn nothing_has_no_latency() {
        assert_eq!(LatencyView::estimate(&histogram(&[])), None);
    }
}

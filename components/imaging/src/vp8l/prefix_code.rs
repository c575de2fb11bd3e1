//! Prefix codes: their lengths from counts, and how they are written.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::bits::BitWriter;

const MAX_LENGTH: u8 = 15;

/// The lengths of a code are themselves written in a code, whose lengths have
/// three bits.
const MAX_LENGTH_OF_LENGTHS: u8 = 7;

/// The order in which the lengths of the code of lengths are written.
const ORDER: [usize; 19] = [
    17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
];

const REPEAT_LAST: u8 = 16;
const ZEROS_3_TO_10: u8 = 17;
const ZEROS_11_TO_138: u8 = 18;

/// One symbol's code: reversed, as the format wants it, and its length.
#[derive(Clone, Copy, Default)]
struct Code {
    bits: u16,
    length: u8,
}

/// A code for the symbols that were counted.
pub(super) struct PrefixCode {
    codes: Vec<Code>,
}

impl PrefixCode {
    /// Make a code for symbols of these counts, and write it down.
    pub(super) fn declare(bits: &mut BitWriter, counts: &[u32]) -> Self {
        let mut used = counts.iter().enumerate().filter(|&(_, &count)| count > 0);
        let used =
            [used.next(), used.next(), used.next()].map(|entry| entry.map(|(symbol, _)| symbol));
        match used {
            [None, ..] => Self::declare_simple(bits, counts.len(), &[0]),
            [Some(only), None, _] if only < 256 => {
                Self::declare_simple(bits, counts.len(), &[only])
            }
            [Some(first), Some(second), None] if second < 256 => {
                Self::declare_simple(bits, counts.len(), &[first, second])
            }
            _ => Self::declare_normal(bits, counts),
        }
    }

    /// Write one symbol.
    pub(super) fn put(&self, bits: &mut BitWriter, symbol: usize) {
        let code = self.codes.get(symbol).copied().unwrap_or_default();
        bits.put(code.bits.into(), code.length.into());
    }

    fn declare_simple(bits: &mut BitWriter, len: usize, symbols: &[usize]) -> Self {
        bits.put(1, 1);
        bits.put(symbols.len() as u32 - 1, 1);
        bits.put(1, 1);
        let mut lengths = vec![0; len];
        for &symbol in symbols {
            bits.put(symbol as u32, 8);
            if let Some(length) = lengths.get_mut(symbol) {
                *length = 1;
            }
        }
        Self::from_lengths(&lengths)
    }

    fn declare_normal(bits: &mut BitWriter, counts: &[u32]) -> Self {
        let lengths = lengths(counts, MAX_LENGTH);
        let runs = runs(&lengths);
        let mut run_counts = [0; ORDER.len()];
        for run in &runs {
            if let Some(count) = run_counts.get_mut(usize::from(run.symbol)) {
                *count += 1;
            }
        }
        let run_lengths = self::lengths(&run_counts, MAX_LENGTH_OF_LENGTHS);
        let ordered = ORDER.map(|symbol| run_lengths.get(symbol).copied().unwrap_or(0));
        let written = ordered
            .iter()
            .rposition(|&length| length > 0)
            .map_or(4, |last| (last + 1).max(4));
        bits.put(0, 1);
        bits.put(written as u32 - 4, 4);
        for &length in ordered.iter().take(written) {
            bits.put(length.into(), 3);
        }
        bits.put(0, 1);
        let run_code = Self::from_lengths(&run_lengths);
        for run in runs {
            run_code.put(bits, run.symbol.into());
            bits.put(run.extra.into(), run.extra_bits.into());
        }
        Self::from_lengths(&lengths)
    }

    /// Canonical codes. The only symbol of a code takes no bits.
    fn from_lengths(lengths: &[u8]) -> Self {
        let mut codes = vec![Code::default(); lengths.len()];
        if lengths.iter().filter(|&&length| length > 0).count() > 1 {
            let mut next = 0_u16;
            for length in 1..=MAX_LENGTH {
                for (code, _) in codes
                    .iter_mut()
                    .zip(lengths)
                    .filter(|&(_, &own)| own == length)
                {
                    *code = Code {
                        bits: next.reverse_bits() >> (16 - length),
                        length,
                    };
                    next += 1;
                }
                next <<= 1;
            }
        }
        Self { codes }
    }
}

/// Lengths of an optimal code, made a little worse until none is over `max`.
fn lengths(counts: &[u32], max: u8) -> Vec<u8> {
    let mut least = 1;
    loop {
        let lengths = unlimited_lengths(counts, least);
        if lengths.iter().all(|&length| length <= max) {
            return lengths;
        }
        // Rare symbols have the long codes: count them as less rare.
        least *= 2;
    }
}

/// Huffman's algorithm, with no count taken for less than `least`.
fn unlimited_lengths(counts: &[u32], least: u32) -> Vec<u8> {
    let mut lengths = vec![0_u8; counts.len()];
    let mut heap: BinaryHeap<_> = counts
        .iter()
        .enumerate()
        .filter(|&(_, &count)| count > 0)
        .map(|(symbol, &count)| Reverse((u64::from(count.max(least)), symbol)))
        .collect();
    if let (1, Some(Reverse((_, symbol)))) = (heap.len(), heap.peek()) {
        if let Some(length) = lengths.get_mut(*symbol) {
            *length = 1;
        }
        return lengths;
    }
    // Nodes are numbered on from the symbols; children come before parents.
    let mut parents = vec![usize::MAX; counts.len()];
    while let (Some(Reverse((a, left))), Some(Reverse((b, right)))) = (heap.pop(), heap.pop()) {
        let parent = parents.len();
        parents.push(usize::MAX);
        for child in [left, right] {
            if let Some(link) = parents.get_mut(child) {
                *link = parent;
            }
        }
        heap.push(Reverse((a + b, parent)));
        if heap.len() == 1 {
            break;
        }
    }
    let mut depths = vec![0_u8; parents.len()];
    for node in (0..parents.len()).rev() {
        let above = parents
            .get(node)
            .and_then(|&parent| depths.get(parent))
            .copied();
        if let (Some(above), Some(depth)) = (above, depths.get_mut(node)) {
            *depth = above.saturating_add(1);
        }
    }
    for (length, depth) in lengths.iter_mut().zip(depths) {
        *length = depth;
    }
    lengths
}

/// A length, or several at once.
struct Run {
    symbol: u8,
    extra: u8,
    extra_bits: u8,
}

fn runs(lengths: &[u8]) -> Vec<Run> {
    let mut runs = Vec::new();
    for same in lengths.chunk_by(|a, b| a == b) {
        let Some(&length) = same.first() else {
            continue;
        };
        let mut left = same.len();
        if length > 0 {
            runs.push(Run {
                symbol: length,
                extra: 0,
                extra_bits: 0,
            });
            left -= 1;
        }
        while left > 0 {
            let (symbol, least, most, extra_bits) = match (length, left) {
                (0, 11..) => (ZEROS_11_TO_138, 11, 138, 7),
                (0, 3..) => (ZEROS_3_TO_10, 3, 10, 3),
                (1.., 3..) => (REPEAT_LAST, 3, 6, 2),
                _ => (length, 1, 1, 0),
            };
            let taken = left.min(most);
            runs.push(Run {
                symbol,
                extra: (taken - least) as u8,
                extra_bits,
            });
            left -= taken;
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kraft(lengths: &[u8]) -> f64 {
        lengths
            .iter()
            .filter(|&&length| length > 0)
            .map(|&length| 0.5_f64.powi(length.into()))
            .sum()
    }

    #[test]
    fn frequent_symbols_have_short_codes() {
        assert_eq!(lengths(&[8, 4, 2, 1, 0, 1], MAX_LENGTH), [1, 2, 3, 4, 0, 4]);
    }

    #[test]
    fn no_code_is_over_the_limit_and_each_is_complete() {
        let mut fibonacci = vec![1_u32, 1];
        for i in 2..40 {
            fibonacci.push(fibonacci[i - 1] + fibonacci[i - 2]);
        }
        for max in [MAX_LENGTH_OF_LENGTHS, MAX_LENGTH] {
            let lengths = lengths(&fibonacci, max);
            assert!(lengths.iter().all(|&length| length <= max));
            assert_eq!(kraft(&lengths), 1.0);
        }
    }

    #[test]
    fn runs_stand_for_all_lengths() {
        let lengths = [vec![0; 150], vec![3; 8], vec![0; 5], vec![9, 9], vec![0; 2]].concat();
        let mut last = 8;
        let mut seen = Vec::new();
        for Run { symbol, extra, .. } in runs(&lengths) {
            let (length, times) = match symbol {
                REPEAT_LAST => (last, 3 + extra),
                ZEROS_3_TO_10 => (0, 3 + extra),
                ZEROS_11_TO_138 => (0, 11 + extra),
                length => (length, 1),
            };
            if length > 0 {
                last = length;
            }
            seen.extend(std::iter::repeat_n(length, times.into()));
        }
        assert_eq!(seen, lengths);
    }
}

//! References to pixels that were seen before.

use super::Pixel;

/// A reference to fewer pixels would rarely be shorter than they are.
const MIN_LENGTH: usize = 4;
const MAX_LENGTH: usize = 4_096;

/// The format's farthest reference, less the codes that stand for near ones.
const MAX_DISTANCE: usize = (1 << 20) - 120;

/// Places in the table of where a pair of pixels was seen last.
const TABLE_LOG2: u32 = 15;

/// This many pixels repeat those at a distance before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Reference {
    pub(super) at: usize,
    pub(super) length: usize,
    pub(super) distance: usize,
}

/// Find references, from the first pixel to the last.
///
/// At each pixel three places are tried: the pixel before, the row above, and
/// where this pair of pixels was seen last. A search for the longest would cost
/// more time than it saves bytes on photographs, and little is left of the
/// others.
pub(super) fn find(pixels: &[Pixel], width: usize) -> Vec<Reference> {
    let mut references = Vec::new();
    let mut last_seen = vec![u32::MAX; 1 << TABLE_LOG2];
    let mut at = 0;
    while let Some(pair) = pixels.get(at..at + 2) {
        let seen = last_seen
            .get_mut(place(pair))
            .map_or(u32::MAX, |slot| std::mem::replace(slot, at as u32));
        let mut best = Reference {
            at,
            length: 0,
            distance: 0,
        };
        for distance in [at.wrapping_sub(seen as usize), width, 1] {
            if distance == 0 || distance > at || distance > MAX_DISTANCE {
                continue;
            }
            let length = same(pixels, at, distance);
            if length > best.length {
                best = Reference {
                    at,
                    length,
                    distance,
                };
            }
        }
        if best.length < MIN_LENGTH {
            at += 1;
            continue;
        }
        for next in at + 1..at + best.length {
            if let Some(pair) = pixels.get(next..next + 2)
                && let Some(slot) = last_seen.get_mut(place(pair))
            {
                *slot = next as u32;
            }
        }
        at += best.length;
        references.push(best);
    }
    references
}

fn place(pair: &[Pixel]) -> usize {
    let bits = pair.iter().fold(0, |bits, &pixel| {
        bits << 32 | u64::from(u32::from_le_bytes(pixel))
    });
    (bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - TABLE_LOG2)) as usize
}

/// How many pixels from here are the same as those at a distance before.
fn same(pixels: &[Pixel], at: usize, distance: usize) -> usize {
    let here = pixels.get(at..).unwrap_or_default();
    let there = pixels.get(at - distance..).unwrap_or_default();
    here.iter()
        .zip(there)
        .take(MAX_LENGTH)
        .take_while(|(a, b)| a == b)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_one_reference_to_the_pixel_before() {
        assert_eq!(
            find(&[[7; 4]; 100], 10),
            [Reference {
                at: 1,
                length: 99,
                distance: 1
            }]
        );
    }

    #[test]
    fn a_pattern_is_found_where_it_was_seen_last() {
        let mut pixels: Vec<Pixel> = (0..50).map(|i| [i; 4]).collect();
        pixels.extend_from_within(10..30);
        assert_eq!(
            find(&pixels, 7),
            [Reference {
                at: 50,
                length: 20,
                distance: 40
            }]
        );
    }

    #[test]
    fn one_pixel_has_no_references() {
        assert_eq!(find(&[[0; 4]], 1), []);
    }
}

//! How long a packet of Vorbis is (Vorbis I specification, 4.3).

use crate::error::Error;

/// The most modes a stream has: their number takes six bits.
const MOST_MODES: usize = 64;

/// Counts samples, packet by packet.
#[derive(Debug)]
pub(crate) struct Clock {
    /// The sizes of short and long blocks.
    blocks: [u64; 2],
    /// Which modes use long blocks.
    long: Vec<bool>,
    previous: Option<u64>,
}

impl Clock {
    /// From the identification and setup headers.
    pub(crate) fn new(identification: &[u8], setup: &[u8]) -> Result<Self, Error> {
        let damaged = || Error::malformed("the Vorbis headers");
        let sizes = *identification.get(28).ok_or_else(damaged)?;
        Ok(Self {
            blocks: [1 << (sizes & 0x0f), 1 << (sizes >> 4)],
            long: modes(setup).ok_or_else(damaged)?,
            previous: None,
        })
    }

    /// The samples that this packet completes: half of the overlap with the one
    /// before, half of its own. The first completes none.
    pub(crate) fn samples(&mut self, packet: &[u8]) -> u64 {
        let Some(first) = packet.first() else {
            return 0;
        };
        // One bit for the kind of packet, then the number of the mode.
        let most = self.long.len().saturating_sub(1);
        let mask = most.checked_ilog2().map_or(0, |bits| (2 << bits) - 1);
        let mode = usize::from(first >> 1) & mask;
        if first & 1 != 0 {
            return 0;
        }
        let [short, long] = self.blocks;
        let block = match self.long.get(mode) {
            Some(true) => long,
            _ => short,
        };
        let samples = self.previous.map_or(0, |previous| (previous + block) / 4);
        self.previous = Some(block);
        samples
    }
}

/// Which modes use long blocks.
///
/// The modes stand at the very end of the setup header, behind codebooks that can
/// be skipped only by decoding them. So they are read backwards: the framing bit,
/// then for each mode the mapping (8 bits), the transform and the window (16 bits
/// each, always 0) and the size of block (1 bit); in front of them their number
/// less one (6 bits). The largest number that fits is the right one.
fn modes(setup: &[u8]) -> Option<Vec<bool>> {
    let mut bits = setup
        .iter()
        .rev()
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    bits.find(|bit| *bit == 1)?;
    let bits: Vec<u8> = bits.take(MOST_MODES * 41 + 6).collect();
    let number = |bits: &[u8]| {
        bits.iter()
            .fold(0_usize, |n, bit| n << 1 | usize::from(*bit))
    };
    let (modes, _) = bits.as_chunks::<41>();
    let plausible = modes
        .iter()
        .take_while(|mode| {
            let (mapping, rest) = mode.split_at(8);
            let (zeros, _) = rest.split_at(32);
            number(mapping) < 64 && zeros.iter().all(|bit| *bit == 0)
        })
        .count();
    let count = (1..=plausible).rev().find(|count| {
        let before = bits.get(count * 41..count * 41 + 6);
        before.is_some_and(|bits| number(bits) + 1 == *count)
    })?;
    let long = |mode: &[u8; 41]| mode.last() == Some(&1);
    Some(modes.iter().take(count).rev().map(long).collect())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A setup header of nothing but modes with these flags.
    pub(crate) fn setup(long: &[bool]) -> Vec<u8> {
        let mut bits = vec![1; 8];
        let mut push = |value: usize, count: usize| {
            bits.extend((0..count).map(|bit| (value >> bit & 1) as u8));
        };
        push(long.len() - 1, 6);
        for (index, long) in long.iter().enumerate() {
            push((*long).into(), 1);
            push(0, 32);
            push(index, 8);
        }
        push(1, 1);
        let bytes = bits.chunks(8);
        bytes
            .map(|bits| bits.iter().rev().fold(0, |byte, bit| byte << 1 | bit))
            .collect()
    }

    #[test]
    fn modes_are_found_from_the_end() {
        for long in [&[false][..], &[false, true], &[true, false, true]] {
            assert_eq!(modes(&setup(long)).as_deref(), Some(long));
        }
        assert_eq!(modes(&[0; 100]), None);
        assert_eq!(modes(&[]), None);
    }

    #[test]
    fn blocks_overlap_by_half() {
        let mut identification = vec![0; 30];
        identification[28] = 0xb8;
        let mut clock = Clock::new(&identification, &setup(&[false, true])).unwrap();
        let packets = [0b00, 0b00, 0b10, 0b10, 0b00, 0b01];
        let samples = packets.map(|first| clock.samples(&[first]));
        assert_eq!(samples, [0, 128, 576, 1024, 576, 0]);
        assert_eq!(clock.samples(&[]), 0);
    }
}

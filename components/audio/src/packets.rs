//! Where in the file the packets of a track are.

use crate::error::Error;

/// The most packets: over six hours of AAC at 48 kHz, at eight bytes each here.
const MOST_PACKETS: usize = 1 << 20;

/// The largest packet. AAC and MP3 stay under 8 KiB, Opus under 64 KiB.
pub(crate) const LARGEST_PACKET: u32 = 256 * 1024;

/// The largest file, so that an offset takes four bytes here.
pub(crate) const LARGEST_FILE: u64 = u32::MAX as u64;

/// A packet of the track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) offset: u32,
    pub(crate) size: u32,
}

/// The packets of a track, in order.
///
/// They are inside the file, and together no larger than it: what claims more
/// describes the same bytes twice, and would make a small file a large result.
#[derive(Debug)]
pub(crate) struct Packets {
    file_size: u64,
    total: u64,
    list: Vec<Packet>,
}

impl Packets {
    /// No packets of a file of this size.
    pub(crate) fn of(file_size: u64) -> Self {
        Self {
            file_size: file_size.min(LARGEST_FILE),
            total: 0,
            list: Vec::new(),
        }
    }

    /// Add the next one.
    pub(crate) fn push(&mut self, offset: u64, size: u32) -> Result<(), Error> {
        let end = offset.saturating_add(u64::from(size));
        let offset = u32::try_from(offset).unwrap_or(u32::MAX);
        self.total = self.total.saturating_add(u64::from(size));
        if end > self.file_size {
            return Err(Error::malformed("a packet lies outside of the file"));
        }
        if size > LARGEST_PACKET {
            return Err(Error::TooLarge(format!("a packet of {size} bytes")));
        }
        if self.total > self.file_size {
            return Err(Error::malformed("the packets are larger than the file"));
        }
        if self.list.len() >= MOST_PACKETS {
            return Err(Error::TooLarge(format!("more than {MOST_PACKETS} packets")));
        }
        self.list.push(Packet { offset, size });
        Ok(())
    }

    /// The packet at this place.
    pub(crate) fn get(&self, index: usize) -> Option<Packet> {
        self.list.get(index).copied()
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Packet> {
        self.list.iter().copied()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Their size together.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// How many bytes from the packet at `index` on are worth reading at once:
    /// as far as packets lie close together, up to `most`.
    pub(crate) fn stretch(&self, index: usize, most: u32) -> u32 {
        /// Reading over a gap is cheaper than asking again.
        const GAP: u32 = 64 * 1024;
        /// Counting more of them would be work that small packets multiply.
        const MOST: usize = 4096;
        let rest = self.list.get(index..).unwrap_or_default();
        let Some(start) = rest.first().map(|packet| packet.offset) else {
            return 0;
        };
        let mut stretch = 0;
        for packet in rest.iter().take(MOST) {
            let Some(from) = packet.offset.checked_sub(start) else {
                break;
            };
            let end = from.saturating_add(packet.size);
            if from > stretch + GAP || end > most {
                break;
            }
            stretch = stretch.max(end);
        }
        stretch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_inside_the_file_and_not_larger_than_it() {
        let mut packets = Packets::of(10);
        packets.push(4, 6).unwrap();
        assert!(matches!(packets.push(5, 6), Err(Error::Malformed(_))));
        assert!(matches!(
            packets.push(u64::MAX, 1),
            Err(Error::Malformed(_))
        ));
        let mut packets = Packets::of(10);
        packets.push(0, 6).unwrap();
        assert!(matches!(packets.push(0, 6), Err(Error::Malformed(_))));
    }

    #[test]
    fn a_large_packet_is_refused() {
        let mut packets = Packets::of(1 << 30);
        let refused = packets.push(0, LARGEST_PACKET + 1);
        assert!(matches!(refused, Err(Error::TooLarge(_))));
    }

    #[test]
    fn empty_packets_are_bounded_in_number() {
        let mut packets = Packets::of(10);
        let refused = (0..=MOST_PACKETS).find_map(|_| packets.push(0, 0).err());
        assert!(matches!(refused, Some(Error::TooLarge(_))));
    }

    #[test]
    fn a_stretch_ends_at_a_gap_at_the_limit_and_where_it_goes_back() {
        let mut packets = Packets::of(1 << 20);
        for offset in [0, 10, 100_000, 50] {
            packets.push(offset, 10).unwrap();
        }
        assert_eq!(packets.stretch(0, 1000), 20);
        assert_eq!(packets.stretch(0, 15), 10);
        assert_eq!(packets.stretch(2, 1000), 10);
        assert_eq!(packets.stretch(4, 1000), 0);
    }
}

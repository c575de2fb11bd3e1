//! Writing of bits, the lowest first.

/// Collects bits into bytes.
#[derive(Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    pending: u64,
    /// Bits in `pending`, always fewer than 32.
    count: u32,
}

impl BitWriter {
    /// Append the lowest `count` bits of `bits`, of which the others are zero.
    /// `count` is at most 32.
    pub(super) fn put(&mut self, bits: u32, count: u32) {
        self.pending |= u64::from(bits) << self.count;
        self.count += count;
        if self.count >= 32 {
            self.bytes.extend((self.pending as u32).to_le_bytes());
            self.pending >>= 32;
            self.count -= 32;
        }
    }

    /// The bytes, the last of them filled with zeros.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let left = self.count.div_ceil(8) as usize;
        self.bytes
            .extend(self.pending.to_le_bytes().into_iter().take(left));
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_fill_bytes_from_the_lowest() {
        let mut bits = BitWriter::default();
        bits.put(0b1, 1);
        bits.put(0b01, 2);
        bits.put(0xffff_ffff, 32);
        bits.put(0, 0);
        assert_eq!(bits.finish(), [0b1111_1011, 0xff, 0xff, 0xff, 0b111]);
    }
}

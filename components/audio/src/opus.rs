//! How long a packet of Opus is (RFC 6716, 3).

/// The samples in a packet, at 48 kHz. One that is cut off has none.
pub(crate) fn samples(packet: &[u8]) -> u64 {
    let Some(toc) = packet.first() else {
        return 0;
    };
    let frame = match (toc >> 3, toc >> 3 & 3) {
        (0..12, 3) => 2880,
        (0..12, size) => 480 << size,
        (12..16, size) => 480 << (size & 1),
        (_, size) => 120 << size,
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => packet.get(1).map_or(0, |count| u64::from(count & 0x3f)),
    };
    frame * frames
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_says_how_long_a_packet_is() {
        for (packet, expected) in [
            (&[0 << 3][..], 480),
            (&[3 << 3], 2880),
            (&[13 << 3], 960),
            (&[16 << 3], 120),
            (&[31 << 3], 960),
            (&[31 << 3 | 1], 1920),
            (&[31 << 3 | 3, 0x83], 2880),
            (&[31 << 3 | 3], 0),
            (&[], 0),
        ] {
            assert_eq!(samples(packet), expected, "{packet:?}");
        }
    }
}

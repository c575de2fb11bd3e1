//! What the header of an MP3 frame says (ISO/IEC 11172-3, 2.4.1.3).

/// The properties of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) sample_rate: u32,
    pub(crate) channels: u16,
    pub(crate) samples: u32,
}

impl Frame {
    /// Read the header at the beginning of a packet. Returns `None` if it is not
    /// that of layer III.
    pub(crate) fn read(packet: &[u8]) -> Option<Self> {
        let [0xff, second, third, fourth] = *packet.first_chunk()? else {
            return None;
        };
        let is_layer_3 = second & 0b1110_0110 == 0b1110_0010;
        let rate: u32 = match third >> 2 & 3 {
            0 => 44_100,
            1 => 48_000,
            2 => 32_000,
            _ => return None,
        };
        let (rate, samples) = match second >> 3 & 3 {
            3 => (rate, 1152),
            2 => (rate / 2, 576),
            0 => (rate / 4, 576),
            _ => return None,
        };
        is_layer_3.then_some(Self {
            sample_rate: rate,
            channels: if fourth >> 6 == 3 { 1 } else { 2 },
            samples,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_rate_channels_and_length() {
        let read = |header: [u8; 4]| {
            let frame = Frame::read(&header)?;
            Some((frame.sample_rate, frame.channels, frame.samples))
        };
        assert_eq!(read([0xff, 0xfb, 0x90, 0x00]), Some((44_100, 2, 1152)));
        assert_eq!(read([0xff, 0xf3, 0x94, 0xc0]), Some((24_000, 1, 576)));
        assert_eq!(read([0xff, 0xe3, 0x98, 0xc0]), Some((8_000, 1, 576)));
        // Layer II, a reserved rate, no synchronisation.
        assert_eq!(read([0xff, 0xfd, 0x90, 0x00]), None);
        assert_eq!(read([0xff, 0xfb, 0x9c, 0x00]), None);
        assert_eq!(read(*b"ID3\x04"), None);
        assert_eq!(Frame::read(&[0xff, 0xfb]), None);
    }
}

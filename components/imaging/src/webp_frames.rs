//! The sizes that the frames inside of a WebP file promise.
//!
//! The decoder makes room for a frame by the frame's own header, and compares it
//! with the size of the picture afterwards: a picture of one pixel could make it
//! allocate for 268 million.

use crate::error::Refusal;

/// What stands before the chunks that a frame of an animation holds.
const ANIMATION_FRAME_HEADER: usize = 16;

/// Refuse a file with a frame that has more pixels than the picture.
pub(crate) fn check(content: &[u8], width: u32, height: u32) -> Result<(), Refusal> {
    let room = u64::from(width) * u64::from(height);
    for (name, payload) in chunks(content.get(12..).unwrap_or_default()) {
        check_frame(name, payload, room)?;
        if name == b"ANMF" {
            let nested = payload.get(ANIMATION_FRAME_HEADER..).unwrap_or_default();
            for (name, payload) in chunks(nested) {
                check_frame(name, payload, room)?;
            }
        }
    }
    Ok(())
}

fn check_frame(name: &[u8], payload: &[u8], room: u64) -> Result<(), Refusal> {
    match pixels(name, payload) {
        Some(pixels) if pixels > room => Err(Refusal::Malformed(
            "a frame is larger than its picture".into(),
        )),
        _ => Ok(()),
    }
}

/// RFC 9649, sections 2.5 to 2.7: how many pixels this frame has, if it is one.
fn pixels(name: &[u8], payload: &[u8]) -> Option<u64> {
    match (name, payload) {
        (b"VP8 ", &[_, _, _, 0x9d, 0x01, 0x2a, a, b, c, d, ..]) => {
            let width = u16::from_le_bytes([a, b]) & 0x3fff;
            let height = u16::from_le_bytes([c, d]) & 0x3fff;
            Some(u64::from(width) * u64::from(height))
        }
        (b"VP8L", &[0x2f, a, b, c, d, ..]) => {
            let bits = u32::from_le_bytes([a, b, c, d]);
            let (width, height) = ((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1);
            Some(u64::from(width) * u64::from(height))
        }
        (b"ANMF", &[_, _, _, _, _, _, a, b, c, d, e, f, ..]) => {
            let width = u64::from(u32::from_le_bytes([a, b, c, 0])) + 1;
            let height = u64::from(u32::from_le_bytes([d, e, f, 0])) + 1;
            Some(width * height)
        }
        _ => None,
    }
}

/// The chunks of a RIFF file, up to the first that is cut off.
fn chunks(mut rest: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let (name, after) = rest.split_at_checked(4)?;
        let (&size, after) = after.split_first_chunk::<4>()?;
        let size = usize::try_from(u32::from_le_bytes(size)).ok()?;
        // A chunk that is cut off can still hold the header of a frame.
        let payload = after.get(..size).unwrap_or(after);
        rest = after
            .get(size.saturating_add(size % 2)..)
            .unwrap_or_default();
        Some((name, payload))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn a_large_frame_in_a_small_picture_is_refused() {
        let content = samples::webp_with_larger_frame();
        let refusal = crate::header::Header::read(&content).unwrap_err();
        assert_eq!(
            refusal,
            Refusal::Malformed("a frame is larger than its picture".into())
        );
    }

    #[test]
    fn a_frame_as_large_as_its_picture_is_accepted() {
        assert_eq!(check(&samples::webp(), 64, 48), Ok(()));
        assert!(check(&samples::webp(), 64, 47).is_err());
    }

    #[test]
    fn a_chunk_of_no_size_does_not_stop_the_walk() {
        let names: Vec<_> = chunks(b"ABCD\0\0\0\0EFGH\x01\0\0\0x")
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, [b"ABCD", b"EFGH"]);
    }
}

//! Several packets in one block of Matroska (RFC 9559, 10.3).

use crate::{
    ebml::{self, Marker},
    error::Error,
};

/// What the flags of a block say about how the packets share it.
const LACING: u8 = 0x06;
const XIPH: u8 = 0x02;
const FIXED: u8 = 0x04;

/// The sizes of the packets in a block, and where the first one begins.
///
/// `content` is what follows the header of the block, or the beginning of it;
/// `length` is how long it is.
pub(crate) fn sizes(flags: u8, content: &[u8], length: u64) -> Result<(u64, Vec<u32>), Error> {
    if flags & LACING == 0 {
        return Ok((0, vec![fit(length)?]));
    }
    let (last, mut rest) = content.split_first().ok_or_else(damaged)?;
    let mut sizes = Vec::with_capacity(usize::from(*last) + 1);
    match flags & LACING {
        FIXED => {
            let count = u64::from(*last) + 1;
            let each = (length - 1) / count;
            if each * count != length - 1 {
                return Err(damaged());
            }
            sizes.resize(usize::from(*last) + 1, fit(each)?);
            return Ok((1, sizes));
        }
        XIPH => {
            for _ in 0..*last {
                let mut size = 0_u32;
                loop {
                    let (byte, after) = rest.split_first().ok_or_else(damaged)?;
                    rest = after;
                    size = size.saturating_add((*byte).into());
                    if *byte < 255 {
                        break;
                    }
                }
                sizes.push(size);
            }
        }
        _ => {
            let mut size = 0_i64;
            for index in 0..*last {
                let (number, after, length) = ebml::number(rest, Marker::Drop)?;
                rest = after;
                let number = i64::try_from(number).map_err(|_| damaged())?;
                size = match index {
                    0 => number,
                    // Later ones are differences, from the middle of the range.
                    _ => size.saturating_add(number - ((1 << (7 * length - 1)) - 1)),
                };
                sizes.push(u32::try_from(size).map_err(|_| damaged())?);
            }
        }
    }
    let head = (content.len() - rest.len()) as u64;
    let before: u64 = sizes.iter().map(|size| u64::from(*size)).sum();
    let rest = length.checked_sub(head + before).ok_or_else(damaged)?;
    sizes.push(fit(rest)?);
    Ok((head, sizes))
}

fn fit(size: u64) -> Result<u32, Error> {
    u32::try_from(size).map_err(|_| damaged())
}

fn damaged() -> Error {
    Error::malformed("the sizes of packets in a block")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_without_lacing_is_one_packet() {
        assert_eq!(sizes(0x80, &[1, 2], 77), Ok((0, vec![77])));
    }

    #[test]
    fn sizes_stand_in_three_forms() {
        // The last of three takes what is left of 1000 bytes.
        let xiph = [2, 255, 45, 100];
        assert_eq!(sizes(0x02, &xiph, 1000), Ok((4, vec![300, 100, 596])));
        // 300, then 300 - 200: 8191 is the middle of two bytes.
        let (difference, more) = ((8191 - 200) as u16 | 0x4000).to_be_bytes().into();
        let ebml = [2, 0x41, 0x2c, difference, more];
        assert_eq!(sizes(0x06, &ebml, 1000), Ok((5, vec![300, 100, 595])));
        assert_eq!(sizes(0x04, &[2], 301), Ok((1, vec![100, 100, 100])));
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        for (flags, content, length) in [
            (0x02, &[1, 200][..], 100),
            (0x02, &[1, 255], 1000),
            (0x02, &[], 10),
            (0x04, &[2], 300),
            (0x06, &[1, 0x41], 300),
            (0x06, &[2, 0x81, 0x81], 300),
        ] {
            assert!(sizes(flags, content, length).is_err(), "{content:?}");
        }
    }
}

//! The elements of Matroska (RFC 8794).
//!
//! Readers of Matroska pull from a file as they go, and cannot stop halfway to
//! ask for more of it. So the elements, which are simple, are read here.

use crate::error::Error;

/// The most bytes a header takes.
pub(crate) const HEADER: u32 = 12;

/// What stands before the content of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// With its length marker, as specifications write it.
    pub(crate) id: u32,
    /// The bytes of the header itself.
    pub(crate) length: u64,
    /// The bytes of the content; absent, if it ends where something else begins.
    pub(crate) size: Option<u64>,
}

impl Header {
    /// Read a header from the first 12 bytes of an element, or as many as there
    /// are.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Error> {
        let (id, rest, id_length) = number(bytes, Marker::Keep)?;
        let id = match u32::try_from(id) {
            Ok(id) if id_length <= 4 => id,
            _ => return Err(Error::malformed("the name of an element")),
        };
        let (size, _, size_length) = number(rest, Marker::Drop)?;
        // All ones is reserved for what is not known.
        let unknown = (1 << (7 * size_length)) - 1;
        Ok(Self {
            id,
            length: u64::from(id_length + size_length),
            size: (size != unknown).then_some(size),
        })
    }
}

/// What to do with the bit that says how long a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marker {
    Keep,
    Drop,
}

/// Read a number of variable length. Returns it, what follows, and its length.
pub(crate) fn number(bytes: &[u8], marker: Marker) -> Result<(u64, &[u8], u32), Error> {
    let cut_off = || Error::malformed("an element is cut off");
    let first = *bytes.first().ok_or_else(cut_off)?;
    let length = first.leading_zeros() + 1;
    if length > 8 {
        return Err(Error::malformed("the length of a number"));
    }
    let (number, rest) = bytes
        .split_at_checked(length as usize)
        .ok_or_else(cut_off)?;
    let value = unsigned(number);
    let value = match marker {
        Marker::Keep => value,
        Marker::Drop => value & ((1 << (7 * length)) - 1),
    };
    Ok((value, rest, length))
}

/// The elements in the content of another, or an error where they do not fit.
pub(crate) fn children(mut content: &[u8]) -> impl Iterator<Item = Result<(u32, &[u8]), Error>> {
    std::iter::from_fn(move || {
        if content.is_empty() {
            return None;
        }
        let child = split(content);
        content = child.as_ref().map_or(&[], |(_, _, rest)| rest);
        Some(child.map(|(id, body, _)| (id, body)))
    })
}

fn split(content: &[u8]) -> Result<(u32, &[u8], &[u8]), Error> {
    let header = Header::read(content)?;
    let outside = || Error::malformed(format!("the element {:x} is too long", header.id));
    let body = content.get(header.length as usize..).ok_or_else(outside)?;
    let size = header.size.and_then(|size| usize::try_from(size).ok());
    let (body, rest) = size
        .and_then(|size| body.split_at_checked(size))
        .ok_or_else(outside)?;
    Ok((header.id, body, rest))
}

/// A number of up to eight bytes; the last eight count.
pub(crate) fn unsigned(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// A number with a fraction, of four or eight bytes.
pub(crate) fn float(bytes: &[u8]) -> f64 {
    match (bytes.as_array(), bytes.as_array()) {
        (Some(single), _) => f32::from_be_bytes(*single).into(),
        (_, Some(double)) => f64::from_be_bytes(*double),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_says_how_long_it_is() {
        let value =
            |bytes: &[u8]| number(bytes, Marker::Drop).map(|(value, _, length)| (value, length));
        assert_eq!(value(&[0x81]), Ok((1, 1)));
        assert_eq!(value(&[0x40, 0x02, 9]), Ok((2, 2)));
        assert_eq!(value(&[1, 0, 0, 0, 0, 0, 0, 3]), Ok((3, 8)));
        assert!(value(&[0x40]).is_err() && value(&[0]).is_err() && value(&[]).is_err());
    }

    #[test]
    fn a_size_may_be_unknown() {
        let header = Header::read(&[0x1f, 0x43, 0xb6, 0x75, 0xff]).unwrap();
        assert_eq!(
            (header.id, header.length, header.size),
            (0x1f43_b675, 5, None)
        );
        let header = Header::read(&[0xa3, 0x40, 0x7f]).unwrap();
        assert_eq!((header.id, header.size), (0xa3, Some(127)));
    }

    #[test]
    fn children_end_at_the_first_that_does_not_fit() {
        let content = [0xd7, 0x81, 5, 0x83, 0x81, 2, 0x86, 0x85, 1];
        let found: Vec<_> = children(&content).collect();
        assert_eq!(found[0], Ok((0xd7, &[5][..])));
        assert_eq!(found[1], Ok((0x83, &[2][..])));
        assert!(found[2].is_err() && found.len() == 3);
    }

    #[test]
    fn floats_have_two_lengths() {
        assert_eq!(float(&48_000_f32.to_be_bytes()), 48_000.0);
        assert_eq!(float(&44_100_f64.to_be_bytes()), 44_100.0);
        assert_eq!(float(&[]), 0.0);
    }
}

//! The boxes of MP4 and QuickTime (ISO/IEC 14496-12, 4.2).
//!
//! `mp4-atom` reads what is in them. Walking over them is done here, because its
//! own way keeps the whole tree, follows nested boxes without a limit of depth,
//! and takes lengths for `usize`, which has 32 bits in wasm.

use mp4_atom::Atom;

use crate::error::Error;

/// The most bytes a header takes.
pub(crate) const HEADER: u32 = 16;

/// The name of a box.
pub(crate) type Kind = [u8; 4];

/// What stands before the content of a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    /// The bytes of the header itself.
    pub(crate) length: u64,
    /// The bytes of the box with its header; absent, if it reaches to the end.
    pub(crate) size: Option<u64>,
}

impl Header {
    /// Read a header from the first 16 bytes of a box, or as many as there are.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Error> {
        let short = || Error::malformed("a box is cut off");
        let (size, rest) = bytes.split_first_chunk().ok_or_else(short)?;
        let (kind, rest) = rest.split_first_chunk().ok_or_else(short)?;
        let (length, size) = match u32::from_be_bytes(*size) {
            0 => (8, None),
            1 => {
                let size = rest.first_chunk().ok_or_else(short)?;
                (16, Some(u64::from_be_bytes(*size)))
            }
            size => (8, Some(size.into())),
        };
        match size {
            Some(size) if size < length => Err(Error::malformed(format!(
                "the size of a box `{}`",
                name(*kind)
            ))),
            _ => Ok(Self {
                kind: *kind,
                length,
                size,
            }),
        }
    }
}

/// The boxes in the content of another, or an error where they do not fit.
pub(crate) fn children(mut content: &[u8]) -> impl Iterator<Item = Result<(Kind, &[u8]), Error>> {
    std::iter::from_fn(move || {
        // Fewer bytes than a header has are padding.
        if content.len() < 8 {
            return None;
        }
        let child = split(content);
        content = child.as_ref().map_or(&[], |(_, _, rest)| rest);
        Some(child.map(|(kind, body, _)| (kind, body)))
    })
}

fn split(content: &[u8]) -> Result<(Kind, &[u8], &[u8]), Error> {
    let header = Header::read(content)?;
    let outside = || Error::malformed(format!("a box `{}` is too long", name(header.kind)));
    let size = header.size.unwrap_or(content.len() as u64);
    let size = usize::try_from(size).map_err(|_| outside())?;
    let (whole, rest) = content.split_at_checked(size).ok_or_else(outside)?;
    let body = whole.get(header.length as usize..).ok_or_else(outside)?;
    Ok((header.kind, body, rest))
}

/// The first box of this kind in the content of another.
pub(crate) fn find<'a>(content: &'a [u8], kind: &Kind) -> Result<Option<&'a [u8]>, Error> {
    for child in children(content) {
        let (found, body) = child?;
        if found == *kind {
            return Ok(Some(body));
        }
    }
    Ok(None)
}

/// The first box of this kind, which must be there.
pub(crate) fn require<'a>(content: &'a [u8], kind: &Kind) -> Result<&'a [u8], Error> {
    find(content, kind)?
        .ok_or_else(|| Error::malformed(format!("there is no box `{}`", name(*kind))))
}

/// Read the content of a box without children.
pub(crate) fn read<A: Atom>(mut body: &[u8]) -> Result<A, Error> {
    A::decode_body(&mut body).map_err(|error| {
        let kind = A::KIND;
        Error::malformed(format!("a box `{kind}`: {error}"))
    })
}

/// A name as text.
pub(crate) fn name(kind: Kind) -> String {
    kind.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_forms() {
        let read = |bytes: &[u8]| Header::read(bytes).map(|header| (header.length, header.size));
        assert_eq!(read(b"\0\0\0\x09mdat"), Ok((8, Some(9))));
        assert_eq!(read(b"\0\0\0\0mdat"), Ok((8, None)));
        let long = b"\0\0\0\x01mdat\0\0\0\x01\0\0\0\0";
        assert_eq!(read(long), Ok((16, Some(1 << 32))));
    }

    #[test]
    fn a_box_cannot_be_smaller_than_its_header() {
        assert!(Header::read(b"\0\0\0\x07mdat").is_err());
        assert!(Header::read(b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x0f").is_err());
        assert!(Header::read(b"\0\0\0\x01mdat").is_err());
    }

    #[test]
    fn children_end_at_padding_and_at_the_first_that_does_not_fit() {
        let content = b"\0\0\0\x09aaaa1\0\0\0\x08bbbb\0\0\0\0";
        let kinds: Vec<_> = children(content).map(|child| child.unwrap().0).collect();
        assert_eq!(kinds, [*b"aaaa", *b"bbbb"]);
        let content = b"\0\0\0\x09aaaa1\0\0\0\xffbbbb";
        assert_eq!(children(content).filter(Result::is_err).count(), 1);
        assert_eq!(find(content, b"aaaa"), Ok(Some(&b"1"[..])));
        assert!(require(content, b"cccc").is_err());
    }
}

//! What a file is, by its bytes. Its name and its `Content-Type` are only what
//! somebody says.

/// A kind of file that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Png,
    Jpeg,
    /// A GIF of one picture.
    Gif,
    /// A GIF of several pictures.
    AnimatedGif,
    Webp,
    Svg,
    Ogg,
}

impl Kind {
    /// Recognise a file.
    pub(crate) fn of(content: &[u8]) -> Option<Self> {
        match content {
            [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Some(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', rest @ ..] => Some(match pictures(rest) {
                0 | 1 => Self::Gif,
                _ => Self::AnimatedGif,
            }),
            [
                b'R',
                b'I',
                b'F',
                b'F',
                _,
                _,
                _,
                _,
                b'W',
                b'E',
                b'B',
                b'P',
                ..,
            ] => Some(Self::Webp),
            [b'O', b'g', b'g', b'S', ..] => Some(Self::Ogg),
            _ => is_svg(content).then_some(Self::Svg),
        }
    }

    /// Whether it is converted to WebP, which has to be without loss.
    pub(crate) fn is_converted(self) -> bool {
        matches!(self, Self::Png | Self::Jpeg | Self::Gif)
    }

    /// The media type.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Gif | Self::AnimatedGif => "image/gif",
            Self::Webp => "image/webp",
            Self::Svg => "image/svg+xml",
            Self::Ogg => "audio/ogg",
        }
    }

    /// The end of the file name.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::Gif | Self::AnimatedGif => "gif",
            Self::Webp => "webp",
            Self::Svg => "svg",
            Self::Ogg => "ogg",
        }
    }
}

/// How many pictures a GIF has, of the content behind its signature; at most two
/// are counted.
fn pictures(content: &[u8]) -> usize {
    let mut count = 0;
    let mut rest = after_table(content, 4, 7);
    while let Some(block) = rest {
        rest = match block {
            [0x21, _, blocks @ ..] => after_blocks(blocks),
            [0x2c, picture @ ..] => {
                count += 1;
                if count == 2 {
                    return count;
                }
                after_table(picture, 8, 9)
                    .and_then(|data| data.get(1..))
                    .and_then(after_blocks)
            }
            _ => None,
        };
    }
    count
}

/// What follows a descriptor of `length` bytes and the colour table that its byte
/// at `flags` announces.
fn after_table(content: &[u8], flags: usize, length: usize) -> Option<&[u8]> {
    let flags = content.get(flags)?;
    let table = match flags & 0x80 {
        0 => 0,
        _ => 3 << ((flags & 7) + 1),
    };
    content.get(length + table..)
}

/// What follows a sequence of sub-blocks.
fn after_blocks(mut content: &[u8]) -> Option<&[u8]> {
    loop {
        let (length, rest) = content.split_first()?;
        if *length == 0 {
            return Some(rest);
        }
        content = rest.get(usize::from(*length)..)?;
    }
}

/// Whether the root element of a document is `svg`.
fn is_svg(content: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(content) else {
        return false;
    };
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    loop {
        let end = match rest {
            _ if rest.starts_with("<?") => "?>",
            _ if rest.starts_with("<!--") => "-->",
            // One with declarations of its own is nothing a browser needs.
            _ if rest.starts_with("<!DOCTYPE") => ">",
            _ => break,
        };
        match rest.split_once(end) {
            Some((_, after)) => rest = after.trim_start(),
            None => return false,
        }
    }
    rest.strip_prefix("<svg")
        .is_some_and(|rest| rest.starts_with([' ', '\t', '\r', '\n', '>', '/']))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A GIF of one colour with so many pictures.
    fn gif(pictures: usize) -> Vec<u8> {
        let head = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff".to_vec();
        let picture = b"\x21\xf9\x04\0\0\0\0\0\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0";
        [head, picture.repeat(pictures), b"\x3b".to_vec()].concat()
    }

    #[test]
    fn a_file_is_what_its_bytes_say() {
        for (content, kind) in [
            (b"\x89PNG\r\n\x1a\nrest".as_slice(), Some(Kind::Png)),
            (b"\xff\xd8\xff\xe0", Some(Kind::Jpeg)),
            (&gif(1), Some(Kind::Gif)),
            (&gif(2), Some(Kind::AnimatedGif)),
            (&gif(40), Some(Kind::AnimatedGif)),
            (b"GIF89a", Some(Kind::Gif)),
            (b"RIFF\0\0\0\0WEBPVP8L", Some(Kind::Webp)),
            (b"OggS\0\x02", Some(Kind::Ogg)),
            (
                b"<svg xmlns='http://www.w3.org/2000/svg'/>",
                Some(Kind::Svg),
            ),
            (
                b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- a > b -->\n<!DOCTYPE svg>\n<svg>",
                Some(Kind::Svg),
            ),
            (b"<html><svg></svg></html>", None),
            (b"<html>not an image</html>", None),
            (b"<svgx>", None),
            (b"<!-- <svg> ", None),
            (b"MZ", None),
            (b"", None),
        ] {
            assert_eq!(
                Kind::of(content),
                kind,
                "{:?}",
                String::from_utf8_lossy(content)
            );
        }
    }

    #[test]
    fn a_gif_that_ends_early_does_no_harm() {
        let whole = gif(3);
        for end in 0..whole.len() {
            let _ = Kind::of(whole.get(..end).unwrap_or_default());
        }
    }
}

//! What the header of a picture promises, checked before it is believed.

use std::io::Cursor;

use image::codecs::{gif::GifDecoder, png::PngDecoder, webp::WebPDecoder};
use image::metadata::Orientation;
use image::{ImageDecoder, Limits};

use crate::bindings::exports::emporium::imaging::pictures::{
    Format as WitFormat, Properties as WitProperties,
};
use crate::bounds::Plan;
use crate::error::Refusal;
use crate::{jpeg, limits, webp_frames};

/// The formats that are read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Format {
    Png,
    Jpeg,
    Gif,
    Webp,
}

impl Format {
    /// Recognise a format by its first bytes.
    pub(crate) fn recognise(content: &[u8]) -> Option<Self> {
        match content {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
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
            _ => None,
        }
    }
}

/// The header of a picture that is within the limits.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) format: Format,
    /// How the picture as stored is to be turned.
    pub(crate) orientation: Orientation,
    /// Pixels, after the turn.
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl Header {
    /// Read the header, and refuse the picture if it is over a limit.
    pub(crate) fn read(content: &[u8]) -> Result<Self, Refusal> {
        let format = Format::recognise(content).ok_or(Refusal::UnrecognisedFormat)?;
        let stored = match format {
            Format::Png => png(content)?,
            Format::Jpeg => jpeg::read_header(content)?,
            Format::Gif => Stored::read(
                GifDecoder::new(Cursor::new(content)).map_err(Refusal::from_decoding)?,
            )?,
            Format::Webp => webp(content)?,
        };
        limits::check_pixels(stored.width, stored.height)?;
        limits::check_bytes(stored.bytes)?;
        let (width, height) = if swaps_sides(stored.orientation) {
            (stored.height, stored.width)
        } else {
            (stored.width, stored.height)
        };
        Ok(Self {
            format,
            orientation: stored.orientation,
            width,
            height,
        })
    }

    /// A plan for the picture as it is seen, for the picture as it is stored.
    pub(crate) fn as_stored(&self, plan: Plan) -> Plan {
        if swaps_sides(self.orientation) {
            plan.on_its_side()
        } else {
            plan
        }
    }

    pub(crate) fn to_wit(&self) -> WitProperties {
        WitProperties {
            format: match self.format {
                Format::Png => WitFormat::Png,
                Format::Jpeg => WitFormat::Jpeg,
                Format::Gif => WitFormat::Gif,
                Format::Webp => WitFormat::Webp,
            },
            width: self.width,
            height: self.height,
        }
    }
}

/// Whether a turn makes an upright picture of a lying one.
fn swaps_sides(orientation: Orientation) -> bool {
    match orientation {
        Orientation::Rotate90
        | Orientation::Rotate270
        | Orientation::Rotate90FlipH
        | Orientation::Rotate270FlipH => true,
        Orientation::NoTransforms
        | Orientation::Rotate180
        | Orientation::FlipHorizontal
        | Orientation::FlipVertical => false,
    }
}

/// What the decoders may allocate beside the picture: one more of it.
pub(crate) fn decoder_limits() -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(limits::MAX_BYTES);
    limits
}

/// The picture as it lies in the file.
pub(crate) struct Stored {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// What decoding it takes.
    pub(crate) bytes: u64,
    pub(crate) orientation: Orientation,
}

impl Stored {
    fn read(mut decoder: impl ImageDecoder) -> Result<Self, Refusal> {
        let (width, height) = decoder.dimensions();
        Ok(Self {
            width,
            height,
            bytes: decoder.total_bytes(),
            // Damaged metadata is no reason to refuse the picture.
            orientation: decoder.orientation().unwrap_or(Orientation::NoTransforms),
        })
    }
}

/// The size stands at a fixed place, and is checked there first: the decoder
/// reserves memory for a row when it is made.
fn png(content: &[u8]) -> Result<Stored, Refusal> {
    if let Some(&[b'I', b'H', b'D', b'R', a, b, c, d, e, f, g, h]) = content.get(12..24) {
        limits::check_pixels(
            u32::from_be_bytes([a, b, c, d]),
            u32::from_be_bytes([e, f, g, h]),
        )?;
    }
    let decoder = PngDecoder::with_limits(Cursor::new(content), decoder_limits())
        .map_err(Refusal::from_decoding)?;
    Stored::read(decoder)
}

fn webp(content: &[u8]) -> Result<Stored, Refusal> {
    let decoder = WebPDecoder::new(Cursor::new(content)).map_err(Refusal::from_decoding)?;
    let (width, height) = decoder.dimensions();
    limits::check_pixels(width, height)?;
    webp_frames::check(content, width, height)?;
    Stored::read(decoder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn each_format_is_recognised_by_content() {
        for (format, content) in [
            (Format::Png, samples::png()),
            (Format::Jpeg, samples::jpeg()),
            (Format::Gif, samples::gif()),
            (Format::Webp, samples::webp()),
        ] {
            let header = Header::read(&content).unwrap();
            assert_eq!(
                (header.format, header.width, header.height),
                (format, 64, 48)
            );
        }
    }

    #[test]
    fn a_zip_is_not_recognised() {
        let refusal = Header::read(b"PK\x03\x04\x14\0\0\0\x08\0and so on").unwrap_err();
        assert_eq!(refusal, Refusal::UnrecognisedFormat);
    }

    #[test]
    fn nothing_is_not_recognised() {
        assert_eq!(Header::read(b"").unwrap_err(), Refusal::UnrecognisedFormat);
    }

    #[test]
    fn a_png_header_of_60000_by_60000_is_refused() {
        let refusal = Header::read(&samples::png_header(60_000, 60_000, 8, 2)).unwrap_err();
        assert_eq!(refusal, Refusal::TooManyPixels(3_600_000_000));
    }

    #[test]
    fn a_gif_header_of_65535_by_65535_is_refused() {
        let mut content = samples::gif();
        content[6..10].copy_from_slice(&[0xff; 4]);
        let refusal = Header::read(&content).unwrap_err();
        assert_eq!(refusal, Refusal::TooManyPixels(65_535 * 65_535));
    }

    #[test]
    fn a_jpeg_header_of_65000_by_65000_is_refused() {
        let refusal = Header::read(&samples::jpeg_of_size(65_000, 65_000)).unwrap_err();
        assert_eq!(refusal, Refusal::TooManyPixels(4_225_000_000));
    }

    #[test]
    fn a_webp_header_of_16383_by_16383_is_refused() {
        let refusal = Header::read(&samples::webp_of_size(16_383, 16_383)).unwrap_err();
        assert_eq!(refusal, Refusal::TooManyPixels(16_383 * 16_383));
    }

    #[test]
    fn forty_megapixels_of_16_bit_rgba_take_too_much_memory() {
        let refusal = Header::read(&samples::png_header(8_000, 5_000, 16, 6)).unwrap_err();
        assert_eq!(refusal, Refusal::TooMuchMemory(320_000_000));
    }

    #[test]
    fn a_picture_is_probed_as_it_is_seen() {
        let header = Header::read(&samples::jpeg_turned(6)).unwrap();
        assert_eq!((header.width, header.height), (48, 64));
    }
}

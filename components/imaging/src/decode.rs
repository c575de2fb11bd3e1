//! Decoding of a picture whose header was accepted.

use std::io::Cursor;

use image::codecs::{gif::GifDecoder, png::PngDecoder, webp::WebPDecoder};
use image::{DynamicImage, ImageDecoder};

use crate::error::Refusal;
use crate::header::{Format, Header, decoder_limits};
use crate::jpeg;
use crate::raster::Raster;

/// How much of a picture is needed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Detail {
    Full,
    /// Pixels to either side. A decoder may make fewer than are stored, if that
    /// is faster.
    AtLeast {
        width: u32,
        height: u32,
    },
}

/// Decode a picture as it is stored; its orientation is not applied. Of an
/// animation, the first frame.
pub(crate) fn decode(content: &[u8], header: &Header, detail: Detail) -> Result<Raster, Refusal> {
    let content = Cursor::new(content);
    match header.format {
        Format::Png => read(PngDecoder::with_limits(content, decoder_limits())),
        Format::Jpeg => jpeg::decode(content.into_inner(), detail),
        Format::Gif => read(GifDecoder::new(content)),
        Format::Webp => read(WebPDecoder::new(content)),
    }
}

fn read(decoder: Result<impl ImageDecoder, image::ImageError>) -> Result<Raster, Refusal> {
    let mut decoder = decoder.map_err(Refusal::from_decoding)?;
    decoder
        .set_limits(decoder_limits())
        .map_err(Refusal::from_decoding)?;
    let image = DynamicImage::from_decoder(decoder).map_err(Refusal::from_decoding)?;
    Raster::from_image(image)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raster::Layout;
    use crate::samples::{self, BLUE, RED};

    fn decoded(content: &[u8]) -> Raster {
        let header = Header::read(content).unwrap();
        decode(content, &header, Detail::Full).unwrap()
    }

    /// The largest difference of a sample from the flag's, opacity apart.
    fn off(raster: &Raster) -> u8 {
        assert_eq!((raster.width(), raster.height()), (64, 48));
        let channels = raster.layout().channels();
        let difference = |column: usize, colour: [u8; 4]| {
            let rows = raster.samples().chunks(64 * channels);
            let pixels = rows.map(|row| &row[column * channels..][..channels.min(3)]);
            pixels
                .flatten()
                .zip(colour[..3].iter().cycle())
                .map(|(a, b)| a.abs_diff(*b))
                .max()
        };
        difference(8, RED).max(difference(56, BLUE)).unwrap()
    }

    #[test]
    fn formats_without_loss_are_read_exactly() {
        for content in [
            samples::png(),
            samples::webp(),
            samples::gif(),
            samples::PALETTE_PNG.to_vec(),
        ] {
            assert_eq!(off(&decoded(&content)), 0);
        }
    }

    #[test]
    fn formats_with_loss_are_read_nearly() {
        for content in [
            samples::jpeg().as_slice(),
            samples::PROGRESSIVE_JPEG,
            samples::CMYK_JPEG,
            samples::LOSSY_WEBP,
            samples::LOSSY_ALPHA_WEBP,
        ] {
            assert!(off(&decoded(content)) < 16, "{}", off(&decoded(content)));
        }
    }

    #[test]
    fn of_an_animation_the_first_frame_is_read() {
        for content in [
            samples::ANIMATED_GIF,
            samples::ANIMATED_PNG,
            samples::ANIMATED_WEBP,
        ] {
            assert!(off(&decoded(content)) < 16);
        }
    }

    #[test]
    fn samples_of_16_bits_are_reduced_to_8() {
        for layout in [Layout::Grey, Layout::GreyAlpha, Layout::Rgb, Layout::Rgba] {
            assert_eq!(decoded(&samples::deep_png(layout)), samples::flag(layout));
        }
    }

    #[test]
    fn transparency_is_read() {
        let raster = decoded(samples::LOSSY_ALPHA_WEBP);
        assert_eq!(raster.layout(), Layout::Rgba);
        assert_eq!(raster.samples()[3], 128);
    }

    #[test]
    fn a_file_that_is_cut_off_is_malformed() {
        for content in [
            samples::png().as_slice(),
            &samples::jpeg(),
            &samples::gif(),
            &samples::webp(),
            samples::PROGRESSIVE_JPEG,
            samples::LOSSY_WEBP,
        ] {
            let half = &content[..content.len() * 2 / 3];
            let refusal = Header::read(half).and_then(|header| decode(half, &header, Detail::Full));
            assert!(matches!(refusal, Err(Refusal::Malformed(_))), "{refusal:?}");
        }
    }

    #[test]
    fn a_picture_without_its_pixels_is_malformed() {
        let content = samples::png_header(6_000, 6_000, 8, 2);
        let header = Header::read(&content).unwrap();
        let refusal = decode(&content, &header, Detail::Full).unwrap_err();
        assert!(matches!(refusal, Refusal::Malformed(_)), "{refusal:?}");
    }
}

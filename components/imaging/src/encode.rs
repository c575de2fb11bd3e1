//! Writing of pictures.

use jpeg_encoder::{ColorType as JpegColour, Encoder as JpegEncoder};
use png::{BitDepth, ColorType as PngColour, Compression, DeflateCompression, Filter};

use crate::bindings::exports::emporium::imaging::pictures::Encoding as WitEncoding;
use crate::dither::Levels;
use crate::error::Refusal;
use crate::raster::{Layout, Raster};
use crate::vp8l;

/// How to write a picture.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Encoding {
    Png,
    Jpeg(Quality),
    Webp,
}

impl Encoding {
    pub(crate) fn parse(encoding: WitEncoding) -> Result<Self, Refusal> {
        Ok(match encoding {
            WitEncoding::Png => Self::Png,
            WitEncoding::Jpeg(quality) => Self::Jpeg(Quality::parse(quality)?),
            WitEncoding::Webp => Self::Webp,
        })
    }
}

/// From 1 to 100.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quality(u8);

impl Quality {
    pub(crate) fn parse(quality: u8) -> Result<Self, Refusal> {
        match quality {
            1..=100 => Ok(Self(quality)),
            _ => Err(Refusal::InvalidQuality),
        }
    }
}

/// Write a picture, without any metadata.
pub(crate) fn encode(raster: Raster, encoding: Encoding) -> Result<Vec<u8>, Refusal> {
    match encoding {
        Encoding::Png => png(&raster),
        Encoding::Jpeg(quality) => jpeg(&raster.on_white(), quality),
        Encoding::Webp => vp8l::encode(raster),
    }
}

/// Write a dithered picture, whose few colours fit into a palette if it is
/// opaque.
pub(crate) fn dithered_png(raster: &Raster, levels: Levels) -> Result<Vec<u8>, Refusal> {
    match Indexed::of(raster, levels) {
        Some(indexed) => indexed.png(raster.width(), raster.height()),
        None => png(raster),
    }
}

fn png(raster: &Raster) -> Result<Vec<u8>, Refusal> {
    let mut content = Vec::new();
    let mut encoder = png::Encoder::new(&mut content, raster.width(), raster.height());
    encoder.set_color(match raster.layout() {
        Layout::Grey => PngColour::Grayscale,
        Layout::GreyAlpha => PngColour::GrayscaleAlpha,
        Layout::Rgb => PngColour::Rgb,
        Layout::Rgba => PngColour::Rgba,
    });
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Fast);
    let mut writer = encoder.write_header().map_err(Refusal::from_writing)?;
    writer
        .write_image_data(raster.samples())
        .map_err(Refusal::from_writing)?;
    writer.finish().map_err(Refusal::from_writing)?;
    Ok(content)
}

fn jpeg(raster: &Raster, quality: Quality) -> Result<Vec<u8>, Refusal> {
    let (Ok(width), Ok(height)) = (raster.width().try_into(), raster.height().try_into()) else {
        return Err(Refusal::Other(
            "JPEG has at most 65535 pixels to a side".into(),
        ));
    };
    let colour = match raster.layout() {
        Layout::Grey => JpegColour::Luma,
        _ => JpegColour::Rgb,
    };
    let mut content = Vec::new();
    let mut encoder = JpegEncoder::new(&mut content, quality.0);
    encoder.set_optimized_huffman_tables(true);
    encoder
        .encode(raster.samples(), width, height, colour)
        .map_err(Refusal::from_writing)?;
    Ok(content)
}

/// A picture as places in a palette.
struct Indexed {
    depth: BitDepth,
    palette: Vec<u8>,
    /// Places, packed to bytes row by row.
    rows: Vec<u8>,
}

impl Indexed {
    /// Returns none if the picture is transparent, or has too many colours.
    fn of(raster: &Raster, levels: Levels) -> Option<Self> {
        let count = levels.count() as usize;
        let shades: Vec<u8> = levels.shades().collect();
        let channels = raster.layout().channels();
        let palette: Vec<u8> = match raster.layout() {
            Layout::Grey => shades.iter().flat_map(|&shade| [shade; 3]).collect(),
            Layout::Rgb if count <= 6 => shades
                .iter()
                .flat_map(|&r| shades.iter().map(move |&g| (r, g)))
                .flat_map(|(r, g)| shades.iter().flat_map(move |&b| [r, g, b]))
                .collect(),
            _ => return None,
        };
        let (depth, bits) = match palette.len() / 3 {
            ..=2 => (BitDepth::One, 1),
            3..=4 => (BitDepth::Two, 2),
            5..=16 => (BitDepth::Four, 4),
            _ => (BitDepth::Eight, 8),
        };
        let mut places = [0_usize; 256];
        for (place, &shade) in shades.iter().enumerate() {
            if let Some(slot) = places.get_mut(usize::from(shade)) {
                *slot = place;
            }
        }
        let place = |pixel: &[u8]| {
            pixel.iter().fold(0, |place, &shade| {
                place * count + places.get(usize::from(shade)).copied().unwrap_or(0)
            })
        };
        let rows = raster
            .samples()
            .chunks_exact(raster.width() as usize * channels)
            .flat_map(|row| {
                row.chunks(channels * 8 / bits).map(|pixels| {
                    let packed = pixels
                        .chunks_exact(channels)
                        .fold(0, |packed, pixel| packed << bits | place(pixel));
                    let missing = 8 - bits * (pixels.len() / channels);
                    (packed << missing) as u8
                })
            })
            .collect();
        Some(Self {
            depth,
            palette,
            rows,
        })
    }

    fn png(self, width: u32, height: u32) -> Result<Vec<u8>, Refusal> {
        let mut content = Vec::new();
        let mut encoder = png::Encoder::new(&mut content, width, height);
        encoder.set_color(PngColour::Indexed);
        encoder.set_depth(self.depth);
        encoder.set_palette(self.palette);
        encoder.set_deflate_compression(DeflateCompression::Level(2));
        // The difference of two places in a palette means nothing.
        encoder.set_filter(Filter::NoFilter);
        let mut writer = encoder.write_header().map_err(Refusal::from_writing)?;
        writer
            .write_image_data(&self.rows)
            .map_err(Refusal::from_writing)?;
        writer.finish().map_err(Refusal::from_writing)?;
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::exports::emporium::imaging::pictures::Method;
    use crate::decode::{Detail, decode};
    use crate::dither;
    use crate::header::Header;
    use crate::samples;

    const LAYOUTS: [Layout; 4] = [Layout::Grey, Layout::GreyAlpha, Layout::Rgb, Layout::Rgba];

    fn read_back(content: &[u8]) -> Raster {
        decode(content, &Header::read(content).unwrap(), Detail::Full).unwrap()
    }

    #[test]
    fn png_keeps_every_sample() {
        for layout in LAYOUTS {
            let raster = samples::photograph(65, 33, layout);
            assert_eq!(
                read_back(&encode(raster.clone(), Encoding::Png).unwrap()),
                raster
            );
        }
    }

    #[test]
    fn jpeg_of_high_quality_is_near_and_of_low_quality_is_small() {
        let jpeg = |quality| {
            let encoding = Encoding::Jpeg(Quality::parse(quality).unwrap());
            encode(samples::flag(Layout::Rgb), encoding).unwrap()
        };
        let flag = samples::flag(Layout::Rgb);
        let near = read_back(&jpeg(100));
        assert!(
            near.samples()
                .iter()
                .zip(flag.samples())
                .all(|(a, b)| a.abs_diff(*b) < 6)
        );
        assert!(jpeg(1).len() < jpeg(100).len());
    }

    #[test]
    fn transparent_pixels_are_laid_on_white_in_jpeg() {
        let raster = Raster::new(8, 8, Layout::Rgba, vec![0; 256]).unwrap();
        let content = encode(raster, Encoding::Jpeg(Quality(90))).unwrap();
        assert!(
            read_back(&content)
                .samples()
                .iter()
                .all(|&sample| sample == 255)
        );
    }

    #[test]
    fn quality_is_from_1_to_100() {
        for quality in [0, 101, 255] {
            let refusal = Encoding::parse(WitEncoding::Jpeg(quality)).unwrap_err();
            assert_eq!(refusal, Refusal::InvalidQuality);
        }
    }

    #[test]
    fn dithered_pictures_are_kept_whatever_their_depth() {
        for layout in LAYOUTS {
            for count in [2, 3, 4, 5, 6, 7, 16, 17, 200] {
                let levels = Levels::parse(count).unwrap();
                // 61 pixels do not fill the last byte of a row.
                let mut raster = samples::photograph(61, 23, layout);
                dither::dither(&mut raster, levels, Method::FloydSteinberg);
                let read = read_back(&dithered_png(&raster, levels).unwrap());
                let expected = match (layout, read.layout()) {
                    (Layout::Grey, Layout::Rgb) => raster
                        .samples()
                        .iter()
                        .flat_map(|&grey| [grey; 3])
                        .collect(),
                    _ => raster.samples().to_vec(),
                };
                assert_eq!(read.samples(), expected, "{layout:?}, {count} levels");
            }
        }
    }

    #[test]
    fn eight_colours_take_less_than_four_bits_a_pixel() {
        let levels = Levels::parse(2).unwrap();
        let mut raster = samples::photograph(200, 200, Layout::Rgb);
        dither::dither(&mut raster, levels, Method::FloydSteinberg);
        assert!(dithered_png(&raster, levels).unwrap().len() < 200 * 200 / 2);
    }
}

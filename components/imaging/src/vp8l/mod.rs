//! An encoder of WebP without loss (RFC 9649, section 3).
//!
//! A picture becomes small in four steps: green is subtracted from red and blue;
//! each tile is predicted from its neighbours by the predictor that suits it; runs
//! that were seen before become references; and what is left is written in
//! prefix codes of its own statistics.

mod bits;
mod image_data;
mod predictors;
mod prefix_code;
mod references;

use bits::BitWriter;

use crate::error::Refusal;
use crate::raster::{Layout, Raster};

/// The format has 14 bits for a side less one; decoders refuse the last number.
const MAX_SIDE: u32 = (1 << 14) - 1;

const SIGNATURE: u32 = 0x2f;
const PREDICTOR_TRANSFORM: u32 = 0;
const SUBTRACT_GREEN_TRANSFORM: u32 = 2;

/// A pixel as red, green, blue, alpha.
type Pixel = [u8; 4];

/// Write a picture as a WebP file.
pub(crate) fn encode(raster: Raster) -> Result<Vec<u8>, Refusal> {
    let (width, height) = (raster.width(), raster.height());
    if width.max(height) > MAX_SIDE {
        return Err(Refusal::Other(format!(
            "WebP has at most {MAX_SIDE} pixels to a side"
        )));
    }
    let opaque = matches!(raster.layout(), Layout::Grey | Layout::Rgb);
    let mut pixels = pixels(raster);

    let mut bits = BitWriter::default();
    bits.put(SIGNATURE, 8);
    bits.put(width - 1, 14);
    bits.put(height - 1, 14);
    bits.put(u32::from(!opaque), 1);
    bits.put(0, 3);

    bits.put(1, 1);
    bits.put(SUBTRACT_GREEN_TRANSFORM, 2);
    for [red, green, blue, _] in &mut pixels {
        *red = red.wrapping_sub(*green);
        *blue = blue.wrapping_sub(*green);
    }

    bits.put(1, 1);
    bits.put(PREDICTOR_TRANSFORM, 2);
    let tiles = predictors::predict(&mut pixels, width as usize);
    bits.put(tiles.side_log2 - 2, 3);
    image_data::write(
        &mut bits,
        &tiles.modes,
        tiles.across,
        image_data::Role::Modes,
    );

    bits.put(0, 1);
    image_data::write(
        &mut bits,
        &pixels,
        width as usize,
        image_data::Role::Picture,
    );
    Ok(riff(&bits.finish()))
}

fn pixels(raster: Raster) -> Vec<Pixel> {
    let samples = raster.samples();
    match raster.layout() {
        Layout::Grey => samples
            .iter()
            .map(|&grey| [grey, grey, grey, 255])
            .collect(),
        Layout::GreyAlpha => {
            let (pixels, _) = samples.as_chunks::<2>();
            pixels
                .iter()
                .map(|&[grey, alpha]| [grey, grey, grey, alpha])
                .collect()
        }
        Layout::Rgb => {
            let (pixels, _) = samples.as_chunks::<3>();
            pixels.iter().map(|&[r, g, b]| [r, g, b, 255]).collect()
        }
        Layout::Rgba => samples.as_chunks::<4>().0.to_vec(),
    }
}

/// The simple file layout: one chunk, padded to an even length.
fn riff(stream: &[u8]) -> Vec<u8> {
    let padding = stream.len() % 2;
    let mut file = Vec::with_capacity(20 + stream.len() + padding);
    file.extend(b"RIFF");
    file.extend((12 + stream.len() as u32 + padding as u32).to_le_bytes());
    file.extend(b"WEBPVP8L");
    file.extend((stream.len() as u32).to_le_bytes());
    file.extend(stream);
    file.extend(std::iter::repeat_n(0, padding));
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    /// What `image-webp` reads from what is written here.
    fn read_back(raster: &Raster) -> Raster {
        let content = encode(raster.clone()).unwrap();
        let image = image::load_from_memory_with_format(&content, image::ImageFormat::WebP);
        Raster::from_image(image.unwrap()).unwrap()
    }

    #[test]
    fn nothing_is_lost() {
        for layout in [Layout::Rgb, Layout::Rgba] {
            let raster = samples::photograph(301, 97, layout);
            assert_eq!(read_back(&raster), raster);
        }
    }

    #[test]
    fn grey_is_read_back_as_colour() {
        let raster = samples::photograph(50, 50, Layout::Grey);
        let colours: Vec<u8> = raster
            .samples()
            .iter()
            .flat_map(|&grey| [grey; 3])
            .collect();
        assert_eq!(read_back(&raster).samples(), colours);
    }

    #[test]
    fn pictures_of_few_pixels_and_of_odd_shapes_are_kept() {
        for (width, height) in [
            (1, 1),
            (2, 1),
            (1, 2),
            (1, 500),
            (500, 1),
            (8, 8),
            (9, 17),
            (16_383, 2),
        ] {
            let raster = samples::photograph(width, height, Layout::Rgba);
            assert_eq!(read_back(&raster), raster, "{width}x{height}");
        }
    }

    #[test]
    fn a_flag_takes_less_than_a_hundred_bytes() {
        let flag = samples::flag(Layout::Rgb);
        assert_eq!(read_back(&flag), flag);
        assert!(encode(flag).unwrap().len() < 100);
    }

    #[test]
    fn repeated_noise_is_kept_and_small() {
        let noise = samples::photograph(64, 64, Layout::Rgba).into_samples();
        let raster = Raster::new(64, 1_024, Layout::Rgba, noise.repeat(16)).unwrap();
        assert_eq!(read_back(&raster), raster);
        let once = encode(samples::photograph(64, 64, Layout::Rgba))
            .unwrap()
            .len();
        assert!(encode(raster).unwrap().len() < 2 * once);
    }

    #[test]
    fn a_side_over_16383_pixels_is_refused() {
        let raster = Raster::new(16_384, 1, Layout::Grey, vec![0; 16_384]).unwrap();
        assert!(matches!(encode(raster), Err(Refusal::Other(_))));
    }
}

//! Ordered dithering.

use super::Levels;
use crate::raster::{Layout, Raster};

/// How many pixels of a block are brighter than that at each place, of 64.
///
/// Bayer's matrix of side 2n is made of four of side n, times 4, plus 0, 2, 3, 1.
/// So the number at a place has the bits of `x ^ y` and of `y`, their lowest bits
/// in front.
fn thresholds() -> [[u32; 8]; 8] {
    std::array::from_fn(|y| std::array::from_fn(|x| threshold(x as u32, y as u32)))
}

fn threshold(x: u32, y: u32) -> u32 {
    (0..3).fold(0, |number, bit| {
        let pair = ((((x ^ y) >> bit) & 1) << 1) | ((y >> bit) & 1);
        (number << 2) | pair
    })
}

/// Reduce a picture by adding, to each pixel, its place's part of one level, and
/// rounding down.
pub(super) fn bayer(raster: &mut Raster, levels: Levels) {
    let layout = raster.layout();
    let colours = match layout {
        Layout::Grey | Layout::GreyAlpha => 1,
        Layout::Rgb | Layout::Rgba => 3,
    };
    let stride = raster.width() as usize * layout.channels();
    let shades: Vec<u8> = levels.shades().collect();
    let tables = thresholds().map(|row| row.map(|threshold| table(threshold, &shades)));
    let rows = raster.samples_mut().chunks_exact_mut(stride);
    for (row, tables) in rows.zip(tables.iter().cycle()) {
        let pixels = row.chunks_exact_mut(layout.channels());
        for (pixel, table) in pixels.zip(tables.iter().cycle()) {
            for sample in pixel.iter_mut().take(colours) {
                *sample = table.get(usize::from(*sample)).copied().unwrap_or(*sample);
            }
        }
    }
}

/// What each sample becomes at a place of this threshold.
fn table(threshold: u32, shades: &[u8]) -> [u8; 256] {
    let steps = shades.len() as u32 - 1;
    std::array::from_fn(|sample| {
        // The middle of the threshold's 64th, over a common denominator.
        let level = (sample as u32 * steps * 128 + (2 * threshold + 1) * 255) / (255 * 128);
        shades.get(level as usize).copied().unwrap_or(u8::MAX)
    })
}

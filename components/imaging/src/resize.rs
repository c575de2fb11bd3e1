//! Resampling.

use fast_image_resize as fir;
use fir::images::Image;
use fir::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use crate::bounds::Plan;
use crate::error::Refusal;
use crate::raster::{Layout, Raster};

/// Make the picture that was planned.
///
/// Catmull-Rom: as sharp as Lanczos to the eye, with less ringing, over 4 pixels
/// in place of 6. Colours are weighted by their opacity.
pub(crate) fn resize(raster: Raster, plan: Plan) -> Result<Raster, Refusal> {
    if (raster.width(), raster.height()) == (plan.width, plan.height)
        && (plan.seen_width, plan.seen_height) == (1.0, 1.0)
    {
        return Ok(raster);
    }
    let (width, height, layout) = (raster.width(), raster.height(), raster.layout());
    let pixel = match layout {
        Layout::Grey => PixelType::U8,
        Layout::GreyAlpha => PixelType::U8x2,
        Layout::Rgb => PixelType::U8x3,
        Layout::Rgba => PixelType::U8x4,
    };
    let seen_width = f64::from(width) * plan.seen_width;
    let seen_height = f64::from(height) * plan.seen_height;
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom))
        .crop(
            (f64::from(width) - seen_width) / 2.0,
            (f64::from(height) - seen_height) / 2.0,
            seen_width,
            seen_height,
        );
    let old = Image::from_vec_u8(width, height, raster.into_samples(), pixel)
        .map_err(Refusal::from_writing)?;
    let mut new = Image::new(plan.width, plan.height, pixel);
    Resizer::new()
        .resize(&old, &mut new, &options)
        .map_err(Refusal::from_writing)?;
    Raster::new(plan.width, plan.height, layout, new.into_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(width: u32, height: u32, seen_width: f64, seen_height: f64) -> Plan {
        Plan {
            width,
            height,
            seen_width,
            seen_height,
        }
    }

    #[test]
    fn an_even_picture_stays_even_in_each_layout() {
        for layout in [Layout::Grey, Layout::GreyAlpha, Layout::Rgb, Layout::Rgba] {
            let samples = vec![200; 40 * 30 * layout.channels()];
            let raster = Raster::new(40, 30, layout, samples).unwrap();
            let small = resize(raster, plan(7, 5, 1.0, 1.0)).unwrap();
            assert_eq!((small.width(), small.height()), (7, 5));
            assert!(small.samples().iter().all(|&sample| sample == 200));
        }
    }

    #[test]
    fn what_overhangs_is_cut_off_evenly() {
        // Black at both ends, white in the middle half.
        let row = [vec![0; 25], vec![255; 50], vec![0; 25]].concat();
        let raster = Raster::new(100, 50, Layout::Grey, row.repeat(50)).unwrap();
        let square = resize(raster, plan(10, 10, 0.5, 1.0)).unwrap();
        let middle: Vec<_> = square
            .samples()
            .chunks(10)
            .flat_map(|row| &row[1..9])
            .collect();
        assert!(
            middle.iter().all(|&&sample| sample == 255),
            "{:?}",
            square.samples()
        );
    }

    #[test]
    fn the_colour_of_transparent_pixels_does_not_bleed() {
        let samples = [[255, 0, 0, 255], [0, 255, 0, 0]].concat().repeat(50);
        let raster = Raster::new(2, 50, Layout::Rgba, samples).unwrap();
        let small = resize(raster, plan(1, 1, 1.0, 1.0)).unwrap();
        assert!(
            matches!(small.samples(), [254..=255, 0, 0, 126..=129]),
            "{small:?}"
        );
    }

    #[test]
    fn one_pixel_can_be_enlarged() {
        let raster = Raster::new(1, 1, Layout::Rgb, vec![1, 2, 3]).unwrap();
        let large = resize(raster, plan(300, 2, 1.0, 1.0)).unwrap();
        assert_eq!(large.samples(), [1, 2, 3].repeat(600));
    }
}

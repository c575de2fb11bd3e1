//! Decoded pixels: 8 bits a sample, rows from top to bottom.

use image::metadata::Orientation;
use image::{DynamicImage, GrayAlphaImage, GrayImage, RgbImage, RgbaImage};

use crate::error::Refusal;

/// Which samples make a pixel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Layout {
    Grey,
    GreyAlpha,
    Rgb,
    Rgba,
}

impl Layout {
    /// The samples of a pixel.
    pub fn channels(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::GreyAlpha => 2,
            Self::Rgb => 3,
            Self::Rgba => 4,
        }
    }
}

/// A picture in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Raster {
    width: u32,
    height: u32,
    layout: Layout,
    samples: Vec<u8>,
}

impl Raster {
    /// A picture of these samples, of which there must be enough.
    pub fn new(width: u32, height: u32, layout: Layout, samples: Vec<u8>) -> Result<Self, Refusal> {
        let promised = u64::from(width) * u64::from(height) * layout.channels() as u64;
        if samples.len() as u64 != promised || promised == 0 {
            return Err(Refusal::Malformed(
                "there are not as many pixels as promised".into(),
            ));
        }
        Ok(Self {
            width,
            height,
            layout,
            samples,
        })
    }

    /// What the decoders of `image` made, reduced to 8 bits a sample.
    pub(crate) fn from_image(image: DynamicImage) -> Result<Self, Refusal> {
        let (width, height) = (image.width(), image.height());
        let (layout, samples) = match image {
            DynamicImage::ImageLuma8(image) => (Layout::Grey, image.into_raw()),
            DynamicImage::ImageLumaA8(image) => (Layout::GreyAlpha, image.into_raw()),
            DynamicImage::ImageRgb8(image) => (Layout::Rgb, image.into_raw()),
            DynamicImage::ImageRgba8(image) => (Layout::Rgba, image.into_raw()),
            DynamicImage::ImageLuma16(_) => (Layout::Grey, image.into_luma8().into_raw()),
            DynamicImage::ImageLumaA16(_) => {
                (Layout::GreyAlpha, image.into_luma_alpha8().into_raw())
            }
            DynamicImage::ImageRgb16(_) => (Layout::Rgb, image.into_rgb8().into_raw()),
            other => (Layout::Rgba, other.into_rgba8().into_raw()),
        };
        Self::new(width, height, layout, samples)
    }

    pub fn width(&self) -> u32 {
        self.width
    }

    pub fn height(&self) -> u32 {
        self.height
    }

    pub fn layout(&self) -> Layout {
        self.layout
    }

    pub fn samples(&self) -> &[u8] {
        &self.samples
    }

    pub(crate) fn samples_mut(&mut self) -> &mut [u8] {
        &mut self.samples
    }

    pub(crate) fn into_samples(self) -> Vec<u8> {
        self.samples
    }

    /// The picture as it is meant to be seen.
    pub(crate) fn turned(self, orientation: Orientation) -> Result<Self, Refusal> {
        if orientation == Orientation::NoTransforms {
            return Ok(self);
        }
        let mut image = self.into_image()?;
        image.apply_orientation(orientation);
        Self::from_image(image)
    }

    /// The picture without transparency, laid on white.
    pub(crate) fn on_white(self) -> Self {
        let (layout, samples) = match self.layout {
            Layout::Grey | Layout::Rgb => return self,
            Layout::GreyAlpha => {
                let (pixels, _) = self.samples.as_chunks::<2>();
                (
                    Layout::Grey,
                    pixels
                        .iter()
                        .map(|&[grey, alpha]| over_white(grey, alpha))
                        .collect(),
                )
            }
            Layout::Rgba => {
                let (pixels, _) = self.samples.as_chunks::<4>();
                let colours = pixels.iter().flat_map(|&[r, g, b, alpha]| {
                    [r, g, b].map(|sample| over_white(sample, alpha))
                });
                (Layout::Rgb, colours.collect())
            }
        };
        Self {
            layout,
            samples,
            ..self
        }
    }

    fn into_image(self) -> Result<DynamicImage, Refusal> {
        let Self {
            width,
            height,
            layout,
            samples,
        } = self;
        match layout {
            Layout::Grey => GrayImage::from_raw(width, height, samples).map(Into::into),
            Layout::GreyAlpha => GrayAlphaImage::from_raw(width, height, samples).map(Into::into),
            Layout::Rgb => RgbImage::from_raw(width, height, samples).map(Into::into),
            Layout::Rgba => RgbaImage::from_raw(width, height, samples).map(Into::into),
        }
        .ok_or_else(|| Refusal::Other("a raster does not hold its pixels".into()))
    }
}

fn over_white(sample: u8, alpha: u8) -> u8 {
    let (sample, alpha) = (u16::from(sample), u16::from(alpha));
    let mixed = (sample * alpha + 255 * (255 - alpha) + 127) / 255;
    u8::try_from(mixed).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transparent_pixels_become_white_and_opaque_ones_stay() {
        let samples = vec![10, 20, 30, 0, 10, 20, 30, 255, 0, 0, 0, 128];
        let raster = Raster::new(3, 1, Layout::Rgba, samples).unwrap().on_white();
        assert_eq!(raster.layout(), Layout::Rgb);
        assert_eq!(raster.samples(), [255, 255, 255, 10, 20, 30, 127, 127, 127]);
    }

    #[test]
    fn too_few_samples_make_no_raster() {
        assert!(Raster::new(2, 2, Layout::Rgb, vec![0; 11]).is_err());
    }

    #[test]
    fn each_orientation_is_undone() {
        // The corners of a picture of 3 by 2, as it is seen: 1 2 3 / 4 5 6.
        let stored: [(u8, u32, &[u8]); 8] = [
            (1, 3, &[1, 2, 3, 4, 5, 6]),
            (2, 3, &[3, 2, 1, 6, 5, 4]),
            (3, 3, &[6, 5, 4, 3, 2, 1]),
            (4, 3, &[4, 5, 6, 1, 2, 3]),
            (5, 2, &[1, 4, 2, 5, 3, 6]),
            (6, 2, &[3, 6, 2, 5, 1, 4]),
            (7, 2, &[6, 3, 5, 2, 4, 1]),
            (8, 2, &[4, 1, 5, 2, 6, 3]),
        ];
        for (exif, width, samples) in stored {
            let raster = Raster::new(width, 6 / width, Layout::Grey, samples.to_vec()).unwrap();
            let orientation = Orientation::from_exif(exif).unwrap();
            let seen = raster.turned(orientation).unwrap();
            assert_eq!((seen.width(), seen.height()), (3, 2), "orientation {exif}");
            assert_eq!(seen.samples(), [1, 2, 3, 4, 5, 6], "orientation {exif}");
        }
    }
}

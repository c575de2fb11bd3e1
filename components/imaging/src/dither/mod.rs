//! Dithering: fewer levels a channel, with the error made up for nearby.

mod bayer;
mod diffusion;
mod lanes;

use crate::Method;
use crate::error::Refusal;
use crate::raster::Raster;

/// How many levels a channel keeps: from 2 to 256, evenly spaced from 0 to 255.
#[derive(Clone, Copy, Debug)]
pub struct Levels(u32);

impl Levels {
    /// Levels, if there can be as many.
    pub fn parse(levels: u32) -> Result<Self, Refusal> {
        match levels {
            2..=256 => Ok(Self(levels)),
            _ => Err(Refusal::InvalidLevels),
        }
    }

    pub(crate) fn count(self) -> u32 {
        self.0
    }

    /// The sample values of the levels, from dark to bright.
    pub(crate) fn shades(self) -> impl Iterator<Item = u8> {
        let steps = self.0 - 1;
        (0..=steps).map(move |level| ((level * 255 + steps / 2) / steps) as u8)
    }
}

/// Reduce a picture in place. Opacity is kept.
pub fn dither(raster: &mut Raster, levels: Levels, method: Method) {
    match method {
        Method::FloydSteinberg => diffusion::floyd_steinberg(raster, levels),
        Method::Atkinson => diffusion::atkinson(raster, levels),
        Method::Bayer => bayer::bayer(raster, levels),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raster::Layout;
    use crate::samples;

    const METHODS: [Method; 3] = [Method::FloydSteinberg, Method::Bayer, Method::Atkinson];
    const LAYOUTS: [Layout; 4] = [Layout::Grey, Layout::GreyAlpha, Layout::Rgb, Layout::Rgba];

    fn dithered(raster: &Raster, levels: u32, method: Method) -> Raster {
        let mut dithered = raster.clone();
        dither(&mut dithered, Levels::parse(levels).unwrap(), method);
        dithered
    }

    /// The samples of one channel.
    fn channel(raster: &Raster, channel: usize) -> Vec<u8> {
        raster
            .samples()
            .iter()
            .skip(channel)
            .step_by(raster.layout().channels())
            .copied()
            .collect()
    }

    fn colours(layout: Layout) -> usize {
        match layout {
            Layout::Grey | Layout::GreyAlpha => 1,
            Layout::Rgb | Layout::Rgba => 3,
        }
    }

    /// The definitions, one channel at a time, in 53 bits: where the error of a
    /// pixel goes, and how much of it.
    fn plainly(samples: &[u8], width: usize, levels: u32, method: Method) -> Vec<u8> {
        let shares: &[(isize, usize, f64)] = match method {
            Method::FloydSteinberg => &[
                (1, 0, 7.0 / 16.0),
                (-1, 1, 3.0 / 16.0),
                (0, 1, 5.0 / 16.0),
                (1, 1, 1.0 / 16.0),
            ],
            Method::Atkinson => &[
                (1, 0, 0.125),
                (2, 0, 0.125),
                (-1, 1, 0.125),
                (0, 1, 0.125),
                (1, 1, 0.125),
                (0, 2, 0.125),
            ],
            Method::Bayer => unreachable!("no error is passed on"),
        };
        let steps = f64::from(levels - 1);
        let mut values: Vec<f64> = samples
            .iter()
            .map(|&sample| f64::from(sample) / 255.0)
            .collect();
        for at in 0..values.len() {
            let wanted = values[at];
            let given = (wanted * steps).round().clamp(0.0, steps) / steps;
            values[at] = given;
            for &(right, down, share) in shares {
                let x = (at % width)
                    .checked_add_signed(right)
                    .filter(|&x| x < width);
                if let Some(value) = x.and_then(|x| values.get_mut((at / width + down) * width + x))
                {
                    *value += (wanted - given) * share;
                }
            }
        }
        values
            .into_iter()
            .map(|value| (value * 255.0).round() as u8)
            .collect()
    }

    #[test]
    fn diffusion_is_as_defined_in_each_layout_and_at_each_number_of_levels() {
        for method in [Method::FloydSteinberg, Method::Atkinson] {
            for layout in LAYOUTS {
                for levels in [2, 3, 4, 5, 7, 16, 64] {
                    let raster = samples::photograph(173, 91, layout);
                    let dithered = dithered(&raster, levels, method);
                    for index in 0..colours(layout) {
                        let expected = plainly(&channel(&raster, index), 173, levels, method);
                        let got = channel(&dithered, index);
                        let different = got.iter().zip(&expected).filter(|(a, b)| a != b).count();
                        assert!(
                            different * 1_000 <= expected.len(),
                            "{different} of {} differ: {method:?}, {layout:?}, {levels}",
                            expected.len(),
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn at_255_levels_where_errors_are_often_equal_no_sample_is_farther_off_than_one_level() {
        let raster = samples::photograph(173, 91, Layout::Grey);
        let dithered = dithered(&raster, 255, Method::FloydSteinberg);
        let expected = plainly(raster.samples(), 173, 255, Method::FloydSteinberg);
        let pairs = dithered.samples().iter().zip(&expected);
        assert!(pairs.clone().all(|(a, b)| a.abs_diff(*b) <= 2));
        assert!(pairs.filter(|(a, b)| a != b).count() * 10 < expected.len());
    }

    #[test]
    fn bayer_compares_with_the_published_matrix() {
        // The first row of the matrix of 1973, which is its own transpose in part.
        let thresholds = [0, 32, 8, 40, 2, 34, 10, 42];
        for sample in [0, 1, 64, 127, 128, 200, 254, 255] {
            let raster = Raster::new(8, 1, Layout::Grey, vec![sample; 8]).unwrap();
            let expected = thresholds.map(|threshold| {
                let bright = f64::from(sample) / 255.0 + (f64::from(threshold) + 0.5) / 64.0 >= 1.0;
                if bright { 255 } else { 0 }
            });
            assert_eq!(
                dithered(&raster, 2, Method::Bayer).samples(),
                expected,
                "{sample}"
            );
        }
    }

    #[test]
    fn bayer_has_each_of_64_thresholds() {
        for sample in 0..=255_u8 {
            let raster = Raster::new(8, 8, Layout::Grey, vec![sample; 64]).unwrap();
            let white = dithered(&raster, 2, Method::Bayer)
                .samples()
                .iter()
                .filter(|&&s| s == 255)
                .count();
            let expected = f64::from(sample) / 255.0 * 64.0;
            assert!((white as f64 - expected).abs() <= 0.5, "{sample}: {white}");
        }
    }

    #[test]
    fn the_mean_is_kept() {
        // Atkinson passes on three quarters of the error only.
        for (method, tolerance) in [
            (Method::FloydSteinberg, 1.0),
            (Method::Bayer, 1.5),
            (Method::Atkinson, 24.0),
        ] {
            for levels in [2, 3, 8] {
                let raster = samples::photograph(256, 256, Layout::Rgb);
                let dithered = dithered(&raster, levels, method);
                for index in 0..3 {
                    let [before, after] = [&raster, &dithered].map(|raster| {
                        channel(raster, index)
                            .iter()
                            .map(|&sample| f64::from(sample))
                            .sum::<f64>()
                            / 65_536.0
                    });
                    assert!(
                        (before - after).abs() < tolerance,
                        "{method:?} {levels}: {before} {after}"
                    );
                }
            }
        }
    }

    #[test]
    fn opacity_is_untouched() {
        for method in METHODS {
            for (layout, alpha) in [(Layout::GreyAlpha, 1), (Layout::Rgba, 3)] {
                let raster = samples::photograph(75, 33, layout);
                assert_eq!(
                    channel(&dithered(&raster, 2, method), alpha),
                    channel(&raster, alpha)
                );
            }
        }
    }

    #[test]
    fn samples_take_the_shades_of_the_levels_only() {
        for levels in 2..=256 {
            let shades: Vec<u8> = Levels::parse(levels).unwrap().shades().collect();
            assert_eq!((shades.first(), shades.last()), (Some(&0), Some(&255)));
            for method in METHODS {
                let dithered = dithered(&samples::photograph(64, 4, Layout::Rgb), levels, method);
                assert!(
                    dithered
                        .samples()
                        .iter()
                        .all(|sample| shades.contains(sample)),
                    "{method:?} {levels}"
                );
            }
        }
    }

    #[test]
    fn at_256_levels_nothing_changes() {
        for method in METHODS {
            let raster = samples::photograph(64, 64, Layout::Rgba);
            assert_eq!(dithered(&raster, 256, method), raster);
        }
    }

    #[test]
    fn pictures_of_few_pixels_are_dithered() {
        for (width, height) in [(1, 1), (1, 2), (2, 1), (1, 9), (9, 1), (3, 3)] {
            for method in METHODS {
                let raster = Raster::new(
                    width,
                    height,
                    Layout::Grey,
                    vec![255; (width * height) as usize],
                )
                .unwrap();
                assert_eq!(dithered(&raster, 2, method), raster);
            }
        }
    }

    #[test]
    fn levels_are_from_2_to_256() {
        assert_eq!(Levels::parse(1).unwrap_err(), Refusal::InvalidLevels);
        assert_eq!(Levels::parse(257).unwrap_err(), Refusal::InvalidLevels);
    }
}

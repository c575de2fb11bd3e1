//! Error diffusion.
//!
//! Levels are counted in floating point: level 0 is black, level `count - 1` is
//! white, and the error of a pixel is its distance to the level it was given. The
//! parts of the error are those of the definitions, rounded to 24 bits and not
//! clamped; a calculation in 53 bits decides otherwise only where a pixel lies
//! halfway between two levels to six digits.

use super::Levels;
use super::lanes::Lanes;
use crate::raster::{Layout, Raster};

/// Reduce a picture by the method of Floyd and Steinberg.
pub(super) fn floyd_steinberg(raster: &mut Raster, levels: Levels) {
    let width = raster.width() as usize;
    let layout = raster.layout();
    let samples = raster.samples_mut();
    match layout {
        Layout::Grey => by_pairs::<1, 1>(samples, width, levels),
        Layout::GreyAlpha => by_pairs::<2, 1>(samples, width, levels),
        Layout::Rgb => by_pairs::<3, 3>(samples, width, levels),
        Layout::Rgba => by_pairs::<4, 3>(samples, width, levels),
    }
}

/// Reduce a picture by the method of Atkinson.
pub(super) fn atkinson(raster: &mut Raster, levels: Levels) {
    let width = raster.width() as usize;
    let layout = raster.layout();
    let samples = raster.samples_mut();
    match layout {
        Layout::Grey => by_rows::<1, 1>(samples, width, levels),
        Layout::GreyAlpha => by_rows::<2, 1>(samples, width, levels),
        Layout::Rgb => by_rows::<3, 3>(samples, width, levels),
        Layout::Rgba => by_rows::<4, 3>(samples, width, levels),
    }
}

/// Two rows are done at a time, the lower one pixel behind. Each pixel waits for
/// the one before it; meanwhile the processor works on the other row.
fn by_pairs<const SAMPLES: usize, const COLOURS: usize>(
    samples: &mut [u8],
    width: usize,
    levels: Levels,
) {
    let scale = Scale::new(levels);
    // The errors of a row, with one more at each end that stays zero.
    let mut above = vec![Lanes::splat(0.0); width + 2];
    let mut below = above.clone();
    for pair in samples.chunks_mut(2 * width * SAMPLES) {
        let (upper, lower) = pair.split_at_mut(width * SAMPLES);
        let (upper, _) = upper.as_chunks_mut::<SAMPLES>();
        let (lower, _) = lower.as_chunks_mut::<SAMPLES>();
        let mut lower = lower.iter_mut().zip(below.iter_mut().skip(1));
        let mut upper_errors = [Lanes::splat(0.0); 3];
        let mut lower_error = Lanes::splat(0.0);
        for (x, (pixel, &around)) in upper.iter_mut().zip(above.array_windows()).enumerate() {
            let [_, before, last] = upper_errors;
            let error = scale.reduce::<SAMPLES, COLOURS>(
                pixel,
                shares(around),
                last.times(7.0 * SIXTEENTH),
            );
            upper_errors = [before, last, error];
            if x > 0
                && let Some((pixel, error)) = lower.next()
            {
                lower_error = scale.reduce::<SAMPLES, COLOURS>(
                    pixel,
                    shares(upper_errors),
                    lower_error.times(7.0 * SIXTEENTH),
                );
                *error = lower_error;
            }
        }
        if let Some((pixel, error)) = lower.next() {
            let [_, before, last] = upper_errors;
            *error = scale.reduce::<SAMPLES, COLOURS>(
                pixel,
                shares([before, last, Lanes::splat(0.0)]),
                lower_error.times(7.0 * SIXTEENTH),
            );
        }
        std::mem::swap(&mut above, &mut below);
    }
}

/// One row at a time, from the errors of the two before it.
fn by_rows<const SAMPLES: usize, const COLOURS: usize>(
    samples: &mut [u8],
    width: usize,
    levels: Levels,
) {
    let scale = Scale::new(levels);
    let mut two_above = vec![Lanes::splat(0.0); width + 2];
    let mut above = two_above.clone();
    for row in samples.chunks_mut(width * SAMPLES) {
        let (pixels, _) = row.as_chunks_mut::<SAMPLES>();
        let (mut before_last, mut last) = (Lanes::splat(0.0), Lanes::splat(0.0));
        // A pixel is the only one that asks for the error two rows above it, so
        // its own takes that place.
        let columns = above.array_windows().zip(two_above.iter_mut().skip(1));
        for (pixel, (&[left, middle, right], two_above)) in pixels.iter_mut().zip(columns) {
            let sum = left
                .plus(middle)
                .plus(right)
                .plus(*two_above)
                .plus(before_last);
            let error =
                scale.reduce::<SAMPLES, COLOURS>(pixel, sum.times(EIGHTH), last.times(EIGHTH));
            (before_last, last, *two_above) = (last, error, error);
        }
        std::mem::swap(&mut above, &mut two_above);
    }
}

const EIGHTH: f32 = 1.0 / 8.0;
const SIXTEENTH: f32 = 1.0 / 16.0;

/// What a pixel gets from the three above it.
#[inline(always)]
fn shares([left, middle, right]: [Lanes; 3]) -> Lanes {
    left.times(SIXTEENTH)
        .plus(right.times(3.0 * SIXTEENTH))
        .plus(middle.times(5.0 * SIXTEENTH))
}

/// The levels, and how samples are counted in them.
#[derive(Clone, Copy)]
struct Scale {
    brightest: f32,
    /// Steps of a sample for each level.
    steps: f32,
}

impl Scale {
    fn new(levels: Levels) -> Self {
        let brightest = (levels.count() - 1) as f32;
        Self {
            brightest,
            steps: 255.0 / brightest,
        }
    }

    /// Give a pixel its nearest level. Returns the error.
    ///
    /// `late` is the share of the pixel before, added last because it is known
    /// last. The whole levels of the sample are kept apart, so that the errors
    /// beside them have all their bits.
    #[inline(always)]
    fn reduce<const SAMPLES: usize, const COLOURS: usize>(
        self,
        pixel: &mut [u8; SAMPLES],
        early: Lanes,
        late: Lanes,
    ) -> Lanes {
        let mut samples = [0; 4];
        for (lane, sample) in samples.iter_mut().zip(pixel.iter()).take(COLOURS) {
            *lane = *sample;
        }
        // Counted in levels, a sample is a multiple of 1/255. The little that is
        // added makes up for the quotients that are a bit short of a whole one.
        let little = Lanes::splat(0.001);
        let scaled = Lanes::from_samples(samples).times(self.brightest);
        let whole = scaled.times(1.0 / 255.0).plus(little).floor();
        let fraction = scaled.minus(whole.times(255.0)).times(1.0 / 255.0);
        let darkest = Lanes::splat(0.0).minus(whole);
        let brightest = Lanes::splat(self.brightest).minus(whole);

        let wanted = fraction.plus(early).plus(late);
        let given = wanted
            .plus(Lanes::splat(0.5))
            .floor()
            .clamp(darkest, brightest);

        let level = whole.plus(given);
        let shades = level.times(self.steps).plus(little).to_samples();
        for (sample, shade) in pixel.iter_mut().zip(shades).take(COLOURS) {
            *sample = shade;
        }
        wanted.minus(given)
    }
}

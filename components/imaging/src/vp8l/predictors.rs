//! Prediction of each pixel from neighbours that are decoded before it.

use super::Pixel;

/// The predictors of the format, by number (RFC 9649, section 4.1), except those
/// that never suited a tile of a photograph better than another.
const MODES: [u8; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

const TILE_LOG2: u32 = 3;
const TILE: usize = 1 << TILE_LOG2;
const PIXEL: usize = size_of::<Pixel>();

/// What the first pixel is predicted as.
const OPAQUE_BLACK: Pixel = [0, 0, 0, 255];

/// Which predictor each tile has.
pub(super) struct Tiles {
    pub(super) side_log2: u32,
    pub(super) across: usize,
    /// The predictors' numbers, where the format wants them: in green.
    pub(super) modes: Vec<Pixel>,
}

/// Put what the best predictors miss in the place of the pixels.
///
/// Goes from the bottom to the top, because the neighbours above must still be
/// what they were.
pub(super) fn predict(pixels: &mut [Pixel], width: usize) -> Tiles {
    let across = width.div_ceil(TILE);
    let height = pixels.len() / width;
    let mut modes = vec![OPAQUE_BLACK; across * height.div_ceil(TILE)];
    let mut missed = vec![0; width * PIXEL];
    let samples = pixels.as_flattened_mut();
    for (down, modes) in modes.chunks_mut(across).enumerate().rev() {
        let rows = down * TILE..height.min((down + 1) * TILE);
        choose(samples, width, rows.clone(), modes, &mut missed);
        for y in rows.rev() {
            miss_row(samples, width, y, modes, &mut missed);
            if let Some(row) = samples.get_mut(y * width * PIXEL..(y + 1) * width * PIXEL) {
                row.copy_from_slice(&missed);
            }
        }
    }
    Tiles {
        side_log2: TILE_LOG2,
        across,
        modes,
    }
}

/// Choose for each tile of a row of tiles the mode that misses it by the least.
///
/// Whole rows are predicted by each mode in turn: long stretches are what vector
/// instructions are good at.
fn choose(
    samples: &[u8],
    width: usize,
    rows: std::ops::Range<usize>,
    modes: &mut [Pixel],
    missed: &mut [u8],
) {
    let mut misses = vec![MODES.map(|mode| (0_u32, mode)); modes.len()];
    // The first pixel of a row is not predicted by the mode of its tile.
    missed.fill(0);
    for y in rows.skip_while(|&y| y == 0) {
        let neighbours = Neighbours::of(samples, width, y, 1..width);
        for (index, mode) in MODES.into_iter().enumerate() {
            neighbours.miss(mode, missed.get_mut(PIXEL..).unwrap_or_default());
            for (misses, missed) in misses.iter_mut().zip(missed.chunks(TILE * PIXEL)) {
                if let Some((sum, _)) = misses.get_mut(index) {
                    *sum += missed.iter().map(|&by| cost(by)).sum::<u32>();
                }
            }
        }
    }
    for ([_, mode, ..], misses) in modes.iter_mut().zip(misses) {
        *mode = misses.into_iter().min().map_or(0, |(_, mode)| mode);
    }
}

/// About what it costs to write a miss: far ones are rare, and rare ones all cost
/// much the same.
#[inline(always)]
fn cost(missed: u8) -> u32 {
    missed.min(missed.wrapping_neg()).min(24).into()
}

/// Predict a row. Its first pixel is predicted from the one above, and the first
/// row from the left, whatever the mode.
fn miss_row(samples: &[u8], width: usize, y: usize, modes: &[Pixel], missed: &mut [u8]) {
    let row = part(samples, y * width * PIXEL, width * PIXEL);
    if y == 0 {
        subtract(row, &OPAQUE_BLACK, missed);
        subtract(
            part(row, PIXEL, row.len() - PIXEL),
            row,
            missed.get_mut(PIXEL..).unwrap_or_default(),
        );
        return;
    }
    subtract(row, part(samples, (y - 1) * width * PIXEL, PIXEL), missed);
    let mut rest = missed.get_mut(PIXEL..).unwrap_or_default();
    for (column, &[_, mode, ..]) in modes.iter().enumerate() {
        let columns = (column * TILE).max(1)..((column + 1) * TILE).min(width);
        let neighbours = Neighbours::of(samples, width, y, columns);
        if let Some(missed) = rest.split_off_mut(..neighbours.own.len()) {
            neighbours.miss(mode, missed);
        }
    }
}

/// `len` samples, or none if there are not as many.
fn part(samples: &[u8], from: usize, len: usize) -> &[u8] {
    samples.get(from..from + len).unwrap_or_default()
}

fn subtract(own: &[u8], predicted: &[u8], missed: &mut [u8]) {
    for ((missed, own), predicted) in missed.iter_mut().zip(own).zip(predicted) {
        *missed = own.wrapping_sub(*predicted);
    }
}

/// The samples of a stretch of a row, and those around it, all of one length.
#[derive(Clone, Copy)]
struct Neighbours<'a> {
    own: &'a [u8],
    left: &'a [u8],
    above: &'a [u8],
    above_left: &'a [u8],
    above_right: &'a [u8],
}

impl<'a> Neighbours<'a> {
    /// A stretch without the first row and the first column of the picture.
    ///
    /// Above and to the right of the last pixel of a row is, by the format, the
    /// first pixel of that row: the next one in memory.
    fn of(samples: &'a [u8], width: usize, y: usize, columns: std::ops::Range<usize>) -> Self {
        let len = columns.len() * PIXEL;
        let own = (y * width + columns.start) * PIXEL;
        let above = own - width * PIXEL;
        Self {
            own: part(samples, own, len),
            left: part(samples, own - PIXEL, len),
            above: part(samples, above, len),
            above_left: part(samples, above - PIXEL, len),
            above_right: part(samples, above + PIXEL, len),
        }
    }

    /// Write by how much a predictor misses.
    fn miss(self, mode: u8, missed: &mut [u8]) {
        match mode {
            1 => subtract(self.own, self.left, missed),
            2 => subtract(self.own, self.above, missed),
            3 => subtract(self.own, self.above_right, missed),
            4 => subtract(self.own, self.above_left, missed),
            5 => self.each(missed, |l, t, _, tr| mean(mean(l, tr), t)),
            6 => self.each(missed, |l, _, tl, _| mean(l, tl)),
            7 => self.each(missed, |l, t, _, _| mean(l, t)),
            8 => self.each(missed, |_, t, tl, _| mean(tl, t)),
            9 => self.each(missed, |_, t, _, tr| mean(t, tr)),
            10 => self.each(missed, |l, t, tl, tr| mean(mean(l, tl), mean(t, tr))),
            11 => self.select(missed),
            12 => self.each(missed, |l, t, tl, _| {
                let gradient = i16::from(l) + i16::from(t) - i16::from(tl);
                gradient.clamp(0, 255) as u8
            }),
            _ => self.each(missed, |l, t, tl, _| {
                let mean = i16::from(mean(l, t));
                (mean + (mean - i16::from(tl)) / 2).clamp(0, 255) as u8
            }),
        }
    }

    #[inline(always)]
    fn each(self, missed: &mut [u8], predict: impl Fn(u8, u8, u8, u8) -> u8) {
        let above = self.above.iter().zip(self.above_left).zip(self.above_right);
        let around = self.left.iter().zip(above);
        for ((missed, own), (left, ((above, above_left), above_right))) in
            missed.iter_mut().zip(self.own).zip(around)
        {
            *missed = own.wrapping_sub(predict(*left, *above, *above_left, *above_right));
        }
    }

    /// Left or above, whichever is nearer to the gradient over all channels.
    fn select(self, missed: &mut [u8]) {
        let (missed, _) = missed.as_chunks_mut::<PIXEL>();
        let [own, left, above, above_left] = [self.own, self.left, self.above, self.above_left]
            .map(|samples| samples.as_chunks::<PIXEL>().0);
        for ((missed, own), (left, (above, above_left))) in missed
            .iter_mut()
            .zip(own)
            .zip(left.iter().zip(above.iter().zip(above_left)))
        {
            let nearer = if distance(above, above_left) < distance(left, above_left) {
                left
            } else {
                above
            };
            subtract(own, nearer, missed);
        }
    }
}

#[inline(always)]
fn mean(a: u8, b: u8) -> u8 {
    (a & b) + ((a ^ b) >> 1)
}

fn distance(a: &Pixel, b: &Pixel) -> u32 {
    a.iter()
        .zip(b)
        .map(|(a, b)| u32::from(a.abs_diff(*b)))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mode_predicts_as_the_format_says() {
        // Own, left, above, above left, above right: one pixel each.
        let [own, left, above, above_left, above_right] = [
            [9, 9, 9, 9],
            [100, 7, 250, 1],
            [201, 8, 250, 1],
            [50, 4, 10, 9],
            [0, 30, 3, 255],
        ];
        let predicted: [(u8, [u8; 4]); 13] = [
            (1, left),
            (2, above),
            (3, above_right),
            (4, above_left),
            (5, [125, 13, 188, 64]),
            (6, [75, 5, 130, 5]),
            (7, [150, 7, 250, 1]),
            (8, [125, 6, 130, 5]),
            (9, [100, 19, 126, 128]),
            (10, [87, 12, 128, 66]),
            (11, above),
            (12, [251, 11, 255, 0]),
            (13, [200, 8, 255, 0]),
        ];
        for (mode, predicted) in predicted {
            let neighbours = Neighbours {
                own: &own,
                left: &left,
                above: &above,
                above_left: &above_left,
                above_right: &above_right,
            };
            let mut missed = [0; 4];
            neighbours.miss(mode, &mut missed);
            let mut expected = [0; 4];
            subtract(&own, &predicted, &mut expected);
            assert_eq!(missed, expected, "mode {mode}");
        }
    }

    #[test]
    fn an_even_picture_misses_nothing_but_its_first_pixel() {
        let mut pixels = vec![[1, 2, 3, 255]; 30 * 20];
        predict(&mut pixels, 30);
        assert_eq!(pixels.first(), Some(&[1, 2, 3, 0]));
        assert!(pixels.iter().skip(1).all(|&pixel| pixel == [0; 4]));
    }
}

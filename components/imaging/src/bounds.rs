//! The rectangle a picture is fitted into, and what follows from it.

use crate::bindings::exports::emporium::imaging::pictures::{Bounds as WitBounds, Fit};
use crate::decode::Detail;
use crate::error::Refusal;
use crate::limits;

const SIDES: std::ops::RangeInclusive<u32> = 1..=16_384;

/// Bounds with at least one side, and each in range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    width: Option<u32>,
    height: Option<u32>,
    fit: Fit,
}

/// What to make of a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Plan {
    /// The size of the new picture.
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// How much of the old picture is seen in the new one, from 0 to 1.
    pub(crate) seen_width: f64,
    pub(crate) seen_height: f64,
}

impl Bounds {
    pub(crate) fn parse(bounds: WitBounds) -> Result<Self, Refusal> {
        let WitBounds { width, height, fit } = bounds;
        if width.or(height).is_none() {
            return Err(Refusal::InvalidBounds);
        }
        if [width, height]
            .into_iter()
            .flatten()
            .any(|side| !SIDES.contains(&side))
        {
            return Err(Refusal::InvalidBounds);
        }
        Ok(Self { width, height, fit })
    }

    /// Plan the new picture of one that has this size.
    ///
    /// Returns `Refusal::InvalidBounds` if the side that was left open comes out
    /// of range, and `Refusal::TooManyPixels` if the new picture would be larger
    /// than those that are read.
    pub(crate) fn plan(self, width: u32, height: u32) -> Result<Plan, Refusal> {
        let across = self.width.map(|side| f64::from(side) / f64::from(width));
        let down = self.height.map(|side| f64::from(side) / f64::from(height));
        let plan = match (self.fit, across, down) {
            (Fit::Contain, ..) => {
                let scale = across.unwrap_or(1.0).min(down.unwrap_or(1.0)).min(1.0);
                Plan::whole(scaled(width, scale), scaled(height, scale))
            }
            (Fit::Cover | Fit::Fill, Some(scale), None)
            | (Fit::Cover | Fit::Fill, None, Some(scale)) => Plan::whole(
                self.width.unwrap_or(scaled(width, scale)),
                self.height.unwrap_or(scaled(height, scale)),
            ),
            (Fit::Fill, ..) => {
                Plan::whole(self.width.unwrap_or(width), self.height.unwrap_or(height))
            }
            (Fit::Cover, ..) => {
                let (across, down) = (across.unwrap_or(1.0), down.unwrap_or(1.0));
                let scale = across.max(down);
                Plan {
                    width: self.width.unwrap_or(width),
                    height: self.height.unwrap_or(height),
                    seen_width: across / scale,
                    seen_height: down / scale,
                }
            }
        };
        if !SIDES.contains(&plan.width) && plan.width > width
            || !SIDES.contains(&plan.height) && plan.height > height
        {
            return Err(Refusal::InvalidBounds);
        }
        limits::check_pixels(plan.width, plan.height)?;
        Ok(plan)
    }
}

impl Plan {
    fn whole(width: u32, height: u32) -> Self {
        Self {
            width,
            height,
            seen_width: 1.0,
            seen_height: 1.0,
        }
    }

    /// The same plan for the picture lying on its side.
    pub(crate) fn on_its_side(self) -> Self {
        Self {
            width: self.height,
            height: self.width,
            seen_width: self.seen_height,
            seen_height: self.seen_width,
        }
    }

    /// How many pixels the whole of the old picture would have beside the new one.
    pub(crate) fn detail(self) -> Detail {
        Detail::AtLeast {
            width: (f64::from(self.width) / self.seen_width).ceil() as u32,
            height: (f64::from(self.height) / self.seen_height).ceil() as u32,
        }
    }
}

fn scaled(side: u32, scale: f64) -> u32 {
    ((f64::from(side) * scale).round() as u32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(
        width: impl Into<Option<u32>>,
        height: impl Into<Option<u32>>,
        fit: Fit,
    ) -> WitBounds {
        WitBounds {
            width: width.into(),
            height: height.into(),
            fit,
        }
    }

    fn size(bounds: WitBounds, width: u32, height: u32) -> (u32, u32) {
        let plan = Bounds::parse(bounds).unwrap().plan(width, height).unwrap();
        (plan.width, plan.height)
    }

    #[test]
    fn contain_keeps_the_proportions() {
        assert_eq!(
            size(bounds(320, 320, Fit::Contain), 4_000, 3_000),
            (320, 240)
        );
        assert_eq!(
            size(bounds(320, None, Fit::Contain), 4_000, 3_000),
            (320, 240)
        );
        assert_eq!(
            size(bounds(None, 320, Fit::Contain), 3_000, 4_000),
            (240, 320)
        );
    }

    #[test]
    fn contain_does_not_enlarge() {
        assert_eq!(size(bounds(800, 800, Fit::Contain), 40, 30), (40, 30));
    }

    #[test]
    fn a_line_does_not_shrink_to_nothing() {
        assert_eq!(size(bounds(100, 100, Fit::Contain), 9_000, 1), (100, 1));
        assert_eq!(size(bounds(100, 100, Fit::Contain), 1, 9_000), (1, 100));
    }

    #[test]
    fn cover_and_fill_take_the_size_of_the_bounds() {
        assert_eq!(size(bounds(100, 100, Fit::Cover), 4_000, 3_000), (100, 100));
        assert_eq!(size(bounds(100, 100, Fit::Fill), 40, 30), (100, 100));
    }

    #[test]
    fn cover_cuts_off_what_overhangs() {
        let plan = Bounds::parse(bounds(100, 100, Fit::Cover))
            .unwrap()
            .plan(400, 300)
            .unwrap();
        assert_eq!((plan.seen_width, plan.seen_height), (0.75, 1.0));
        assert_eq!(
            plan.detail(),
            Detail::AtLeast {
                width: 134,
                height: 100
            }
        );
    }

    #[test]
    fn with_one_side_absent_cover_and_fill_keep_the_proportions() {
        assert_eq!(size(bounds(800, None, Fit::Cover), 40, 30), (800, 600));
        assert_eq!(size(bounds(None, 60, Fit::Fill), 40, 30), (80, 60));
    }

    #[test]
    fn bounds_without_a_side_are_invalid() {
        let refusal = Bounds::parse(bounds(None, None, Fit::Cover)).unwrap_err();
        assert_eq!(refusal, Refusal::InvalidBounds);
    }

    #[test]
    fn a_side_out_of_range_is_invalid() {
        for side in [0, 16_385, u32::MAX] {
            let refusal = Bounds::parse(bounds(side, 5, Fit::Contain)).unwrap_err();
            assert_eq!(refusal, Refusal::InvalidBounds);
        }
    }

    #[test]
    fn a_side_that_follows_out_of_range_is_invalid() {
        let bounds = Bounds::parse(bounds(16_384, None, Fit::Cover)).unwrap();
        assert_eq!(bounds.plan(1, 1_000).unwrap_err(), Refusal::InvalidBounds);
    }

    #[test]
    fn more_pixels_than_are_read_are_not_made() {
        let bounds = Bounds::parse(bounds(16_384, 16_384, Fit::Fill)).unwrap();
        assert_eq!(
            bounds.plan(10, 10).unwrap_err(),
            Refusal::TooManyPixels(16_384 * 16_384)
        );
    }
}

//! How large a picture may be, from its header alone.

use crate::error::Refusal;

/// More than any common camera makes; 50 megapixels in RGBA are 200 MB.
pub(crate) const MAX_PIXELS: u64 = 50_000_000;

/// For decoded samples. Pictures of 16 bits a sample reach it before the limit of
/// pixels.
pub(crate) const MAX_BYTES: u64 = 256 << 20;

/// Refuse a picture that is too large, before anything of its size is allocated.
pub(crate) fn check_pixels(width: u32, height: u32) -> Result<(), Refusal> {
    let pixels = u64::from(width) * u64::from(height);
    match pixels {
        0 => Err(Refusal::Malformed("the picture has no pixels".into())),
        1..=MAX_PIXELS => Ok(()),
        _ => Err(Refusal::TooManyPixels(pixels)),
    }
}

/// Refuse a picture whose decoder needs too much.
pub(crate) fn check_bytes(bytes: u64) -> Result<(), Refusal> {
    if bytes > MAX_BYTES {
        return Err(Refusal::TooMuchMemory(bytes));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifty_megapixels_are_accepted_and_no_more() {
        assert_eq!(check_pixels(10_000, 5_000), Ok(()));
        assert_eq!(
            check_pixels(10_000, 5_001),
            Err(Refusal::TooManyPixels(50_010_000))
        );
    }

    #[test]
    fn sides_whose_product_overflows_32_bits_are_counted_right() {
        assert_eq!(
            check_pixels(60_000, 80_000),
            Err(Refusal::TooManyPixels(4_800_000_000))
        );
    }

    #[test]
    fn a_picture_without_pixels_is_malformed() {
        assert!(matches!(check_pixels(0, 9), Err(Refusal::Malformed(_))));
    }

    #[test]
    fn a_quarter_gibibyte_is_accepted_and_no_more() {
        assert_eq!(check_bytes(MAX_BYTES), Ok(()));
        assert_eq!(
            check_bytes(MAX_BYTES + 1),
            Err(Refusal::TooMuchMemory(MAX_BYTES + 1))
        );
    }
}

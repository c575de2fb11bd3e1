//! Reading of JPEG, at a fraction of its size where that is enough.
//!
//! A decoder that needs an eighth of the width takes the mean of each block of
//! 8x8, which is stored as such, and skips the inverse transform.

use image::metadata::Orientation;
use jpeg_decoder::{CodingProcess, Decoder, Error, ImageInfo, PixelFormat};

use crate::decode::Detail;
use crate::error::Refusal;
use crate::header::Stored;
use crate::limits;
use crate::raster::{Layout, Raster};

/// Each scan of a progressive file touches the whole picture, however short the
/// scan is. Encoders write about ten.
const MAX_SCANS: usize = 100;

/// Read the size and the orientation.
pub(crate) fn read_header(content: &[u8]) -> Result<Stored, Refusal> {
    let mut decoder = Decoder::new(content);
    let info = read_info(&mut decoder)?;
    let samples = u64::from(info.width) * u64::from(info.height) * channels(info.pixel_format);
    let bytes = match info.coding_process {
        // All coefficients are kept until the last scan, in 16 bits each.
        CodingProcess::DctProgressive => samples * 2,
        CodingProcess::DctSequential | CodingProcess::Lossless => samples,
    };
    Ok(Stored {
        width: info.width.into(),
        height: info.height.into(),
        bytes,
        orientation: decoder
            .exif_data()
            .and_then(Orientation::from_exif_chunk)
            .unwrap_or(Orientation::NoTransforms),
    })
}

/// Decode a picture whose header was accepted.
pub(crate) fn decode(content: &[u8], detail: Detail) -> Result<Raster, Refusal> {
    let scans = content
        .windows(2)
        .filter(|pair| pair == b"\xff\xda")
        .count();
    if scans > MAX_SCANS {
        return Err(Refusal::Malformed(format!("{scans} scans are too many")));
    }
    let mut decoder = Decoder::new(content);
    decoder.set_max_decoding_buffer_size(usize::try_from(limits::MAX_BYTES).unwrap_or(usize::MAX));
    let stored = read_info(&mut decoder)?;
    if stored.coding_process != CodingProcess::Lossless {
        let (width, height) = reduced(stored, detail);
        decoder.scale(width, height).map_err(refusal)?;
    }
    let samples = decoder.decode().map_err(refusal)?;
    let info = decoder.info().unwrap_or(stored);
    let (layout, samples) = match info.pixel_format {
        PixelFormat::L8 => (Layout::Grey, samples),
        PixelFormat::RGB24 => (Layout::Rgb, samples),
        PixelFormat::CMYK32 => (Layout::Rgb, rgb_from_cmyk(&samples)),
        PixelFormat::L16 => return Err(Refusal::Other("JPEG of 16 bits a sample".into())),
    };
    Raster::new(info.width.into(), info.height.into(), layout, samples)
}

/// The smallest size the decoder can make that has the detail asked for.
fn reduced(stored: ImageInfo, detail: Detail) -> (u16, u16) {
    let Detail::AtLeast { width, height } = detail else {
        return (stored.width, stored.height);
    };
    [8, 4, 2]
        .map(|divisor| {
            (
                stored.width.div_ceil(divisor),
                stored.height.div_ceil(divisor),
            )
        })
        .into_iter()
        .find(|&(w, h)| u32::from(w) >= width && u32::from(h) >= height)
        .unwrap_or((stored.width, stored.height))
}

fn read_info(decoder: &mut Decoder<&[u8]>) -> Result<ImageInfo, Refusal> {
    decoder.read_info().map_err(refusal)?;
    decoder
        .info()
        .ok_or_else(|| Refusal::Malformed("there is no frame".into()))
}

fn channels(format: PixelFormat) -> u64 {
    match format {
        PixelFormat::L8 => 1,
        PixelFormat::L16 => 2,
        PixelFormat::RGB24 => 3,
        PixelFormat::CMYK32 => 4,
    }
}

/// The decoder hands inks over; paper shows what neither its ink nor the black
/// takes away.
fn rgb_from_cmyk(samples: &[u8]) -> Vec<u8> {
    let (pixels, _) = samples.as_chunks::<4>();
    pixels
        .iter()
        .flat_map(|&[c, m, y, k]| [c, m, y].map(|ink| paper(ink, k)))
        .collect()
}

fn paper(ink: u8, black: u8) -> u8 {
    let product = u16::from(255 - ink) * u16::from(255 - black);
    u8::try_from((product + 127) / 255).unwrap_or(u8::MAX)
}

fn refusal(error: Error) -> Refusal {
    match error {
        Error::Unsupported(feature) => Refusal::Other(format!("JPEG with {feature:?}")),
        other => Refusal::Malformed(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn a_decoder_that_may_reduce_decodes_an_eighth() {
        let raster = decode(
            &samples::jpeg(),
            Detail::AtLeast {
                width: 8,
                height: 6,
            },
        )
        .unwrap();
        assert_eq!((raster.width(), raster.height()), (8, 6));
    }

    #[test]
    fn the_shorter_side_keeps_its_detail_too() {
        let raster = decode(
            &samples::jpeg(),
            Detail::AtLeast {
                width: 8,
                height: 24,
            },
        )
        .unwrap();
        assert_eq!((raster.width(), raster.height()), (32, 24));
    }

    #[test]
    fn ten_thousand_scans_are_refused() {
        let mut content = samples::jpeg();
        content.extend([0xff, 0xda].repeat(10_000));
        assert!(matches!(
            decode(&content, Detail::Full),
            Err(Refusal::Malformed(_))
        ));
    }

    #[test]
    fn inks_on_paper_become_colours() {
        let inks = [0, 0, 0, 0, 255, 0, 0, 0, 0, 0, 0, 255];
        assert_eq!(rgb_from_cmyk(&inks), [255, 255, 255, 0, 255, 255, 0, 0, 0]);
    }
}

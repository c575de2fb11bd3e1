#![doc = include_str!("../README.md")]
#![cfg_attr(
    test,
    expect(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "a test fails by panicking"
    )
)]

mod bounds;
mod decode;
pub mod dither;
mod encode;
pub mod error;
mod header;
mod jpeg;
mod limits;
pub mod raster;
mod resize;
mod vp8l;
mod webp_frames;

#[cfg(test)]
mod samples;

pub use bindings::exports::emporium::imaging::pictures::Method;
use bindings::exports::emporium::imaging::pictures::{
    Bounds as WitBounds, Encoding as WitEncoding, Error as WitError, Guest, Picture, Properties,
};
use bounds::Bounds;
use decode::Detail;
use dither::Levels;
use encode::Encoding;
use header::Header;
use raster::Raster;

mod bindings {
    wit_bindgen::generate!({
        world: "imaging",
        path: "../../wit",
        generate_all,
    });
}

/// The component. Public for the tests and measurements of other targets.
pub struct Component;

impl Guest for Component {
    fn probe(content: Vec<u8>) -> Result<Properties, WitError> {
        Ok(Header::read(&content)?.to_wit())
    }

    fn convert(content: Vec<u8>, encoding: WitEncoding) -> Result<Picture, WitError> {
        let encoding = Encoding::parse(encoding)?;
        let header = Header::read(&content)?;
        let raster = decode::decode(&content, &header, Detail::Full)?;
        drop(content);
        write(raster.turned(header.orientation)?, encoding)
    }

    fn resize(
        content: Vec<u8>,
        bounds: WitBounds,
        encoding: WitEncoding,
    ) -> Result<Picture, WitError> {
        let bounds = Bounds::parse(bounds)?;
        let encoding = Encoding::parse(encoding)?;
        let header = Header::read(&content)?;
        // Turned last, when there are fewer pixels to turn.
        let plan = header.as_stored(bounds.plan(header.width, header.height)?);
        let raster = decode::decode(&content, &header, plan.detail())?;
        drop(content);
        write(
            resize::resize(raster, plan)?.turned(header.orientation)?,
            encoding,
        )
    }

    fn dither(content: Vec<u8>, levels: u32, method: Method) -> Result<Picture, WitError> {
        let levels = Levels::parse(levels)?;
        let header = Header::read(&content)?;
        let raster = decode::decode(&content, &header, Detail::Full)?;
        drop(content);
        let mut raster = raster.turned(header.orientation)?;
        dither::dither(&mut raster, levels, method);
        let (width, height) = (raster.width(), raster.height());
        let content = encode::dithered_png(&raster, levels)?;
        Ok(Picture {
            content,
            width,
            height,
        })
    }
}

fn write(raster: Raster, encoding: Encoding) -> Result<Picture, WitError> {
    let (width, height) = (raster.width(), raster.height());
    let content = encode::encode(raster, encoding)?;
    Ok(Picture {
        content,
        width,
        height,
    })
}

// The names of exports have colons, which linkers of other targets do not take.
#[cfg(target_arch = "wasm32")]
bindings::export!(Component with_types_in bindings);

#[cfg(test)]
mod tests {
    use bindings::exports::emporium::imaging::pictures::Fit;
    use proptest::prelude::*;

    use super::*;
    use crate::raster::Layout;

    const WITHIN_20: WitBounds = WitBounds {
        width: Some(20),
        height: Some(20),
        fit: Fit::Contain,
    };

    fn all_samples() -> Vec<Vec<u8>> {
        let mut samples: Vec<_> = [
            samples::CMYK_JPEG,
            samples::PROGRESSIVE_JPEG,
            samples::LOSSY_WEBP,
            samples::LOSSY_ALPHA_WEBP,
            samples::ANIMATED_WEBP,
            samples::ANIMATED_GIF,
            samples::ANIMATED_PNG,
            samples::PALETTE_PNG,
        ]
        .map(<[u8]>::to_vec)
        .into();
        samples.extend([
            samples::png(),
            samples::jpeg(),
            samples::gif(),
            samples::webp(),
        ]);
        samples.push(samples::deep_png(Layout::Rgba));
        samples.push(samples::jpeg_turned(5));
        samples
    }

    /// Do everything that can be done to a picture. Nothing may panic.
    fn try_all(content: &[u8]) {
        let probed = Component::probe(content.to_vec());
        let converted = Component::convert(content.to_vec(), WitEncoding::Png);
        if let (Ok(properties), Ok(picture)) = (&probed, &converted) {
            assert_eq!(
                (properties.width, properties.height),
                (picture.width, picture.height)
            );
        }
        assert!(probed.is_ok() || converted.is_err());
        let _ = Component::resize(content.to_vec(), WITHIN_20, WitEncoding::Webp);
    }

    #[test]
    fn every_sample_can_be_probed_converted_resized_and_dithered() {
        for content in all_samples() {
            let properties = Component::probe(content.clone()).unwrap();
            for encoding in [WitEncoding::Png, WitEncoding::Jpeg(80), WitEncoding::Webp] {
                let picture = Component::convert(content.clone(), encoding).unwrap();
                assert_eq!(
                    (picture.width, picture.height),
                    (properties.width, properties.height)
                );
                let small = Component::resize(content.clone(), WITHIN_20, encoding).unwrap();
                assert_eq!(small.width.max(small.height), 20);
                let read = Component::probe(small.content).unwrap();
                assert_eq!((read.width, read.height), (small.width, small.height));
            }
            for method in [Method::FloydSteinberg, Method::Bayer, Method::Atkinson] {
                Component::dither(content.clone(), 2, method).unwrap();
            }
        }
    }

    #[test]
    fn a_turned_picture_is_turned_before_it_is_cut_and_not_again() {
        // Orientation 6: what is stored on the left is seen at the top.
        let upper = WitBounds {
            width: Some(40),
            height: Some(40),
            fit: Fit::Cover,
        };
        let picture = Component::resize(samples::jpeg_turned(6), upper, WitEncoding::Png).unwrap();
        let header = Header::read(&picture.content).unwrap();
        let raster = decode::decode(&picture.content, &header, Detail::Full).unwrap();
        let [top, bottom] = [2, 37].map(|row: usize| raster.samples()[(row * 40 + 20) * 3]);
        assert!(top > 150 && bottom < 80, "{top} {bottom}");
    }

    #[test]
    fn metadata_is_not_carried_over() {
        let turned = samples::jpeg_turned(6);
        assert!(turned.windows(4).any(|word| word == b"Exif"));
        for encoding in [WitEncoding::Png, WitEncoding::Jpeg(80), WitEncoding::Webp] {
            let picture = Component::convert(turned.clone(), encoding).unwrap();
            assert!(
                !picture
                    .content
                    .windows(4)
                    .any(|word| word == b"Exif" || word == b"EXIF")
            );
        }
    }

    #[test]
    fn errors_reach_the_contract_under_their_names() {
        let png = samples::png;
        let no_bounds = WitBounds {
            width: None,
            height: None,
            fit: Fit::Cover,
        };
        let too_deep = samples::png_header(8_000, 5_000, 16, 6);
        let too_large = samples::png_header(60_000, 60_000, 8, 2);
        let too_wide = Raster::new(16_384, 1, Layout::Grey, vec![0; 16_384]).unwrap();
        let too_wide = encode::encode(too_wide, Encoding::Png).unwrap();
        let cut_off = png()[..60].to_vec();
        assert!(matches!(
            Component::probe(b"PK\x03\x04".to_vec()),
            Err(WitError::UnrecognisedFormat)
        ));
        assert!(matches!(
            Component::convert(cut_off, WitEncoding::Png),
            Err(WitError::Malformed(_))
        ));
        assert!(matches!(
            Component::probe(too_large),
            Err(WitError::TooManyPixels(3_600_000_000))
        ));
        assert!(matches!(
            Component::probe(too_deep),
            Err(WitError::TooMuchMemory(320_000_000))
        ));
        assert!(matches!(
            Component::resize(png(), no_bounds, WitEncoding::Png),
            Err(WitError::InvalidBounds)
        ));
        assert!(matches!(
            Component::convert(png(), WitEncoding::Jpeg(0)),
            Err(WitError::InvalidQuality)
        ));
        assert!(matches!(
            Component::dither(png(), 1, Method::Bayer),
            Err(WitError::InvalidLevels)
        ));
        assert!(matches!(
            Component::convert(too_wide, WitEncoding::Webp),
            Err(WitError::Other(_))
        ));
    }

    #[test]
    fn files_cut_off_anywhere_do_not_panic() {
        for content in all_samples() {
            for len in 0..content.len().min(700) {
                try_all(&content[..len]);
            }
        }
    }

    proptest! {
        #[test]
        fn garbage_does_not_panic(content in prop::collection::vec(any::<u8>(), 0..300)) {
            try_all(&content);
        }

        #[test]
        fn damaged_files_do_not_panic(
            index in any::<prop::sample::Index>(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        ) {
            let samples = all_samples();
            let mut content = index.get(&samples).clone();
            for (at, byte) in damage {
                *at.get_mut(&mut content) = byte;
            }
            try_all(&content);
        }
    }
}

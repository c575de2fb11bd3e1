//! Pictures for the tests.
//!
//! Those in `samples/` were written with Pillow 13, in encodings that nothing here
//! writes. All of them, and those made below, have 64 by 48 pixels, red on the
//! left and blue on the right.

use image::codecs::gif::GifEncoder;
use image::{ExtendedColorType, Frame, RgbaImage};

use crate::encode::{Encoding, Quality, encode};
use crate::raster::{Layout, Raster};

pub(crate) const CMYK_JPEG: &[u8] = include_bytes!("../samples/cmyk.jpg");
pub(crate) const PROGRESSIVE_JPEG: &[u8] = include_bytes!("../samples/progressive.jpg");
pub(crate) const LOSSY_WEBP: &[u8] = include_bytes!("../samples/lossy.webp");
pub(crate) const LOSSY_ALPHA_WEBP: &[u8] = include_bytes!("../samples/lossy-alpha.webp");
pub(crate) const ANIMATED_WEBP: &[u8] = include_bytes!("../samples/animated.webp");
pub(crate) const ANIMATED_GIF: &[u8] = include_bytes!("../samples/animated.gif");
pub(crate) const ANIMATED_PNG: &[u8] = include_bytes!("../samples/animated.png");
pub(crate) const PALETTE_PNG: &[u8] = include_bytes!("../samples/palette.png");

pub(crate) const RED: [u8; 4] = [200, 30, 30, 255];
pub(crate) const BLUE: [u8; 4] = [30, 30, 200, 255];

/// Red on the left and blue on the right.
pub(crate) fn flag(layout: Layout) -> Raster {
    let row = [[RED; 32], [BLUE; 32]].concat();
    let samples = row
        .repeat(48)
        .into_iter()
        .flat_map(|[r, g, b, a]| match layout {
            Layout::Grey => vec![r],
            Layout::GreyAlpha => vec![r, a],
            Layout::Rgb => vec![r, g, b],
            Layout::Rgba => vec![r, g, b, a],
        });
    Raster::new(64, 48, layout, samples.collect()).unwrap()
}

/// Something like a photograph: light from one side, round things, and noise.
/// Opacity, if there is any, has a gradient of its own.
pub(crate) fn photograph(width: u32, height: u32, layout: Layout) -> Raster {
    let mut noise = 1_u32;
    let mut samples = Vec::new();
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let grain = f64::from(noise >> 28);
        let (across, down) = (
            f64::from(x) / f64::from(width),
            f64::from(y) / f64::from(height),
        );
        let light = 40.0 + 150.0 * across * (1.0 - 0.5 * down);
        let round = 40.0 * (f64::from(x) / 9.0).sin() * (f64::from(y) / 13.0).cos();
        let colour = [
            light + round,
            light * 0.8 + grain,
            200.0 - light + round * 0.5,
        ];
        let [r, g, b] = colour.map(|sample| (sample + grain) as u8);
        let alpha = (x + y) as u8;
        match layout {
            Layout::Grey => samples.push(g),
            Layout::GreyAlpha => samples.extend([g, alpha]),
            Layout::Rgb => samples.extend([r, g, b]),
            Layout::Rgba => samples.extend([r, g, b, alpha]),
        }
    }
    Raster::new(width, height, layout, samples).unwrap()
}

pub(crate) fn png() -> Vec<u8> {
    encode(flag(Layout::Rgb), Encoding::Png).unwrap()
}

pub(crate) fn jpeg() -> Vec<u8> {
    encode(
        flag(Layout::Rgb),
        Encoding::Jpeg(Quality::parse(90).unwrap()),
    )
    .unwrap()
}

pub(crate) fn webp() -> Vec<u8> {
    encode(flag(Layout::Rgb), Encoding::Webp).unwrap()
}

pub(crate) fn gif() -> Vec<u8> {
    let mut content = Vec::new();
    let image = RgbaImage::from_raw(64, 48, flag(Layout::Rgba).into_samples()).unwrap();
    GifEncoder::new(&mut content)
        .encode_frame(Frame::new(image))
        .unwrap();
    content
}

/// A PNG of 16 bits a sample: the upper half of each is the flag's.
pub(crate) fn deep_png(layout: Layout) -> Vec<u8> {
    let colour = match layout {
        Layout::Grey => ExtendedColorType::L16,
        Layout::GreyAlpha => ExtendedColorType::La16,
        Layout::Rgb => ExtendedColorType::Rgb16,
        Layout::Rgba => ExtendedColorType::Rgba16,
    };
    let samples: Vec<u8> = flag(layout)
        .samples()
        .iter()
        .flat_map(|&sample| [sample; 2])
        .collect();
    let mut content = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut content);
    image::ImageEncoder::write_image(encoder, &samples, 64, 48, colour).unwrap();
    content
}

/// The start of a PNG, and the end of it.
pub(crate) fn png_header(width: u32, height: u32, depth: u8, colour: u8) -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([depth, colour, 0, 0, 0]);
    let mut content = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    content.extend(&header);
    content.extend(crc32(&header).to_be_bytes());
    for (name, payload) in [
        (b"IDAT", &[0x78, 0x01, 0x03, 0, 0, 0, 0, 1][..]),
        (b"IEND", &[]),
    ] {
        let chunk = [&name[..], payload].concat();
        content.extend((payload.len() as u32).to_be_bytes());
        content.extend(&chunk);
        content.extend(crc32(&chunk).to_be_bytes());
    }
    content
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ ((crc & 1) * 0xedb8_8320)
        })
    })
}

/// A JPEG that says it has another size.
pub(crate) fn jpeg_of_size(width: u16, height: u16) -> Vec<u8> {
    let mut content = jpeg();
    let frame = content
        .windows(2)
        .position(|pair| pair == [0xff, 0xc0])
        .unwrap();
    content[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    content[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    content
}

/// A JPEG with this orientation in EXIF.
pub(crate) fn jpeg_turned(orientation: u8) -> Vec<u8> {
    let exif = [
        b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".as_slice(),
        &[orientation],
        b"\0\0\0\0\0\0",
    ]
    .concat();
    let mut content = jpeg();
    let segment = [&[0xff, 0xe1, 0, exif.len() as u8 + 2], exif.as_slice()].concat();
    content.splice(2..2, segment);
    content
}

/// A WebP that says it has another size.
pub(crate) fn webp_of_size(width: u32, height: u32) -> Vec<u8> {
    let mut content = webp();
    let bits = (width - 1) | ((height - 1) << 14);
    content[21..25].copy_from_slice(&bits.to_le_bytes());
    content
}

/// A WebP of one pixel, with a lossy frame of 16383 by 16383 inside.
pub(crate) fn webp_with_larger_frame() -> Vec<u8> {
    let frame = b"\x10\0\0\x9d\x01\x2a\xff\x3f\xff\x3f\0\0\0\0";
    let mut chunks = b"WEBPVP8X\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0VP8 \x0e\0\0\0".to_vec();
    chunks.extend(frame);
    [
        b"RIFF",
        (chunks.len() as u32).to_le_bytes().as_slice(),
        &chunks,
    ]
    .concat()
}

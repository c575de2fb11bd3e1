//! Pictures made by code, good and bad.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage, RgbaImage, codecs::jpeg::JpegEncoder};

/// Something like a photograph: gradients, an edge, some grain.
pub fn photograph(width: u32, height: u32) -> DynamicImage {
    let picture = RgbImage::from_fn(width, height, |x, y| {
        let grain = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)) >> 13 & 15;
        let [across, down] = [x * 240 / width, y * 240 / height];
        let inside = (x * 2).abs_diff(width).pow(2) + (y * 2).abs_diff(height).pow(2)
            < width.min(height).pow(2) / 2;
        let blue = if inside { 200 } else { 60 };
        Rgb([across + grain, down + grain, blue + grain].map(|level| level.min(255) as u8))
    });
    DynamicImage::ImageRgb8(picture)
}

pub fn encode(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).expect("encoding");
    bytes.into_inner()
}

pub fn png(width: u32, height: u32) -> Vec<u8> {
    encode(&photograph(width, height), ImageFormat::Png)
}

/// A picture that is much larger in memory, with its transparency, than as a file.
pub fn flat_png(width: u32, height: u32) -> Vec<u8> {
    let picture = RgbaImage::new(width, height);
    encode(&DynamicImage::ImageRgba8(picture), ImageFormat::Png)
}

pub fn jpeg(width: u32, height: u32) -> Vec<u8> {
    encode(&photograph(width, height), ImageFormat::Jpeg)
}

/// A JPEG as a good camera makes it: 12 megapixels, over 2 MB.
pub fn camera_jpeg() -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, 95);
    photograph(4000, 3000)
        .write_with_encoder(encoder)
        .expect("encoding");
    bytes
}

/// A JPEG that a camera held sideways took, where it says: EXIF orientation 6,
/// and a place in the GPS directory's clothing.
pub fn sideways_jpeg(width: u32, height: u32) -> Vec<u8> {
    let plain = jpeg(width, height);
    // TIFF, little endian; one entry: tag 0x0112 (orientation), short, 1, 6.
    let mut exif =
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec();
    exif.extend_from_slice(b"GPS 48.8584N 2.2945E");
    let length = u16::try_from(exif.len() + 2).expect("short").to_be_bytes();
    [&plain[..2], &[0xff, 0xe1], &length, &exif, &plain[2..]].concat()
}

/// A PNG whose header promises this size and whose body is missing.
pub fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    let checksum = crc32(&header).to_be_bytes();
    [
        b"\x89PNG\r\n\x1a\n\0\0\0\x0d".as_slice(),
        &header,
        &checksum,
    ]
    .concat()
}

/// The first half of a PNG.
pub fn truncated_png() -> Vec<u8> {
    let whole = png(200, 150);
    whole[..whole.len() / 2].to_vec()
}

/// A zip file, as far as its first bytes tell.
pub fn zip() -> Vec<u8> {
    [b"PK\x03\x04".as_slice(), &[0; 4096]].concat()
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

//! `imaging` in plain wasmtime: it needs nothing of this platform.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::io::Cursor;

use emporium_tests::component;
use image::{ImageFormat, Rgb, RgbImage};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Engine, Store, StoreLimits, StoreLimitsBuilder};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

mod bindings {
    wasmtime::component::bindgen!({ world: "imaging", path: "../wit" });
}

use bindings::Imaging;
use bindings::exports::emporium::imaging::pictures::{
    Bounds, Encoding, Error, Fit, Format, Guest, Method, Picture, Properties,
};

const BOUNDS: Bounds = Bounds {
    width: Some(40),
    height: Some(40),
    fit: Fit::Contain,
};

/// Basic WASI, and a limit of memory.
struct Basics {
    wasi: WasiCtx,
    table: ResourceTable,
    limits: StoreLimits,
}

impl WasiView for Basics {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

/// An instance of the component. Every method fails the test if it traps.
struct Pictures {
    store: Store<Basics>,
    pictures: Guest,
}

impl Pictures {
    fn within(memory: usize) -> Self {
        let engine = Engine::default();
        let component = Component::from_file(&engine, component("imaging")).unwrap();
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_sync(&mut linker).unwrap();
        let basics = Basics {
            wasi: WasiCtx::default(),
            table: ResourceTable::new(),
            limits: StoreLimitsBuilder::new().memory_size(memory).build(),
        };
        let mut store = Store::new(&engine, basics);
        store.limiter(|basics| &mut basics.limits);
        let imaging = Imaging::instantiate(&mut store, &component, &linker).unwrap();
        let pictures = imaging.emporium_imaging_pictures().clone();
        Self { store, pictures }
    }

    fn probe(&mut self, content: &[u8]) -> Result<Properties, Error> {
        self.pictures.call_probe(&mut self.store, content).unwrap()
    }

    fn convert(&mut self, content: &[u8], encoding: Encoding) -> Result<Picture, Error> {
        let store = &mut self.store;
        self.pictures
            .call_convert(store, content, encoding)
            .unwrap()
    }

    fn resize(&mut self, content: &[u8], encoding: Encoding) -> Result<Picture, Error> {
        let store = &mut self.store;
        self.pictures
            .call_resize(store, content, BOUNDS, encoding)
            .unwrap()
    }

    fn dither(&mut self, content: &[u8], levels: u32, method: Method) -> Result<Picture, Error> {
        let store = &mut self.store;
        self.pictures
            .call_dither(store, content, levels, method)
            .unwrap()
    }
}

const MEBIBYTE: usize = 1 << 20;

fn gradient(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let image = RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, (x + y) as u8]));
    let mut content = Cursor::new(Vec::new());
    image.write_to(&mut content, format).unwrap();
    content.into_inner()
}

#[test]
fn it_imports_nothing_but_wasi() {
    let engine = Engine::default();
    let component = Component::from_file(&engine, component("imaging")).unwrap();
    for (name, _) in component.component_type().imports(&engine) {
        assert!(name.starts_with("wasi:"), "{name}");
        assert!(
            !name.starts_with("wasi:http") && !name.starts_with("wasi:sockets"),
            "{name}"
        );
    }
}

#[test]
fn a_picture_is_probed_converted_resized_and_dithered() {
    let mut pictures = Pictures::within(64 * MEBIBYTE);
    let png = gradient(120, 90, ImageFormat::Png);
    let webp = pictures.convert(&png, Encoding::Webp).unwrap();
    let properties = pictures.probe(&webp.content).unwrap();
    assert!(matches!(
        properties,
        Properties {
            format: Format::Webp,
            width: 120,
            height: 90
        }
    ));
    let same = image::load_from_memory(&webp.content).unwrap().into_rgb8();
    assert_eq!(same, image::load_from_memory(&png).unwrap().into_rgb8());

    let small = pictures.resize(&webp.content, Encoding::Jpeg(80)).unwrap();
    let properties = pictures.probe(&small.content).unwrap();
    assert!(matches!(
        properties,
        Properties {
            format: Format::Jpeg,
            width: 40,
            height: 30
        }
    ));

    for method in [Method::FloydSteinberg, Method::Bayer, Method::Atkinson] {
        let dithered = pictures.dither(&small.content, 2, method).unwrap();
        let samples = image::load_from_memory(&dithered.content)
            .unwrap()
            .into_rgb8();
        assert!(samples.iter().all(|&sample| sample == 0 || sample == 255));
    }
}

#[test]
fn vector_instructions_dither_as_plain_ones_do() {
    let mut pictures = Pictures::within(64 * MEBIBYTE);
    let image = RgbImage::from_fn(97, 53, |x, y| {
        Rgb([x as u8 * 2, y as u8 * 4, (x * y) as u8])
    });
    let mut content = Cursor::new(Vec::new());
    image.write_to(&mut content, ImageFormat::Png).unwrap();
    for levels in [2, 3, 6, 7, 16] {
        let dithered = pictures
            .dither(content.get_ref(), levels, Method::FloydSteinberg)
            .unwrap();
        let got = image::load_from_memory(&dithered.content)
            .unwrap()
            .into_rgb8();
        let expected = floyd_steinberg(&image, levels);
        let different = got.iter().zip(&expected).filter(|(a, b)| a != b).count();
        assert!(
            different * 200 <= expected.len(),
            "{different} at {levels} levels"
        );
    }
}

/// The definition, in 53 bits.
fn floyd_steinberg(image: &RgbImage, levels: u32) -> Vec<u8> {
    let steps = f64::from(levels - 1);
    let (width, stride) = (image.width() as usize, image.width() as usize * 3);
    let mut values: Vec<f64> = image
        .iter()
        .map(|&sample| f64::from(sample) / 255.0)
        .collect();
    for at in 0..values.len() {
        let (wanted, x) = (values[at], at % stride / 3);
        let given = (wanted * steps).round().clamp(0.0, steps) / steps;
        values[at] = given;
        let mut pass = |allowed: bool, to: usize, share: f64| {
            if let Some(value) = values.get_mut(to).filter(|_| allowed) {
                *value += (wanted - given) * share / 16.0;
            }
        };
        pass(x + 1 < width, at + 3, 7.0);
        pass(x > 0, at + stride - 3, 3.0);
        pass(true, at + stride, 5.0);
        pass(x + 1 < width, at + stride + 3, 1.0);
    }
    values
        .iter()
        .map(|value| (value * 255.0).round() as u8)
        .collect()
}

#[test]
fn a_header_of_60000_by_60000_is_refused_in_little_memory() {
    let mut pictures = Pictures::within(8 * MEBIBYTE);
    let mut content = gradient(4, 4, ImageFormat::Png);
    content[16..20].copy_from_slice(&60_000_u32.to_be_bytes());
    content[20..24].copy_from_slice(&60_000_u32.to_be_bytes());
    let refusal = pictures.convert(&content, Encoding::Png).unwrap_err();
    assert!(
        matches!(refusal, Error::TooManyPixels(3_600_000_000)),
        "{refusal:?}"
    );
}

#[test]
fn the_largest_picture_is_converted_within_a_gibibyte() {
    let image = RgbImage::from_pixel(10_000, 5_000, Rgb([90, 120, 150]));
    let mut content = Cursor::new(Vec::new());
    image.write_to(&mut content, ImageFormat::Png).unwrap();
    let mut pictures = Pictures::within(1_024 * MEBIBYTE);
    for encoding in [Encoding::Jpeg(80), Encoding::Webp] {
        let picture = pictures.convert(content.get_ref(), encoding).unwrap();
        assert_eq!((picture.width, picture.height), (10_000, 5_000));
    }
}

#[test]
fn files_that_are_cut_off_or_damaged_do_not_trap() {
    let mut pictures = Pictures::within(64 * MEBIBYTE);
    for format in [
        ImageFormat::Png,
        ImageFormat::Jpeg,
        ImageFormat::Gif,
        ImageFormat::WebP,
    ] {
        let content = gradient(30, 20, format);
        // What misses its last bytes only can have all of its pixels.
        for at in (0..content.len() * 3 / 4).step_by(content.len() / 40) {
            let refusal = pictures.convert(&content[..at], Encoding::Png).unwrap_err();
            assert!(
                !matches!(refusal, Error::Other(_)),
                "{format:?} cut off at {at}: {refusal:?}"
            );
            let mut damaged = content.clone();
            damaged[at] ^= 0x5a;
            let _ = pictures.resize(&damaged, Encoding::Webp);
        }
    }
}

#[test]
fn a_zip_that_calls_itself_a_picture_is_not_recognised() {
    let mut pictures = Pictures::within(8 * MEBIBYTE);
    let refusal = pictures
        .probe(b"PK\x03\x04\x14\0\0\0\x08\0picture.png")
        .unwrap_err();
    assert!(matches!(refusal, Error::UnrecognisedFormat));
}

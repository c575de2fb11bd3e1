//! Measures `imaging` through its built component, in plain wasmtime.
//!
//! ```console
//! $ target/host/bench-imaging LARGE.jpg PHOTO.png
//! ```
//!
//! The first picture is made a JPEG of 320 pixels, the second a WebP; both are
//! dithered. Without pictures, it makes some. Times are the best of several runs,
//! on one thread.

use std::io::Cursor;
use std::time::{Duration, Instant};

use image::{ImageFormat, Rgb, RgbImage};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::error::Context as _;
use wasmtime::{Config, Engine, OptLevel, Result, Store};
use wasmtime_wasi::p2::bindings::sync::Command;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

mod bindings {
    wasmtime::component::bindgen!({ world: "imaging", path: "../../wit" });
}

use bindings::Imaging;
use bindings::exports::emporium::imaging::pictures::{
    Bounds, Encoding, Error, Fit, Guest, Method, Picture,
};

const RUNS: u32 = 7;

#[derive(Default)]
struct Basics {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for Basics {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

/// The component, of which each run gets a new instance.
struct Bench {
    component: Component,
    linker: Linker<Basics>,
}

impl Bench {
    fn load(name: &str) -> Result<Self> {
        let folder = std::env::var("EMPORIUM_COMPONENTS")
            .unwrap_or_else(|_| "target/wasm32-wasip2/release".into());
        let path = std::path::Path::new(&folder).join(name);
        let mut config = Config::new();
        config.cranelift_opt_level(OptLevel::Speed);
        let engine = Engine::new(&config)?;
        let component = Component::from_file(&engine, &path)
            .with_context(|| format!("loading {}", path.display()))?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
        Ok(Self { component, linker })
    }

    /// Run it as a command.
    fn run(&self) -> Result<()> {
        let wasi = WasiCtx::builder().inherit_stdout().build();
        let table = ResourceTable::new();
        let mut store = Store::new(self.linker.engine(), Basics { wasi, table });
        let command = Command::instantiate(&mut store, &self.component, &self.linker)?;
        let ran = command.wasi_cli_run().call_run(&mut store)?;
        ran.map_err(|()| wasmtime::Error::msg("the command failed"))
    }

    fn thumbnail(&self, large: &[u8]) -> Result<()> {
        let bounds = Bounds {
            width: Some(320),
            height: Some(320),
            fit: Fit::Contain,
        };
        self.time("large JPEG to 320 pixels, JPEG 80", |pictures, store| {
            pictures.call_resize(store, large, bounds, Encoding::Jpeg(80))
        })
    }

    fn photo(&self, name: &str, photo: &[u8]) -> Result<()> {
        println!("{name}");
        for (name, encoding) in [
            ("to PNG", Encoding::Png),
            ("to JPEG 80", Encoding::Jpeg(80)),
            ("to WebP", Encoding::Webp),
        ] {
            self.time(name, |pictures, store| {
                pictures.call_convert(store, photo, encoding)
            })?;
        }
        for (name, method) in [
            (
                "Floyd-Steinberg at 2 levels, with PNG",
                Method::FloydSteinberg,
            ),
            ("Bayer at 2 levels, with PNG", Method::Bayer),
            ("Atkinson at 2 levels, with PNG", Method::Atkinson),
        ] {
            self.time(name, |pictures, store| {
                pictures.call_dither(store, photo, 2, method)
            })?;
        }
        Ok(())
    }

    /// Print the best time of several runs, and what came out.
    fn time(
        &self,
        name: &str,
        call: impl Fn(&Guest, &mut Store<Basics>) -> Result<Result<Picture, Error>>,
    ) -> Result<()> {
        let mut best = Duration::MAX;
        let mut size = 0;
        for _ in 0..RUNS {
            let mut store = Store::new(self.linker.engine(), Basics::default());
            let imaging = Imaging::instantiate(&mut store, &self.component, &self.linker)?;
            let start = Instant::now();
            let picture = call(imaging.emporium_imaging_pictures(), &mut store)??;
            best = best.min(start.elapsed());
            size = picture.content.len();
        }
        let milliseconds = best.as_secs_f64() * 1e3;
        println!(
            "{name:<40} {milliseconds:>7.1} ms {:>8.1} kB",
            size as f64 / 1e3
        );
        Ok(())
    }
}

fn main() -> Result<()> {
    Bench::load("examples/dithering.wasm")?.run()?;
    let bench = Bench::load("imaging.wasm")?;
    let mut arguments = std::env::args().skip(1);
    let large = match arguments.next() {
        Some(path) => std::fs::read(path)?,
        None => generated(4_000, 3_000, ImageFormat::Jpeg)?,
    };
    bench.thumbnail(&large)?;
    let photos: Vec<String> = arguments.collect();
    if photos.is_empty() {
        bench.photo("generated", &generated(512, 512, ImageFormat::Png)?)?;
    }
    for path in photos {
        bench.photo(&path, &std::fs::read(&path)?)?;
    }
    Ok(())
}

/// Waves of light with a little noise: about as hard to compress as a photograph.
fn generated(width: u32, height: u32, format: ImageFormat) -> Result<Vec<u8>> {
    let mut noise = 1_u32;
    let image = RgbImage::from_fn(width, height, |x, y| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let grain = (noise >> 29) as f32;
        let wave = |at: u32, length: f32| 120.0 + 90.0 * (at as f32 / length).sin();
        Rgb([wave(x, 97.0), wave(y, 61.0), wave(x + y, 143.0)].map(|light| (light + grain) as u8))
    });
    let mut content = Cursor::new(Vec::new());
    image.write_to(&mut content, format)?;
    Ok(content.into_inner())
}

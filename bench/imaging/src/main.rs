//! Measures `imaging` through its built component, in plain wasmtime.
//!
//! ```console
//! $ cargo run --profile host -p bench-imaging -- LARGE.jpg PHOTO.png
//! ```
//!
//! The first picture is made a JPEG of 320 pixels, the second a WebP; both are
//! dithered. Without pictures, it makes some. Times are the best of several runs,
//! on one thread.

use std::time::{Duration, Instant};

use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::error::Context as _;
use wasmtime::{Config, Engine, OptLevel, Result, Store};
use wasmtime_wasi::p2::bindings::sync::Command;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

mod bindings {
    wasmtime::component::bindgen!({ world: "imaging", path: "../../wit" });
}

use bindings::Imaging;
use bindings::exports::emporium::imaging::pictures::{Bounds, Encoding, Fit, Method, Picture};

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

    fn time(
        &self,
        name: &str,
        call: impl Fn(&Imaging, &mut Store<Basics>) -> wasmtime::Result<Picture>,
    ) -> Result<Picture> {
        let mut best = Duration::MAX;
        let mut last = None;
        for _ in 0..RUNS {
            let mut store = Store::new(self.linker.engine(), Basics::default());
            let imaging = Imaging::instantiate(&mut store, &self.component, &self.linker)?;
            let start = Instant::now();
            let picture = call(&imaging, &mut store)?;
            best = best.min(start.elapsed());
            last = Some(picture);
        }
        let picture = last.context("there was no run")?;
        let pixels = f64::from(picture.width) * f64::from(picture.height);
        println!(
            "{name:<40} {:>7.1} ms {:>8.1} kB {:>7.1} MP/s",
            best.as_secs_f64() * 1e3,
            picture.content.len() as f64 / 1e3,
            pixels / best.as_secs_f64() / 1e6,
        );
        Ok(picture)
    }
}

fn main() -> Result<()> {
    let bench = Bench::load("imaging.wasm")?;
    Bench::load("examples/dithering.wasm")?.run()?;
    let mut arguments = std::env::args().skip(1);
    let large = std::fs::read(arguments.next().context("name a large JPEG")?)?;
    let bounds = Bounds {
        width: Some(320),
        height: Some(320),
        fit: Fit::Contain,
    };
    bench.time("large JPEG to 320 pixels, JPEG 80", |imaging, store| {
        let pictures = imaging.emporium_imaging_pictures();
        pictures
            .call_resize(store, &large, bounds, Encoding::Jpeg(80))
            .map(Result::unwrap)
    })?;
    for path in arguments {
        println!("{path}");
        let photo = std::fs::read(path)?;
        for (name, encoding) in [
            ("PNG", Encoding::Png),
            ("JPEG 80", Encoding::Jpeg(80)),
            ("WebP", Encoding::Webp),
        ] {
            bench.time(&format!("to {name}"), |imaging, store| {
                let pictures = imaging.emporium_imaging_pictures();
                pictures
                    .call_convert(store, &photo, encoding)
                    .map(Result::unwrap)
            })?;
        }
        for (name, method) in [
            ("Floyd-Steinberg", Method::FloydSteinberg),
            ("Bayer", Method::Bayer),
            ("Atkinson", Method::Atkinson),
        ] {
            bench.time(
                &format!("{name} at 2 levels, with PNG"),
                |imaging, store| {
                    let pictures = imaging.emporium_imaging_pictures();
                    pictures
                        .call_dither(store, &photo, 2, method)
                        .map(Result::unwrap)
                },
            )?;
        }
    }
    Ok(())
}

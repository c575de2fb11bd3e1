//! Prints how fast the methods of dithering are by themselves, without decoding and
//! encoding. `bench/imaging` runs it in wasmtime.

use std::time::{Duration, Instant};

use imaging::Method;
use imaging::dither::{Levels, dither};
use imaging::error::Refusal;
use imaging::raster::{Layout, Raster};

const WIDTH: u32 = 2_000;
const HEIGHT: u32 = 1_500;
const RUNS: u32 = 7;

fn main() -> Result<(), Refusal> {
    let raster = Raster::new(WIDTH, HEIGHT, Layout::Rgb, waves())?;
    for levels in [2, 5] {
        for method in [Method::FloydSteinberg, Method::Bayer, Method::Atkinson] {
            let mut best = Duration::MAX;
            for _ in 0..RUNS {
                let mut raster = raster.clone();
                let start = Instant::now();
                dither(&mut raster, Levels::parse(levels)?, method);
                best = best.min(start.elapsed());
            }
            let speed = f64::from(WIDTH * HEIGHT) / best.as_secs_f64() / 1e6;
            println!("{method:?} at {levels} levels, alone {speed:.0} MP/s");
        }
    }
    Ok(())
}

fn waves() -> Vec<u8> {
    let wave = |at: u32, length: f32| (127.5 + 127.5 * (at as f32 / length).sin()) as u8;
    (0..WIDTH * HEIGHT)
        .flat_map(|at| {
            let (x, y) = (at % WIDTH, at / WIDTH);
            [wave(x, 97.0), wave(y, 61.0), wave(x + y, 143.0)]
        })
        .collect()
}

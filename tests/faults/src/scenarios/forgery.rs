//! A hundred thousand wakes that nobody of us sent: empty, garbage, huge.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::FutureExt as _;
use rand::{Rng as _, RngCore as _, SeedableRng as _, rngs::StdRng};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::sleep,
};

use super::SERVERS;
use crate::{
    load::Load,
    scenario::{Outcome, Scenario, Setting},
    stage::{Plan, Stage},
};

const WAKES: usize = 100_000;

/// How many are sent before the answers are read.
const AT_ONCE: usize = 1_000;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "forged-wakes",
    wirings: SERVERS,
    run: |setting| run(setting).boxed(),
};

async fn run(setting: Setting) -> Result<Outcome> {
    let plan = Plan {
        hosts: 2,
        ..Plan::default()
    };
    let mut stage = Stage::open(setting, plan).await?;
    let load = stage.load(Load::default());
    let port = stage.servers()?.redis.port();
    let mut redis = TcpStream::connect(("127.0.0.1", port)).await?;
    let mut random = StdRng::seed_from_u64(setting.seed);
    let mut heard = vec![0; 64 << 10];
    for _ in 0..WAKES / AT_ONCE {
        let forged: Vec<u8> = (0..AT_ONCE).flat_map(|_| forge(&mut random)).collect();
        redis.write_all(&forged).await?;
        let mut answers = 0;
        while answers < AT_ONCE {
            let length = redis.read(&mut heard).await?;
            ensure!(length > 0, "Redis hung up");
            let heard = heard.get(..length).unwrap_or_default();
            answers += heard.iter().filter(|byte| **byte == b'\n').count();
        }
    }
    let over = Instant::now();
    let recovery = stage.recover(over).await?;
    sleep(Duration::from_millis(500)).await;
    load.stop().await?;
    stage.conclude_after(recovery).await
}

/// A publication on the channel of the ledger, which no one should believe.
fn forge(random: &mut StdRng) -> Vec<u8> {
    let length = match random.random_range(0..1000) {
        0 => 64 << 10,
        1..400 => 0,
        _ => random.random_range(1..100),
    };
    let mut payload = vec![0; length];
    random.fill_bytes(&mut payload);
    let head = format!("*3\r\n$7\r\nPUBLISH\r\n$6\r\nledger\r\n${length}\r\n");
    [head.as_bytes(), &payload, b"\r\n"].concat()
}

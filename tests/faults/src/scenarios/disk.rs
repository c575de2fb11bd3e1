//! The disk of Postgres is full.

use std::{
    fs,
    io::Write as _,
    os::unix::{self, fs::MetadataExt as _},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use emporium_tests::servers::Postgres;
use futures::FutureExt as _;
use tempfile::TempDir;
use tokio::{task::block_in_place, time::sleep};

use super::SERVERS;
use crate::{
    load::Load,
    scenario::{Outcome, Scenario, Setting},
    servers::Servers,
    stage::{Plan, Stage},
};

/// An empty database takes a little over half of it.
const SIZE: &str = "24m";

pub(super) const SCENARIO: Scenario = Scenario {
    name: "disk-full",
    wirings: SERVERS,
    run: |setting| run(setting).boxed(),
};

async fn run(setting: Setting) -> Result<Outcome> {
    let small = match block_in_place(SmallDisk::mount) {
        Ok(small) => small,
        Err(error) => {
            return Ok(Outcome::Skipped(format!(
                "no small filesystem can be mounted: {error:#}"
            )));
        }
    };
    let servers = block_in_place(|| servers_on(&small))?;
    let plan = Plan {
        hosts: 2,
        ..Plan::default()
    };
    let stage = Stage::open_on(setting, plan, Some(servers)).await?;
    let load = stage.load(Load::default());
    let mut recovery = Duration::ZERO;
    for _ in 0..setting.choose(1, 5) {
        sleep(Duration::from_secs(1)).await;
        let before = stage.record.count() - stage.record.acknowledged();
        small.fill()?;
        // Pages with room take entries for a while.
        let begun = Instant::now();
        while stage.record.count() - stage.record.acknowledged() == before {
            ensure!(
                begun.elapsed() < Duration::from_secs(30),
                "the disk does not fill up"
            );
            sleep(Duration::from_millis(50)).await;
        }
        sleep(setting.choose(Duration::from_secs(2), Duration::from_secs(20))).await;
        small.empty()?;
        let back = Instant::now();
        recovery = recovery.max(stage.recover(back).await?);
    }
    load.stop().await?;
    stage.conclude_after(recovery).await
}

/// A database whose files are on the small disk. The log of Postgres is not:
/// without room for it, the server stops, which is another scenario.
fn servers_on(small: &SmallDisk) -> Result<Servers> {
    let postgres = Postgres::start();
    let data = postgres.query(&postgres.url(), "SHOW data_directory");
    let data = fs::metadata(data)?;
    unix::fs::chown(small.path(), Some(data.uid()), Some(data.gid()))?;
    let place = format!(
        "CREATE TABLESPACE small LOCATION '{}'",
        small.path().display()
    );
    postgres.query(&postgres.url(), &place);
    let url = postgres.database();
    let name = url.rsplit('/').next().context("no name")?;
    let shift = format!("ALTER DATABASE {name} SET TABLESPACE small");
    postgres.query(&postgres.url(), &shift);
    Ok(Servers::with(postgres, url))
}

/// A filesystem of a few megabytes in memory, gone with this.
struct SmallDisk {
    folder: Option<TempDir>,
}

impl SmallDisk {
    fn mount() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o"])
            .arg(format!("size={SIZE},mode=0700"))
            .arg("tmpfs")
            .arg(folder.path())
            .output()
            .context("mount")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}", said.trim());
        Ok(Self {
            folder: Some(folder),
        })
    }

    fn path(&self) -> &Path {
        self.folder.as_ref().map_or(Path::new(""), TempDir::path)
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// Leave no room.
    fn fill(&self) -> Result<()> {
        let mut filler = fs::File::create(self.filler())?;
        for block in [64 << 10, 4 << 10] {
            while filler.write_all(&vec![1; block]).is_ok() {}
        }
        Ok(())
    }

    /// Make room again.
    fn empty(&self) -> Result<()> {
        Ok(fs::remove_file(self.filler())?)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: Postgres may be ending still.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
        drop(self.folder.take());
    }
}

//! A fleet: hosts of one application, each behind proxies of its own.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use emporium_tests::app::ADMIN;
use tempfile::TempDir;

use crate::{
    host::Host,
    ledger::Origins,
    manifest::{self, Terms},
    proxy::{Protocol, Proxy},
    servers::Servers,
    wiring::Wiring,
};

/// Hosts, and the folder with what they need and say.
pub struct Fleet {
    pub members: Vec<Member>,
    /// Where they serve.
    pub origins: Origins,
    arguments: Vec<String>,
    manifest: PathBuf,
    folder: TempDir,
}

/// A host and its ways to the servers.
pub struct Member {
    host: Option<Host>,
    /// Its way to Postgres and to Redis, where there are servers.
    pub ways: Option<Ways>,
    number: usize,
    arguments: Vec<String>,
    log: PathBuf,
}

/// The proxies between a host and its servers.
pub struct Ways {
    pub postgres: Proxy,
    pub redis: Proxy,
}

impl Fleet {
    /// A fleet without hosts.
    pub fn new(wiring: Wiring, terms: Terms, arguments: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("spin.toml");
        std::fs::write(&file, manifest::text(wiring, terms)?)?;
        Ok(Self {
            members: Vec::new(),
            origins: Origins::default(),
            arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
            manifest: file,
            folder,
        })
    }

    /// Start one more host.
    pub async fn join(&mut self, servers: Option<&Servers>) -> Result<()> {
        let number = self.members.len();
        let state = self.folder.path().join("state");
        let mut arguments = self.arguments.clone();
        arguments.extend(["--state".into(), state.display().to_string()]);
        arguments.extend(["--variable".into(), format!("admin_token={ADMIN}")]);
        let ways = match servers {
            None => None,
            Some(servers) => {
                let ways = Ways {
                    postgres: Proxy::start(Protocol::Postgres, servers.postgres.port()).await?,
                    redis: Proxy::start(Protocol::Redis, servers.redis.port()).await?,
                };
                let url = servers.url_through(ways.postgres.port());
                arguments.extend(["--postgres".into(), url]);
                let redis = format!("redis://127.0.0.1:{}", ways.redis.port());
                arguments.extend(["--redis".into(), redis]);
                Some(ways)
            }
        };
        self.members.push(Member {
            host: None,
            ways,
            number,
            arguments,
            log: self.folder.path().join(format!("host-{number}.log")),
        });
        self.start(number)
    }

    /// Start a host that does not run.
    pub fn start(&mut self, number: usize) -> Result<()> {
        let manifest = self.manifest.clone();
        let member = self.member(number)?;
        let started =
            tokio::task::block_in_place(|| Host::start(&manifest, &member.arguments, &member.log))?;
        let origin = started.origin.clone();
        member.host = Some(started);
        self.origins.set(number, Some(origin));
        Ok(())
    }

    /// `kill -9` a host.
    pub fn kill(&mut self, number: usize) -> Result<()> {
        let host = self.take(number)?;
        tokio::task::block_in_place(|| host.kill())
    }

    /// Ask a host to stop, and wait until it did; returns whether it did so
    /// cleanly. Its clients look for another one before.
    pub fn terminate(&mut self, number: usize) -> Result<bool> {
        let host = self.take(number)?;
        tokio::task::block_in_place(|| host.terminate())
    }

    /// What a host said since it first started.
    pub fn said(&self, number: usize) -> Result<String> {
        let member = self.members.get(number).context("no such host")?;
        Ok(std::fs::read_to_string(&member.log)?)
    }

    /// The ways of a host to its servers.
    pub fn ways(&self, number: usize) -> Result<&Ways> {
        let member = self.members.get(number).context("no such host")?;
        member.ways.as_ref().context("this wiring has no servers")
    }

    /// The ways of every host.
    pub fn all_ways(&self) -> impl Iterator<Item = &Ways> {
        self.members
            .iter()
            .filter_map(|member| member.ways.as_ref())
    }

    fn take(&mut self, number: usize) -> Result<Host> {
        self.origins.set(number, None);
        let member = self.member(number)?;
        member.host.take().context("that host does not run")
    }

    fn member(&mut self, number: usize) -> Result<&mut Member> {
        self.members.get_mut(number).context("no such host")
    }
}

impl Drop for Fleet {
    /// `SHOW_OUTPUT` shows what the hosts said, as in the other tests.
    fn drop(&mut self) {
        if std::env::var_os("SHOW_OUTPUT").is_none() {
            return;
        }
        for member in &self.members {
            let said = std::fs::read_to_string(&member.log).unwrap_or_default();
            eprintln!("host {}:\n{said}", member.number);
        }
    }
}

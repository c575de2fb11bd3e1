//! The host as a process of its own, to be killed.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::{
    app::{ADMIN, Client},
    compiled, root,
    servers::Redis,
    target,
};

/// A running `emporium up`.
pub struct Process {
    child: Child,
    client: Client,
}

impl Process {
    /// Start the application over the state in `state`.
    pub fn start(state: &Path) -> Self {
        Self::of(&root().join("spin.toml"), state)
    }

    /// Start the application of another manifest.
    pub fn of(manifest: &Path, state: &Path) -> Self {
        Self::with(manifest, state, &[])
    }

    /// Start the application on a database of the shared Postgres, and on the
    /// shared Redis.
    pub fn on_servers(database: &str, state: &Path) -> Self {
        let redis = Redis::shared().url();
        let servers = ["--postgres", database, "--redis", &redis];
        Self::with(&root().join("spin.toml"), state, &servers)
    }

    fn with(manifest: &Path, state: &Path, options: &[&str]) -> Self {
        let mut child = Command::new(target().join("host/emporium"))
            .arg("up")
            .arg("--from")
            .arg(manifest)
            .arg("--state")
            .arg(state)
            .arg("--cache")
            .arg(compiled())
            .args(["--listen", "127.0.0.1:0", "--quiet"])
            .args(["--variable", &format!("admin_token={ADMIN}")])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .expect("target/host/emporium, which scripts/build makes");
        let stdout = child.stdout.take().expect("stdout");
        let origin = BufReader::new(stdout)
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("Serving ").map(str::to_owned))
            .expect("the host says where it serves");
        Self {
            child,
            client: Client::new(origin),
        }
    }

    /// End it as `kill -9` does: at once, with nothing tidied up.
    pub fn kill(mut self) {
        self.child.kill().expect("killing");
        self.child.wait().expect("waiting");
    }

    /// Ask it to stop; returns whether it did so cleanly.
    pub fn terminate(mut self) -> bool {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        let sent = Command::new("kill").arg(pid.to_string()).status();
        assert!(sent.expect("kill").success());
        self.child.wait().expect("waiting").success()
    }

    /// The most memory it ever held, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(status).expect("its status");
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|line| line.trim().strip_suffix(" kB"))
            .expect("its peak memory");
        peak.parse::<u64>().expect("a number") * 1024
    }
}

impl std::ops::Deref for Process {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

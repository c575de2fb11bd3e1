//! One `emporium up`, to be killed.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use emporium_tests::{compiled, target};

/// Runs the host, says its process id, and ends it when its own standard input
/// ends: then the tests are gone.
const GUARD: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- & host=$!
echo "pid $host"
(read -r line <&3; kill -KILL $host) 2>/dev/null >&2 & reader=$!
wait $host; status=$?
kill -KILL $reader 2>/dev/null
exit $status
"#;

/// A running host.
pub struct Host {
    guard: Child,
    pid: String,
    /// Where it serves.
    pub origin: String,
    log: PathBuf,
}

impl Host {
    /// Start a host of the application in `manifest`, with these arguments; what
    /// it says is added to `log`.
    pub fn start(manifest: &Path, arguments: &[String], log: &Path) -> Result<Self> {
        let output = File::options().create(true).append(true).open(log)?;
        let mut guard = Command::new("sh")
            .args(["-c", GUARD, "guard"])
            .arg(target().join("host/emporium"))
            .args(["up", "--from"])
            .arg(manifest)
            .arg("--cache")
            .arg(compiled())
            .args(["--listen", "127.0.0.1:0", "--allow-private-networks"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(output)
            .spawn()
            .context("starting sh")?;
        let stdout = guard.stdout.take().context("no stdout")?;
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let mut said = |prefix: &str| {
            let mut found = lines.by_ref().filter_map(|line| {
                let rest = line.strip_prefix(prefix)?;
                Some(rest.to_owned())
            });
            found.next()
        };
        let (pid, origin) = (said("pid "), said("Serving "));
        let (Some(pid), Some(origin)) = (pid, origin) else {
            let said = fs::read_to_string(log).unwrap_or_default();
            bail!("a host did not start: {}", last_lines(&said));
        };
        // Whoever prints must find a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self {
            guard,
            pid,
            origin,
            log: log.to_owned(),
        })
    }

    /// End it as `kill -9` does: at once, with nothing tidied up.
    pub fn kill(mut self) -> Result<()> {
        self.signal("KILL")?;
        self.guard.wait()?;
        Ok(())
    }

    /// Ask it to stop; returns whether it did so cleanly.
    pub fn terminate(mut self) -> Result<bool> {
        self.signal("TERM")?;
        // `wait` would close it, which the guard takes for the end of the tests.
        let stdin = self.guard.stdin.take();
        let status = self.guard.wait()?;
        drop(stdin);
        Ok(status.success())
    }

    /// What it and its components said.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn signal(&self, name: &str) -> Result<()> {
        let sent = Command::new("kill")
            .args(["-s", name, &self.pid])
            .status()?;
        anyhow::ensure!(sent.success(), "the host is gone already");
        Ok(())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The guard kills the host when its standard input ends.
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

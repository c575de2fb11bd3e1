//! A server process under a guard that outlives its owner.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rand::Rng as _;

/// How long a server may take to be ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where servers listen: below what the system gives to clients, so that a
/// restarted server finds its port free.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// What two tests that look for a free port at once say about it.
const TAKEN: &str = "Address already in use";

/// Starts the server, says its process id, and waits. A line on its standard
/// input is the signal to stop the server with. The end of it means that the
/// owner is gone: then the folder goes too. Signals from a terminal reach the
/// owner as well, so the guard ignores them.
const GUARD: &str = r#"
trap '' HUP INT TERM
folder=$1; shift
"$@" >>"$folder/log" 2>&1 </dev/null &
server=$!
echo $server
exec >/dev/null 2>&1
if read -r signal; then
  kill -s "$signal" $server; kill -s CONT $server; wait $server
else
  kill -s INT $server; kill -s CONT $server; wait $server
  rm -rf "$folder"
fi
"#;

/// The command line of a server with this port and this folder.
type CommandLine = dyn Fn(u16, &Path) -> Vec<String> + Send + Sync;

/// A server, running or stopped.
pub struct Guarded {
    folder: PathBuf,
    port: u16,
    command: Box<CommandLine>,
    ready: fn(u16, &str) -> bool,
    running: Option<(Child, u32)>,
}

impl Guarded {
    /// Starts a server on a free port, with its files in `folder`, which is then
    /// removed with it. `command` gives its command line; `ready` is told the port
    /// and what the server logged.
    pub(super) fn launch(
        folder: PathBuf,
        command: impl Fn(u16, &Path) -> Vec<String> + Send + Sync + 'static,
        ready: fn(u16, &str) -> bool,
    ) -> Self {
        let mut server = Self {
            folder,
            port: 0,
            command: Box::new(command),
            ready,
            running: None,
        };
        loop {
            server.port = free_port();
            if server.start() {
                return server;
            }
        }
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops it, ending what is under way.
    pub fn stop(&mut self) {
        self.stop_with("INT");
    }

    /// Ends it as a crash does.
    pub fn kill(&mut self) {
        self.stop_with("KILL");
    }

    /// Starts it again on the same port.
    pub fn restart(&mut self) {
        self.stop();
        assert!(self.start(), "its port was taken");
    }

    /// Holds every process of the server until [`Self::resume`]: connections
    /// stay open and nothing answers.
    pub fn pause(&self) {
        self.signal_all("STOP");
    }

    pub fn resume(&self) {
        self.signal_all("CONT");
    }

    /// Starts the server and waits until it is ready; returns whether its port was
    /// free.
    fn start(&mut self) -> bool {
        let log = self.folder.join("log");
        fs::write(&log, "").expect("a log");
        let mut guard = Command::new("sh")
            .args(["-c", GUARD, "guard"])
            .arg(&self.folder)
            .args((self.command)(self.port, &self.folder))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh");
        let mut line = String::new();
        let stdout = guard.stdout.take().expect("stdout");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let process = line.trim().parse().expect("a process id");
        self.running = Some((guard, process));
        let begin = Instant::now();
        loop {
            let said = fs::read_to_string(&log).expect("the log");
            if (self.ready)(self.port, &said) {
                return true;
            }
            if said.contains(TAKEN) {
                self.kill();
                return false;
            }
            assert!(
                begin.elapsed() < PATIENCE && !is_gone(process),
                "the server does not start: {said}"
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops the server with this signal, if it runs.
    fn stop_with(&mut self, with: &str) {
        let Some((mut guard, process)) = self.running.take() else {
            return;
        };
        let family = family(process);
        if with == "KILL" {
            signal(with, &family);
        }
        let mut stdin = guard.stdin.take().expect("stdin");
        writeln!(stdin, "{with}").expect("the guard listens");
        guard.wait().expect("waiting");
        // A child that is still there keeps the memory it shares, and no other
        // server starts until it has gone.
        let begin = Instant::now();
        for process in family.iter().filter_map(|id| id.parse().ok()) {
            while !is_gone(process) && begin.elapsed() < PATIENCE {
                thread::sleep(Duration::from_millis(5));
            }
        }
    }

    fn signal_all(&self, name: &str) {
        let (_, process) = self.running.as_ref().expect("a running server");
        signal(name, &family(*process));
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        match self.running.take() {
            // Its standard input ends here.
            Some((mut guard, _)) => drop(guard.wait()),
            None => drop(fs::remove_dir_all(&self.folder)),
        }
    }
}

/// A port that nothing listens on now.
fn free_port() -> u16 {
    loop {
        let port = rand::rng().random_range(PORTS);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A process and its children.
fn family(process: u32) -> Vec<String> {
    let children = format!("/proc/{process}/task/{process}/children");
    let children = fs::read_to_string(children).unwrap_or_default();
    let children = children.split_whitespace().map(str::to_owned);
    std::iter::once(process.to_string())
        .chain(children)
        .collect()
}

fn signal(name: &str, processes: &[String]) {
    // One that ended meanwhile needs no signal.
    let mut kill = Command::new("kill");
    kill.args(["-s", name]).args(processes);
    let _ = kill.stderr(Stdio::null()).status();
}

/// Whether a child of the guard ended.
fn is_gone(process: u32) -> bool {
    let state = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    state
        .rsplit(") ")
        .next()
        .is_none_or(|rest| rest.starts_with('Z') || rest.is_empty())
}

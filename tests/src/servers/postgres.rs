//! A Postgres of a test's own.

use std::{
    env, fs,
    ops::{Deref, DerefMut},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use super::{Identity, guarded::Guarded};

/// Who connects, and with what.
const USER: &str = "emporium";
const PASSWORD: &str = "test-postgres-password";

/// A Postgres server and its databases.
///
/// It refuses to run as root, so root starts it as another user.
pub struct Postgres {
    server: Guarded,
    databases: AtomicU32,
}

impl Postgres {
    /// The server that the tests of this process share, which take a
    /// [`Self::database`] each.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A server that waits for no disk: what it holds survives its crash, but
    /// not that of the machine.
    pub fn start() -> Self {
        Self::new(&["fsync=off", "full_page_writes=off"], None)
    }

    /// A server as durable as Postgres is by default, for measurements.
    pub fn durable() -> Self {
        Self::new(&[], None)
    }

    /// A server that can also be reached through TLS.
    pub fn encrypted(identity: &Identity) -> Self {
        Self::new(&["fsync=off", "ssl=on"], Some(identity))
    }

    fn new(settings: &[&str], identity: Option<&Identity>) -> Self {
        let mut settings: Vec<_> = settings.iter().map(|&setting| setting.to_owned()).collect();
        let folder = tempfile::Builder::new()
            .prefix("emporium-postgres-")
            .tempdir()
            .expect("a folder")
            .keep();
        init(&folder);
        if let Some(identity) = identity {
            let (certificate, key) = identity.write(&folder);
            for (setting, file) in [("ssl_cert_file", &certificate), ("ssl_key_file", &key)] {
                give_away(file);
                settings.push(format!("{setting}={}", file.display()));
            }
        }
        let command = move |port, folder: &Path| command(port, folder, &settings);
        Self {
            server: Guarded::launch(folder, command, is_ready),
            databases: AtomicU32::new(0),
        }
    }

    /// The address of the database `postgres`, which is there from the start.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Makes an empty database; returns its address.
    pub fn database(&self) -> String {
        self.copy_of("template1")
    }

    /// Makes a copy of a database that nobody is connected to; returns its
    /// address.
    pub fn copy_of(&self, template: &str) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Relaxed));
        let sql = format!("CREATE DATABASE {name} TEMPLATE {template}");
        self.query(&self.url(), &sql);
        self.url_of(&name)
    }

    /// Runs SQL on one of its databases; returns the rows, one per line, with
    /// `|` between columns.
    pub fn query(&self, url: &str, sql: &str) -> String {
        let output = Command::new(program("psql"))
            .args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql])
            .output()
            .expect("psql");
        assert!(
            output.status.success(),
            "{sql}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let rows = String::from_utf8(output.stdout).expect("text");
        rows.trim_end().to_owned()
    }

    fn url_of(&self, database: &str) -> String {
        let port = self.port();
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{port}/{database}")
    }
}

impl Deref for Postgres {
    type Target = Guarded;

    fn deref(&self) -> &Guarded {
        &self.server
    }
}

impl DerefMut for Postgres {
    fn deref_mut(&mut self) -> &mut Guarded {
        &mut self.server
    }
}

/// Makes the files of a server in `folder`.
fn init(folder: &Path) {
    let password = folder.join("password");
    fs::write(&password, PASSWORD).expect("a password file");
    give_away(folder);
    give_away(&password);
    let initdb = unprivileged(program("initdb"));
    let (program, arguments) = initdb.split_first().expect("a program");
    let output = Command::new(program)
        .args(arguments)
        .args(["--auth=scram-sha-256", "--encoding=UTF8", "--no-locale"])
        .args(["--no-sync", "--no-instructions", "--username", USER])
        .arg(format!("--pwfile={}", password.display()))
        .arg("--pgdata")
        .arg(folder.join("data"))
        .output()
        .expect("initdb, which scripts/setup --tests installs");
    assert!(
        output.status.success(),
        "initdb: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Lets whom Postgres runs as have a file.
fn give_away(path: &Path) {
    if let Some((user, group)) = other_user() {
        std::os::unix::fs::chown(path, Some(user), Some(group)).expect("chown");
    }
}

fn command(port: u16, folder: &Path, settings: &[String]) -> Vec<String> {
    let mut command = unprivileged(program("postgres"));
    command.extend(["-D".into(), folder.join("data").display().to_string()]);
    let mut set = |setting: &str| command.extend(["-c".into(), setting.into()]);
    set(&format!("port={port}"));
    set("listen_addresses=127.0.0.1");
    set("unix_socket_directories=");
    set("max_connections=200");
    for setting in settings {
        set(setting);
    }
    command
}

fn is_ready(_: u16, log: &str) -> bool {
    log.contains("database system is ready to accept connections")
}

/// A command line for `program` as a user that Postgres agrees to run as.
fn unprivileged(program: PathBuf) -> Vec<String> {
    let program = program.display().to_string();
    match other_user() {
        None => vec![program],
        Some((user, group)) => vec![
            "setpriv".into(),
            format!("--reuid={user}"),
            format!("--regid={group}"),
            "--clear-groups".into(),
            program,
        ],
    }
}

/// Whom root runs Postgres as.
fn other_user() -> Option<(u32, u32)> {
    let me = fs::metadata("/proc/self").expect("/proc").uid();
    let users = (me == 0).then(|| fs::read_to_string("/etc/passwd").expect("users"))?;
    let ids = |name: &str| {
        let line = users
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2).map(str::parse);
        Some((fields.next()?.ok()?, fields.next()?.ok()?))
    };
    ids("postgres").or_else(|| ids("nobody"))
}

/// A program of the newest Postgres: of the folder `EMPORIUM_POSTGRES_BIN`, of
/// Debian's, or of the search path.
fn program(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        if let Some(folder) = env::var_os("EMPORIUM_POSTGRES_BIN") {
            return folder.into();
        }
        let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
        let versions = versions.filter_map(|version| version.ok()?.file_name().into_string().ok());
        match versions.max_by_key(|version| version.parse::<u32>().unwrap_or(0)) {
            Some(newest) => format!("/usr/lib/postgresql/{newest}/bin").into(),
            None => PathBuf::new(),
        }
    });
    folder.join(name)
}

//! A Redis of a test's own.

use std::{
    env,
    io::{Read as _, Write as _},
    net::TcpStream,
    ops::{Deref, DerefMut},
    path::Path,
    sync::OnceLock,
};

use super::{Identity, guarded::Guarded};

/// A Redis server that keeps nothing on disk: once stopped, it is empty. `EMPORIUM_REDIS_SERVER` names the
/// program if it is not `redis-server`: `valkey-server`, for instance.
pub struct Redis(Guarded);

impl Redis {
    /// The server that the tests of this process share. They need channels and
    /// keys of their own.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Redis> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Starts one with further arguments, such as `--requirepass`.
    pub fn with(arguments: &[&str]) -> Self {
        Self::new(arguments, None)
    }

    /// Starts one that can also be reached through TLS.
    pub fn encrypted(identity: &Identity) -> Self {
        Self::new(&["--tls-auth-clients", "no"], Some(identity))
    }

    fn new(arguments: &[&str], identity: Option<&Identity>) -> Self {
        let mut arguments: Vec<_> = arguments.iter().map(|&word| word.to_owned()).collect();
        let folder = tempfile::Builder::new()
            .prefix("emporium-redis-")
            .tempdir()
            .expect("a folder")
            .keep();
        if let Some(identity) = identity {
            let (certificate, key) = identity.write(&folder);
            for (option, file) in [
                ("--tls-cert-file", &certificate),
                ("--tls-key-file", &key),
                ("--tls-ca-cert-file", &certificate),
            ] {
                arguments.extend([option.to_owned(), file.display().to_string()]);
            }
        }
        let command = move |port, folder: &Path| command(port, folder, &arguments);
        Self(Guarded::launch(folder, command, is_ready))
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port())
    }

    /// The port for TLS, if it has an identity.
    pub fn tls_port(&self) -> u16 {
        tls_port(self.port())
    }

    /// Runs a command of words without spaces; returns the start of the reply
    /// as it came.
    pub fn command(&self, command: &str) -> String {
        exchange(self.port(), command).expect("an answer")
    }
}

impl Deref for Redis {
    type Target = Guarded;

    fn deref(&self) -> &Guarded {
        &self.0
    }
}

impl DerefMut for Redis {
    fn deref_mut(&mut self) -> &mut Guarded {
        &mut self.0
    }
}

fn command(port: u16, folder: &Path, arguments: &[String]) -> Vec<String> {
    let program = env::var("EMPORIUM_REDIS_SERVER").unwrap_or_else(|_| "redis-server".into());
    let folder = folder.display().to_string();
    let tls_port = tls_port(port).to_string();
    let is_encrypted = arguments.iter().any(|word| word == "--tls-cert-file");
    let encryption = is_encrypted.then_some(["--tls-port".to_owned(), tls_port]);
    let port = port.to_string();
    let options = [
        "--port",
        &port,
        "--bind",
        "127.0.0.1",
        "--dir",
        &folder,
        "--save",
        "",
        "--appendonly",
        "no",
    ];
    std::iter::once(program)
        .chain(options.map(str::to_owned))
        .chain(encryption.into_iter().flatten())
        .chain(arguments.iter().cloned())
        .collect()
}

/// The neighbour of the ordinary port. A server that finds it taken does not
/// start, and another pair is tried.
fn tls_port(port: u16) -> u16 {
    port ^ 1
}

/// One that asks for a password answers too.
fn is_ready(port: u16, log: &str) -> bool {
    log.contains("eady to accept connections") && exchange(port, "PING").is_ok()
}

fn exchange(port: u16, command: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(format!("{command}\r\n").as_bytes())?;
    let mut reply = vec![0; 4096];
    let length = stream.read(&mut reply)?;
    reply.truncate(length);
    String::from_utf8(reply).map_err(|_| std::io::ErrorKind::InvalidData.into())
}

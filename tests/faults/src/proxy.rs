//! A TCP proxy that misbehaves on demand, and that knows enough of the protocols
//! to do so at a chosen moment.

mod postgres;
mod relay;
mod resp;
mod trap;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::Result;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use self::trap::Traps;
pub use self::trap::{Armed, Moment};

/// What is spoken on the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Postgres,
    Redis,
}

/// How connections are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Pass,
    /// Each part of a conversation takes so long.
    Latency(Duration),
    /// Connections are accepted and stay open, and what is sent vanishes.
    HalfOpen,
    /// Connections are reset as soon as they are made.
    Refuse,
}

/// What the connections of a proxy share.
struct Shared {
    protocol: Protocol,
    /// Counts up when all connections are to be reset.
    mode: watch::Sender<(Mode, u64)>,
    traps: Traps,
    /// Whether messages on Redis channels vanish.
    drops_messages: AtomicBool,
    /// How many messages passed or vanished.
    messages: AtomicUsize,
}

/// A way to a server on loopback.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// A proxy of the server at `port`.
    pub async fn start(protocol: Protocol, port: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            protocol,
            mode: watch::Sender::new((Mode::Pass, 0)),
            traps: Traps::default(),
            drops_messages: AtomicBool::new(false),
            messages: AtomicUsize::new(0),
        });
        let accepting = tokio::spawn(accept(listener, port, shared.clone()));
        Ok(Self {
            address,
            shared,
            accepting,
        })
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Treat connections so from now on. What a half-open connection swallowed is
    /// gone: it is reset when another mode begins.
    pub fn set(&self, mode: Mode) {
        self.shared.mode.send_modify(|(current, resets)| {
            *resets += u64::from(*current == Mode::HalfOpen || mode == Mode::Refuse);
            *current = mode;
        });
    }

    /// Reset every connection that there is.
    pub fn reset(&self) {
        self.shared.mode.send_modify(|(_, resets)| *resets += 1);
    }

    /// Let messages on Redis channels vanish, or pass.
    pub fn drop_messages(&self, drops: bool) {
        self.shared.drops_messages.store(drops, Relaxed);
    }

    /// How many messages on Redis channels came by.
    pub fn messages(&self) -> usize {
        self.shared.messages.load(Relaxed)
    }

    /// Hold the first connection on which this moment comes.
    pub fn arm(&self, moment: Moment) -> Armed {
        self.shared.traps.arm(moment)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.set(Mode::Refuse);
    }
}

async fn accept(listener: TcpListener, port: u16, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        let shared = shared.clone();
        tokio::spawn(async move {
            let refuses = shared.mode.borrow().0 == Mode::Refuse;
            match TcpStream::connect(("127.0.0.1", port)).await {
                Ok(server) if !refuses => relay::run(client, server, &shared).await,
                _ => relay::reset(&client),
            }
        });
    }
}

//! The connections to databases that components share.
//!
//! A connection belongs to a component only while one of its statements or
//! transactions runs. It is driven by whoever uses it and not by a task of its
//! own, so that a statement costs no switch between threads; one that rests is
//! taken again by the thread that used it last, if that is possible.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread::{self, ThreadId},
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    address::{Address, InvalidAddress, Key},
    link::Link,
};
use crate::net::{PermittedNetworks, tls::Roots};

/// How long a component waits for a connection when all are in use.
const WAIT: Duration = Duration::from_secs(10);

/// How many addresses are kept parsed. Components choose addresses, so that
/// there must be a limit.
const ADDRESSES_LIMIT: usize = 64;

/// Why there is no connection.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum NoConnection {
    #[error(
        "all {0} connections to Postgres were busy for {WAIT:?}; --postgres-connections gives more"
    )]
    Busy(usize),
    #[error("connecting takes longer than {0:?}")]
    TimedOut(Duration),
    #[error("{0}")]
    Failed(String),
}

/// The connections of an application.
#[derive(Clone)]
pub(crate) struct Pool {
    servers: Arc<Servers>,
    connections: Arc<Connections>,
}

/// Where connections lead, and how they get there.
struct Servers {
    addresses: Mutex<HashMap<Key, Arc<Address>>>,
    networks: PermittedNetworks,
    roots: Roots,
}

struct Connections {
    limit: usize,
    /// One for each connection that may be in use.
    permits: Arc<Semaphore>,
    /// How many there are, in use and resting.
    total: Arc<AtomicUsize>,
    resting: Mutex<Vec<Resting>>,
}

struct Resting {
    link: Link,
    /// The thread that used it last.
    home: ThreadId,
}

/// A connection counts until this is dropped.
pub(super) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Connections {
    fn up_to(limit: usize) -> Arc<Self> {
        let limit = limit.max(1);
        Arc::new(Self {
            limit,
            permits: Arc::new(Semaphore::new(limit)),
            total: Arc::default(),
            resting: Mutex::default(),
        })
    }
}

impl Pool {
    /// A pool of at most `limit` connections.
    pub(crate) fn new(limit: usize, networks: PermittedNetworks, roots: Roots) -> Self {
        Self {
            servers: Arc::new(Servers {
                addresses: Mutex::default(),
                networks,
                roots,
            }),
            connections: Connections::up_to(limit),
        }
    }

    /// A pool of one connection beside those of this one, to the same servers.
    pub(crate) fn with_one_more(&self) -> Self {
        Self {
            servers: Arc::clone(&self.servers),
            connections: Connections::up_to(1),
        }
    }

    pub(super) fn address(&self, key: Key) -> Result<Arc<Address>, InvalidAddress> {
        let mut addresses = lock(&self.servers.addresses);
        if let Some(address) = addresses.get(&key) {
            return Ok(Arc::clone(address));
        }
        let address = Arc::new(Address::parse(key.clone(), &self.servers.roots)?);
        if addresses.len() == ADDRESSES_LIMIT {
            addresses.clear();
        }
        addresses.insert(key, Arc::clone(&address));
        Ok(address)
    }

    /// Take a connection to `address`, once there is one to be had.
    pub(super) async fn take(&self, address: &Arc<Address>) -> Result<Lease, NoConnection> {
        let busy = || NoConnection::Busy(self.connections.limit);
        let permit = match Arc::clone(&self.connections.permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                tokio::time::timeout(WAIT, Arc::clone(&self.connections.permits).acquire_owned())
                    .await
                    .map_err(|_| busy())?
                    .map_err(|_| busy())?
            }
        };
        let link = loop {
            match self.pick(address) {
                Ok(mut link) => {
                    if link.is_alive().await {
                        break link;
                    }
                }
                Err(place) => {
                    let timeout = address.timeout();
                    let linking = Link::connect(Arc::clone(address), &self.servers.networks, place);
                    break tokio::time::timeout(timeout, linking)
                        .await
                        .map_err(|_| NoConnection::TimedOut(timeout))?
                        .map_err(NoConnection::Failed)?;
                }
            }
        };
        Ok(Lease {
            link: Some(link),
            pool: self.clone(),
            _permit: permit,
        })
    }

    /// A connection that rests, or the place for a new one.
    fn pick(&self, address: &Arc<Address>) -> Result<Link, Place> {
        let here = thread::current().id();
        let mut resting = lock(&self.connections.resting);
        let fits = |resting: &Resting| resting.link.address().key == address.key;
        let is_full = self.connections.total.load(Relaxed) >= self.connections.limit;
        let found = resting
            .iter()
            .rposition(|resting| resting.home == here && fits(resting))
            .or_else(|| is_full.then(|| resting.iter().rposition(fits)).flatten());
        if let Some(found) = found {
            return Ok(resting.swap_remove(found).link);
        }
        let gone = (is_full && !resting.is_empty()).then(|| resting.swap_remove(0));
        self.connections.total.fetch_add(1, Relaxed);
        drop(resting);
        drop(gone);
        Err(Place(Arc::clone(&self.connections.total)))
    }

    fn rest(&self, link: Link) {
        let home = thread::current().id();
        lock(&self.connections.resting).push(Resting { link, home });
    }
}

/// A connection in use.
///
/// It goes back to the pool when this is dropped, unless what was done with it
/// may show to its next user: then it is closed, which also rolls back.
pub(super) struct Lease {
    link: Option<Link>,
    pool: Pool,
    _permit: OwnedSemaphorePermit,
}

impl Lease {
    /// Present until the lease is dropped.
    pub(super) fn link(&mut self) -> Option<&mut Link> {
        self.link.as_mut()
    }

    /// Whether the pool may have it between two statements.
    pub(super) fn is_clean(&self) -> bool {
        self.link.as_ref().is_some_and(Link::is_clean)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        match self.link.take() {
            Some(link) if link.is_clean() => self.pool.rest(link),
            Some(link) => link.close(),
            None => {}
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
        sync::mpsc,
    };

    use super::*;
    use crate::capability::postgres::session::Session;

    /// A session may begin.
    const WELCOME: &[u8] = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";

    /// Takes one connection as a server does, tells `asked` of the first statement,
    /// and never answers it.
    async fn hang(mut stream: TcpStream, asked: mpsc::UnboundedSender<()>) -> std::io::Result<()> {
        let length = stream.read_u32().await?;
        let mut startup = vec![0; length as usize - 4];
        stream.read_exact(&mut startup).await?;
        if startup.starts_with(&[0, 3]) {
            stream.write_all(WELCOME).await?;
            stream.read_u8().await?;
            let _ = asked.send(());
        }
        std::future::pending().await
    }

    #[tokio::test]
    async fn a_statement_that_hangs_does_not_keep_the_only_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let server = listener.local_addr().expect("an address");
        let (asks, mut asked) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(hang(stream, asks.clone()));
            }
        });
        let pool = Pool::new(8, PermittedNetworks::default(), Roots::empty()).with_one_more();
        let key = Key {
            address: format!("postgres://user@{server}/db?sslmode=disable"),
            certificate: None,
            is_named: true,
        };
        let address = pool.address(key).expect("an address");
        for _ in 0..2 {
            let mut session = Session::new(pool.clone(), address.clone());
            tokio::select! {
                outcome = session.execute("SELECT 1", &[]) => panic!("{outcome:?}"),
                asked = asked.recv() => assert_eq!(asked, Some(())),
            }
        }
    }
}

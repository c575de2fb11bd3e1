//! Brokers that are servers of their own.
//!
//! Commands of all components on one thread share a connection, on which none
//! waits for the reply of another. A command that blocks or changes the state of
//! its connection gets one that belongs to its component.

use std::{
    borrow::Cow,
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, ThreadId},
    time::Duration,
};

use redis::{AsyncConnectionConfig, Cmd, RedisConnectionInfo, Value, aio::MultiplexedConnection};
use rustls::{ClientConfig, pki_types::ServerName};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::{RedisAddress, RedisError, Reply};
use crate::net::{PermittedNetworks, check};

/// How long making a connection may take.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a command on a shared connection may take: one that takes longer
/// means that the server hangs.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a server that vanished may leave what was sent unacknowledged.
const USER_TIMEOUT: Duration = Duration::from_secs(10);
const KEEPALIVE: Duration = Duration::from_secs(10);

/// How many connections are shared. Components choose addresses, so that there
/// must be a limit.
const SHARED_LIMIT: usize = 256;

/// The connections of an application.
#[derive(Clone)]
pub(crate) struct Servers {
    shared: Arc<Mutex<HashMap<Place, Shared>>>,
    tls: Arc<ClientConfig>,
}

/// Which commands go through one connection: those for one server and database,
/// of one thread.
type Place = (RedisAddress, PermittedNetworks, ThreadId);

#[derive(Clone)]
struct Shared {
    connection: MultiplexedConnection,
    ended: Arc<AtomicBool>,
}

/// A component's connection to a server.
#[derive(Clone)]
pub(crate) struct Client {
    servers: Servers,
    address: RedisAddress,
    networks: PermittedNetworks,
    /// Made when it is first needed, and used for everything from then on.
    own: Arc<tokio::sync::Mutex<Option<MultiplexedConnection>>>,
    has_own: Arc<AtomicBool>,
}

impl Servers {
    pub(super) fn new(tls: Arc<ClientConfig>) -> Self {
        let shared = Arc::default();
        Self { shared, tls }
    }

    pub(super) fn tls(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.tls)
    }

    pub(super) fn client(&self, address: RedisAddress, networks: PermittedNetworks) -> Client {
        Client {
            servers: self.clone(),
            address,
            networks,
            own: Arc::default(),
            has_own: Arc::default(),
        }
    }
}

impl Client {
    /// Connects, so that a server that cannot be reached is found out.
    pub(super) async fn connect(&self) -> Result<(), RedisError> {
        self.shared().await.map(drop)
    }

    pub(super) async fn execute(
        &self,
        name: &str,
        arguments: Vec<Vec<u8>>,
    ) -> Result<Reply, RedisError> {
        let place = Needs::of(name, &arguments);
        let mut command = Cmd::with_capacity(arguments.len() + 1, 64);
        command.arg(name);
        for argument in &arguments {
            command.arg(argument.as_slice());
        }
        match place {
            Needs::Refusal => Err(RedisError::Other(format!(
                "ERR `{name}` is not for components: a Redis trigger receives messages"
            ))),
            Needs::Own => self.execute_on_own(&command).await,
            Needs::Any if self.has_own.load(Relaxed) => self.execute_on_own(&command).await,
            Needs::Any => self.execute_on_shared(&command).await,
        }
    }

    async fn execute_on_shared(&self, command: &Cmd) -> Result<Reply, RedisError> {
        let mut shared = self.shared().await?;
        let reply = shared.connection.send_packed_command(command).await;
        if let Err(error) = &reply
            && is_broken(error)
        {
            // The next command connects again.
            shared.ended.store(true, Relaxed);
        }
        reply.map_err(from_redis).and_then(to_reply)
    }

    async fn execute_on_own(&self, command: &Cmd) -> Result<Reply, RedisError> {
        // A connection of one's own is used by one command at a time. It is
        // taken: one whose command was given up is not used any more.
        let mut own = self.own.lock().await;
        let mut used = match own.take() {
            Some(connection) => connection,
            None => self.open(None).await?.connection,
        };
        self.has_own.store(true, Relaxed);
        let reply = used.send_packed_command(command).await;
        match &reply {
            Err(error) if is_broken(error) => self.has_own.store(false, Relaxed),
            _ => *own = Some(used),
        }
        reply.map_err(from_redis).and_then(to_reply)
    }

    async fn shared(&self) -> Result<Shared, RedisError> {
        let place = (
            self.address.clone(),
            self.networks.clone(),
            thread::current().id(),
        );
        if let Some(shared) = lock(&self.servers.shared).get(&place)
            && !shared.ended.load(Relaxed)
        {
            return Ok(shared.clone());
        }
        let shared = self.open(Some(REPLY_TIMEOUT)).await?;
        let mut connections = lock(&self.servers.shared);
        if connections.len() >= SHARED_LIMIT {
            connections.clear();
        }
        connections.insert(place, shared.clone());
        Ok(shared)
    }

    async fn open(&self, timeout: Option<Duration>) -> Result<Shared, RedisError> {
        let opened = tokio::time::timeout(CONNECT_TIMEOUT, self.dial_and_greet(timeout)).await;
        opened.map_err(|_| takes_too_long())?
    }

    async fn dial_and_greet(&self, timeout: Option<Duration>) -> Result<Shared, RedisError> {
        let stream = self.address.dial(&self.networks, &self.servers.tls).await?;
        let config = AsyncConnectionConfig::new().set_response_timeout(timeout);
        let settings = self.address.settings();
        let (connection, driver) =
            MultiplexedConnection::new_with_config(&settings, stream, config)
                .await
                .map_err(from_redis)?;
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        tokio::spawn(async move {
            driver.await;
            end.store(true, Relaxed);
        });
        Ok(Shared { connection, ended })
    }
}

/// Which connection a command needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    Any,
    Own,
    Refusal,
}

impl Needs {
    fn of(name: &str, arguments: &[Vec<u8>]) -> Self {
        let blocks = || {
            let is_block = |argument: &Vec<u8>| argument.eq_ignore_ascii_case(b"BLOCK");
            arguments.iter().any(is_block)
        };
        match name.to_ascii_uppercase().as_str() {
            "SUBSCRIBE" | "PSUBSCRIBE" | "SSUBSCRIBE" | "MONITOR" | "SYNC" | "PSYNC" => {
                Self::Refusal
            }
            "XREAD" | "XREADGROUP" if blocks() => Self::Own,
            "BLPOP" | "BRPOP" | "BLMOVE" | "BRPOPLPUSH" | "BLMPOP" | "BZPOPMIN" | "BZPOPMAX"
            | "BZMPOP" | "WAIT" | "WAITAOF" | "SELECT" | "AUTH" | "HELLO" | "CLIENT" | "MULTI"
            | "EXEC" | "DISCARD" | "WATCH" | "UNWATCH" | "RESET" | "QUIT" | "ASKING"
            | "READONLY" | "READWRITE" | "SHUTDOWN" | "DEBUG" | "FAILOVER" => Self::Own,
            _ => Self::Any,
        }
    }
}

/// What carries a connection.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl RedisAddress {
    /// Connect to the server.
    pub(super) async fn dial(
        &self,
        networks: &PermittedNetworks,
        tls: &Arc<ClientConfig>,
    ) -> Result<Box<dyn Stream>, RedisError> {
        let failed = |error: &dyn std::fmt::Display| {
            RedisError::Unreachable(format!("{}:{}: {error}", self.host, self.port))
        };
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let found = tokio::net::lookup_host((host, self.port)).await;
        let mut refused = failed(&"the name has no address");
        for address in found.map_err(|error| failed(&error))? {
            if let Err(prohibited) = check(address.ip(), networks) {
                refused = failed(&format_args!(
                    "{prohibited}; name it in `allowed_outbound_hosts` or permit its network"
                ));
                continue;
            }
            match dial(address).await {
                Ok(stream) if self.tls => {
                    return encrypt(host, stream, tls)
                        .await
                        .map_err(|error| failed(&error));
                }
                Ok(stream) => return Ok(Box::new(stream)),
                Err(error) => refused = failed(&error),
            }
        }
        Err(refused)
    }

    pub(super) fn settings(&self) -> RedisConnectionInfo {
        // Asking the server to remember our name costs round trips.
        let mut settings = RedisConnectionInfo::default()
            .set_db(self.database.into())
            .set_skip_set_lib_name();
        if let Some(user) = &self.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &self.password {
            settings = settings.set_password(password);
        }
        settings
    }
}

async fn dial(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    Ok(stream)
}

async fn encrypt(
    host: &str,
    stream: TcpStream,
    tls: &Arc<ClientConfig>,
) -> Result<Box<dyn Stream>, String> {
    let name = match host.parse::<IpAddr>() {
        Ok(address) => ServerName::from(address),
        Err(_) => ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?,
    };
    let connector = tokio_rustls::TlsConnector::from(Arc::clone(tls));
    let stream = connector.connect(name, stream).await;
    Ok(Box::new(stream.map_err(|error| error.to_string())?))
}

/// Whether a connection is of no more use after this.
fn is_broken(error: &redis::RedisError) -> bool {
    error.is_io_error()
        || error.is_timeout()
        || error.is_connection_dropped()
        || error.is_unrecoverable_error()
}

pub(super) fn takes_too_long() -> RedisError {
    RedisError::Unreachable(format!("connecting takes longer than {CONNECT_TIMEOUT:?}"))
}

pub(super) fn from_redis(error: redis::RedisError) -> RedisError {
    match error.code() {
        Some("WRONGTYPE") => RedisError::WrongType,
        Some("OOM") => RedisError::OutOfMemory,
        Some(_) => match error.detail() {
            Some("value is not an integer or out of range") => RedisError::NotAnInteger,
            _ => RedisError::Other(error.to_string()),
        },
        None => RedisError::Unreachable(error.to_string()),
    }
}

/// Refuses what Spin refuses: replies that only the newer protocol has.
fn to_reply(value: Value) -> Result<Reply, RedisError> {
    let unsupported = |what: &str| {
        let text = format!("Could not convert Redis response: {what} is not supported");
        Err(RedisError::Other(text))
    };
    Ok(match value {
        Value::Nil => Reply::Nil,
        Value::Int(value) => Reply::Integer(value),
        Value::BulkString(bytes) => Reply::Bytes(bytes),
        Value::Array(values) | Value::Set(values) => {
            let replies = values.into_iter().map(to_reply);
            Reply::List(replies.collect::<Result<_, _>>()?)
        }
        Value::SimpleString(status) => Reply::Status(Cow::Owned(status)),
        Value::Okay => Reply::Status(Cow::Borrowed("OK")),
        Value::Double(value) => Reply::Bytes(value.to_string().into_bytes()),
        Value::Boolean(value) => Reply::Integer(value.into()),
        Value::BigNumber(digits) => Reply::Bytes(digits),
        Value::Map(_) => return unsupported("Redis Map type"),
        Value::Attribute { .. } => return unsupported("Redis Attribute type"),
        Value::VerbatimString { .. } => {
            return unsupported("Redis string with format attribute");
        }
        Value::Push { .. } => return unsupported("Redis Pub/Sub type"),
        Value::ServerError(error) => {
            return Err(from_redis(error.into()));
        }
        _ => return unsupported("this reply"),
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_blocks_or_lasts_gets_its_own_connection() {
        let needs = |line: &str| {
            let mut words = line.split(' ');
            let name = words.next().unwrap_or_default();
            Needs::of(name, &words.map(Into::into).collect::<Vec<_>>())
        };
        for (line, expected) in [
            ("GET key", Needs::Any),
            ("publish a b", Needs::Any),
            ("XREADGROUP GROUP g c COUNT 1 STREAMS s >", Needs::Any),
            ("xreadgroup GROUP g c block 0 STREAMS s >", Needs::Own),
            ("blpop key 0", Needs::Own),
            ("SELECT 3", Needs::Own),
            ("MULTI", Needs::Own),
            ("SUBSCRIBE a", Needs::Refusal),
        ] {
            assert_eq!(needs(line), expected, "{line}");
        }
    }

    #[test]
    fn replies_of_the_newer_protocol_are_refused_as_under_spin() {
        let map = Value::Map(vec![(Value::Int(1), Value::Int(2))]);
        assert!(to_reply(map.clone()).is_err());
        assert!(to_reply(Value::Array(vec![Value::Nil, map])).is_err());
        let number = to_reply(Value::Double(0.5)).expect("a reply");
        assert_eq!(number, Reply::Bytes(b"0.5".to_vec()));
    }
}

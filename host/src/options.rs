//! How a host is set up, and the limits it keeps.

use std::{
    collections::BTreeMap, net::SocketAddr, num::NonZero, path::PathBuf, thread, time::Duration,
};

use crate::{Clock, Pace, Telemetry, Variables, runtime_config::RuntimeConfig};

/// What to load, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The manifest.
    pub manifest: Source,
    /// The profile to apply. If there is neither one nor [`Self::postgres`], it is
    /// `embedded`, if the manifest has that.
    pub profile: Option<String>,
    /// The address of the database, for the variable `postgres_url`.
    pub postgres: Option<String>,
    /// The address of the broker, for the variable `redis_address`. Without it,
    /// brokers in this process stand for every address.
    pub redis: Option<String>,
    /// Spin's file about backing stores and variables.
    pub runtime_config: Option<PathBuf>,
    /// The folder for databases and stores.
    pub state: PathBuf,
    /// The folder for compiled code. Hosts may share one.
    pub cache: PathBuf,
    /// Where the values of variables come from.
    pub variables: Variables,
    /// The address to serve HTTP on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What requests and handlers may use.
    pub limits: Limits,
    /// The clock guests see.
    pub clock: Clock,
    /// What statements on SQLite wait for.
    pub pace: Pace,
    /// Whether outbound requests may reach private and loopback addresses that
    /// the manifest allows.
    pub allow_private_networks: bool,
    /// How often `POST /platform/tick` is called at least, if it is routed. If it is,
    /// the host also announces itself at `POST /platform/workers`.
    pub tick: Option<Duration>,
    /// Certificates in PEM, of servers or of whoever vouches for them, that
    /// components' connections trust beside those of Mozilla.
    pub ca_file: Option<PathBuf>,
    /// Where spans are exported to, if they are.
    pub telemetry: Option<Telemetry>,
    /// The threads that serve HTTP.
    pub threads: usize,
    /// Whether what guests print is shown.
    pub show_output: bool,
}

/// A manifest in a file, or given as text.
#[derive(Clone, Debug)]
pub enum Source {
    /// Paths in it are relative to its folder.
    File(PathBuf),
    /// Paths in it are relative to `base`.
    Text {
        /// The manifest.
        text: String,
        /// The folder that stands for the manifest's own.
        base: PathBuf,
    },
}

/// Limits on what guests use. Overload is answered, not stored.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of linear memory an instance may use.
    pub memory: usize,
    /// Instances alive at once, over all components.
    pub instances: u32,
    /// Requests an instance serves before it is replaced, which bounds what a
    /// leaking guest can hoard.
    pub reuse: u32,
    /// Requests an instance handles at once, as far as it waits for other things
    /// than they do. One that traps takes the others along.
    pub concurrent_reuse: usize,
    /// HTTP requests handled at once; more are answered with 503. What the host
    /// itself calls for does not count.
    pub in_flight: usize,
    /// Connections open at once; more wait to be accepted.
    pub connections: usize,
    /// Bytes a request body may have.
    pub body: u64,
    /// Bytes the head of a request may have.
    pub head: usize,
    /// How long an HTTP handler may take to answer, and may compute between
    /// two parts of its answer. A request body that comes in steadily prolongs it.
    pub request_deadline: Duration,
    /// How long a Redis handler may take.
    pub handler_deadline: Duration,
    /// Messages of one channel handled at once.
    pub handlers: usize,
    /// The same for some channels, by name.
    pub channel_handlers: BTreeMap<String, usize>,
    /// Whether a message that waits subsumes those that come after it. Right
    /// for wakes, which carry no truth; wrong for a channel whose payloads
    /// matter.
    pub coalesce: bool,
    /// Connections to Postgres, over all components. Statements that find none
    /// wait. The host has two more for announcing itself and for waking what is due.
    pub postgres_connections: usize,
    /// How long a shutdown waits for requests and handlers.
    pub drain: Duration,
}

impl Options {
    /// The defaults, for the manifest `source`.
    pub fn new(source: Source) -> Self {
        let base = match &source {
            Source::File(path) => path.parent().map(PathBuf::from).unwrap_or_default(),
            Source::Text { base, .. } => base.clone(),
        };
        Self {
            manifest: source,
            profile: None,
            postgres: None,
            redis: None,
            runtime_config: None,
            cache: base.join(".emporium/compiled"),
            state: base.join(".emporium"),
            variables: Variables::default(),
            listen: SocketAddr::from(([127, 0, 0, 1], 3000)),
            limits: Limits::default(),
            clock: Clock::default(),
            pace: Pace::default(),
            allow_private_networks: false,
            tick: Some(Duration::from_secs(1)),
            ca_file: None,
            telemetry: None,
            threads: cores(),
            show_output: true,
        }
    }
}

impl Options {
    /// What the file says, if there is one.
    pub(crate) fn runtime_config(&self) -> anyhow::Result<RuntimeConfig> {
        let config = self.runtime_config.as_deref().map(RuntimeConfig::read);
        Ok(config.transpose()?.unwrap_or_default())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // A picture of 50 megapixels with transparency takes two thirds of it.
            memory: 1 << 30,
            instances: 1000,
            reuse: 1024,
            // As on Spin.
            concurrent_reuse: 16,
            in_flight: 512,
            connections: 8192,
            body: 64 << 20,
            head: 64 << 10,
            request_deadline: Duration::from_secs(30),
            handler_deadline: Duration::from_secs(60),
            handlers: cores(),
            channel_handlers: BTreeMap::new(),
            coalesce: true,
            postgres_connections: 16,
            drain: Duration::from_secs(10),
        }
    }
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

//! What a component may do beyond computing: one file per Spin interface.
//!
//! `Capabilities` are the back ends an application shares, `Grants` say which of
//! them one component may use, and `CapabilityState` is what one instance of it
//! has open.

pub(crate) mod grants;
pub(crate) mod key_value;
pub(crate) mod outbound;
pub(crate) mod postgres;
pub(crate) mod redis;
mod rows;
pub(crate) mod sqlite;
#[cfg(test)]
mod tests;
pub(crate) mod variables;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use rustls::ClientConfig;
use wasmtime::component::{HasData, Linker, ResourceTable};

pub(crate) use self::grants::{Grants, ParsedGrants};
use crate::Pace;
use crate::bindings::spin;
use crate::chores::Chore;
use crate::net::{
    OutboundUrl, PermittedNetworks, connector,
    tls::{Proof, Roots},
};
use crate::redis::Redis;
use crate::runtime_config::{KeyValueStore, SqliteDatabase};
use crate::telemetry::scope::{Scope, Statement};

/// How many stores, databases and connections an instance may hold open of each
/// kind; the figure is Spin's.
const OPEN_LIMIT: usize = 256;

/// How much of a reply the host buffers for a component; the figure is Spin's.
pub(crate) const REPLY_LIMIT: usize = 128 << 20;

/// Where the back ends keep their state and what they may reach.
#[derive(Clone)]
pub(crate) struct CapabilitiesConfig {
    /// The folder of the database files; created if it is missing.
    pub(crate) state: PathBuf,
    /// What statements on SQLite wait for.
    pub(crate) pace: Pace,
    /// Networks that are off limits by default but open to every component here.
    pub(crate) networks: PermittedNetworks,
    /// How many connections to Postgres there may be.
    pub(crate) postgres_connections: usize,
    /// Servers that the operator named, which may be in any network.
    pub(crate) trusted: Vec<OutboundUrl>,
    /// Stores and databases that are elsewhere, by label.
    pub(crate) key_value_stores: BTreeMap<String, KeyValueStore>,
    pub(crate) sqlite_databases: BTreeMap<String, SqliteDatabase>,
    /// Whether brokers are servers, instead of in this process.
    pub(crate) has_brokers: bool,
    /// Whom encrypted connections trust.
    pub(crate) roots: Roots,
}

/// The back ends that the components of an application share.
#[derive(Clone)]
pub(crate) struct Capabilities {
    shared: Arc<Shared>,
}

struct Shared {
    key_value: key_value::Stores,
    postgres: postgres::Pool,
    /// For announcements and for wakes: other work may take long to give a
    /// connection back.
    postgres_of_announcer: postgres::Pool,
    postgres_of_ticker: postgres::Pool,
    sqlite: sqlite::Databases,
    redis: Redis,
    networks: PermittedNetworks,
    trusted: Vec<OutboundUrl>,
    https: Arc<ClientConfig>,
}

impl Capabilities {
    /// Open the back ends of one application.
    pub(crate) fn open(config: CapabilitiesConfig) -> anyhow::Result<Self> {
        let state = config.state;
        std::fs::create_dir_all(&state)
            .with_context(|| format!("creating the state folder {}", state.display()))?;
        let tls = config.roots.config(Proof::Name).context("TLS")?;
        let brokers = Redis::remote(Arc::new(tls.clone()));
        let postgres = postgres::Pool::new(
            config.postgres_connections,
            config.networks.clone(),
            config.roots,
        );
        let shared = Shared {
            key_value: key_value::Stores::new(
                state.join("key-value.db"),
                config.key_value_stores,
                &brokers,
            ),
            postgres_of_announcer: postgres.with_one_more(),
            postgres_of_ticker: postgres.with_one_more(),
            postgres,
            sqlite: sqlite::Databases::new(state, &config.sqlite_databases, config.pace),
            redis: match config.has_brokers {
                true => brokers,
                false => Redis::embedded(),
            },
            networks: config.networks,
            trusted: config.trusted,
            https: Arc::new(connector::speaking_http(tls)),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// The message broker, for triggers to subscribe to.
    pub(crate) fn redis(&self) -> &Redis {
        &self.shared.redis
    }

    /// Whether the operator or the manifest means this very server, so that it
    /// may be in a network that is off limits otherwise.
    fn means(&self, grants: &ParsedGrants, url: &OutboundUrl) -> bool {
        let is_same = |trusted: &OutboundUrl| {
            trusted.host == url.host && trusted.port_or_default() == url.port_or_default()
        };
        grants.allowed_outbound_hosts.names(url) || self.shared.trusted.iter().any(is_same)
    }

    /// How to connect to HTTP servers.
    pub(crate) fn https(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.shared.https)
    }

    /// Networks that are open to every component.
    pub(crate) fn networks(&self) -> &PermittedNetworks {
        &self.shared.networks
    }
}

/// What one instance of a component has at its disposal.
///
/// What it opened lives in the `ResourceTable` of its store; here is only how
/// many there are of each kind.
pub(crate) struct CapabilityState {
    shared: Capabilities,
    grants: Arc<ParsedGrants>,
    /// What the instance is for, if not for requests or messages.
    chore: Option<Chore>,
    open: Open,
    /// Where in a trace the instance is, if it is traced.
    pub(crate) scope: Option<Scope>,
}

#[derive(Default)]
struct Open {
    stores: usize,
    databases: usize,
    postgres: usize,
    redis: usize,
}

impl CapabilityState {
    /// Nothing open yet.
    pub(crate) fn new(
        shared: &Capabilities,
        grants: &Arc<ParsedGrants>,
        chore: Option<Chore>,
    ) -> Self {
        Self {
            shared: shared.clone(),
            grants: Arc::clone(grants),
            chore,
            open: Open::default(),
            scope: None,
        }
    }

    /// Where the instance gets its connections to Postgres.
    fn postgres_pool(&self) -> &postgres::Pool {
        let shared = &self.shared.shared;
        match self.chore {
            Some(Chore::Announce) => &shared.postgres_of_announcer,
            Some(Chore::Wake) => &shared.postgres_of_ticker,
            Some(Chore::TidyUp) | None => &shared.postgres,
        }
    }
}

/// Implemented by the data of a store whose components use these capabilities.
pub(crate) trait CapabilityView: Send + 'static {
    /// The instance's capabilities, and the table its resources live in.
    fn capabilities(&mut self) -> (&mut CapabilityState, &mut ResourceTable);
}

/// A borrow of what the host functions need of a store's data.
pub(crate) struct CapabilityCtx<'a> {
    state: &'a mut CapabilityState,
    table: &'a mut ResourceTable,
}

impl CapabilityCtx<'_> {
    /// The instance executes a statement, which is a span if it is traced.
    fn begin_statement(&mut self, system: &str, sql: &str) -> Option<Statement> {
        let scope = self.state.scope.as_mut()?;
        Some(scope.statement(system, sql))
    }

    fn end_statement<T, E: Debug>(&mut self, statement: Option<Statement>, result: &Result<T, E>) {
        if let (Some(scope), Some(statement)) = (&mut self.state.scope, statement) {
            scope.executed(statement, result);
        }
    }
}

/// The type-level name of [`CapabilityCtx`], for the generated traits.
pub(crate) struct Capability;

impl HasData for Capability {
    type Data<'a> = CapabilityCtx<'a>;
}

/// Add every interface in this module to a linker.
///
/// A component can call them all and is refused what its grants do not name, as
/// under Spin.
pub(crate) fn add_to_linker<T: CapabilityView>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    fn ctx<T: CapabilityView>(data: &mut T) -> CapabilityCtx<'_> {
        let (state, table) = data.capabilities();
        CapabilityCtx { state, table }
    }
    spin::key_value::key_value::add_to_linker::<T, Capability>(linker, ctx)?;
    spin::postgres::postgres::add_to_linker::<T, Capability>(linker, ctx)?;
    spin::redis::redis::add_to_linker::<T, Capability>(linker, ctx)?;
    spin::sqlite::sqlite::add_to_linker::<T, Capability>(linker, ctx)?;
    spin::variables::variables::add_to_linker::<T, Capability>(linker, ctx)?;
    Ok(())
}

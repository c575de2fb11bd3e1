//! What an instance is refused, whatever it asks for.

use wasmtime::component::Resource;

use super::*;
use crate::bindings::spin::key_value::key_value::{Error as KeyValueError, HostStore};
use crate::bindings::spin::redis::redis::{Error as RedisError, HostConnection as RedisConnection};
use crate::bindings::spin::sqlite::sqlite::{
    Error as SqliteError, HostConnection as SqliteConnection,
};

struct Instance {
    state: CapabilityState,
    table: ResourceTable,
    _folder: tempfile::TempDir,
}

impl Instance {
    /// An instance that may use what is called `default` and a broker.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let config = CapabilitiesConfig {
            pace: crate::Pace::default(),
            state: folder.path().join("state"),
            networks: PermittedNetworks::default(),
            postgres_connections: 1,
            trusted: Vec::new(),
            key_value_stores: Default::default(),
            sqlite_databases: Default::default(),
            has_brokers: false,
            roots: crate::net::tls::Roots::mozilla(),
        };
        let grants = Grants {
            component: "media".into(),
            key_value_stores: ["default".to_owned()].into(),
            sqlite_databases: ["default".to_owned(), "../default".to_owned()].into(),
            allowed_outbound_hosts: vec!["redis://localhost".into()],
            ..Grants::default()
        };
        let grants = Arc::new(ParsedGrants::parse(grants, &[]).expect("grants"));
        let capabilities = Capabilities::open(config).expect("capabilities");
        let state = CapabilityState::new(&capabilities, &grants, None);
        Self {
            state,
            table: ResourceTable::new(),
            _folder: folder,
        }
    }

    fn ctx(&mut self) -> CapabilityCtx<'_> {
        CapabilityCtx {
            state: &mut self.state,
            table: &mut self.table,
        }
    }
}

#[tokio::test]
async fn a_store_that_is_not_granted_is_refused() {
    let mut instance = Instance::new();
    let refused = instance.ctx().open_store("other");
    assert!(matches!(refused, Err(KeyValueError::AccessDenied)));
}

#[tokio::test]
async fn stores_are_limited_until_one_is_closed() {
    let mut instance = Instance::new();
    for _ in 1..OPEN_LIMIT {
        instance.ctx().open_store("default").expect("store");
    }
    let last = instance.ctx().open_store("default").expect("store");
    let refused = instance.ctx().open_store("default");
    assert!(matches!(refused, Err(KeyValueError::StoreTableFull)));
    HostStore::drop(&mut instance.ctx(), last)
        .await
        .expect("closed");
    instance.ctx().open_store("default").expect("store");
}

#[tokio::test]
async fn a_database_that_is_not_granted_or_not_there_is_refused() {
    let mut instance = Instance::new();
    let refused = instance.ctx().open("other".into()).await;
    assert!(matches!(refused, Err(SqliteError::AccessDenied)));
    let refused = instance.ctx().open("../default".into()).await;
    assert!(matches!(refused, Err(SqliteError::NoSuchDatabase)));
}

#[tokio::test]
async fn databases_are_limited_until_one_is_closed() {
    let mut instance = Instance::new();
    for _ in 1..OPEN_LIMIT {
        instance
            .ctx()
            .open("default".into())
            .await
            .expect("connection");
    }
    let last = instance
        .ctx()
        .open("default".into())
        .await
        .expect("connection");
    let refused = instance.ctx().open("default".into()).await;
    assert!(
        matches!(refused, Err(SqliteError::Io(message)) if message == "too many connections opened")
    );
    SqliteConnection::drop(&mut instance.ctx(), last)
        .await
        .expect("closed");
    instance
        .ctx()
        .open("default".into())
        .await
        .expect("connection");
}

#[tokio::test]
async fn a_connection_that_is_closed_is_not_valid() {
    let mut instance = Instance::new();
    let connection = instance
        .ctx()
        .open("default".into())
        .await
        .expect("connection");
    let closed = Resource::new_own(connection.rep());
    SqliteConnection::drop(&mut instance.ctx(), connection)
        .await
        .expect("closed");
    let refused = instance
        .ctx()
        .execute(closed, "SELECT 1".into(), vec![])
        .await;
    assert!(matches!(refused, Err(SqliteError::InvalidConnection)));
}

#[tokio::test]
async fn a_broker_that_is_not_allowed_is_refused() {
    let mut instance = Instance::new();
    for address in [
        "redis://localhost:6380",
        "redis://other",
        "http://localhost",
        "",
        "redis://",
    ] {
        let refused = instance.ctx().brokers(address);
        assert!(
            matches!(refused, Err(RedisError::InvalidAddress)),
            "{address}"
        );
    }
    assert!(instance.ctx().brokers("redis://localhost/3").is_ok());
}

#[tokio::test]
async fn connections_to_brokers_are_limited_until_one_is_closed() {
    let mut instance = Instance::new();
    let (redis, reach) = instance
        .ctx()
        .brokers("redis://localhost")
        .expect("brokers");
    let client = redis
        .connect("redis://localhost", reach)
        .await
        .expect("client");
    for _ in 1..OPEN_LIMIT {
        instance
            .ctx()
            .keep_connection(client.clone())
            .expect("connection");
    }
    let last = instance
        .ctx()
        .keep_connection(client.clone())
        .expect("connection");
    let refused = instance.ctx().keep_connection(client.clone());
    assert!(matches!(refused, Err(RedisError::TooManyConnections)));
    RedisConnection::drop(&mut instance.ctx(), last)
        .await
        .expect("closed");
    instance.ctx().keep_connection(client).expect("connection");
}

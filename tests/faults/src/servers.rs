//! Postgres and Redis of a scenario's own.

use emporium_tests::servers::{Postgres, Redis};

/// Whom hosts connect as. Not the superuser, to whom no limit applies.
const ROLE: &str = "hosts";
const PASSWORD: &str = "test-hosts-password";

/// The servers under a fleet.
pub struct Servers {
    pub postgres: Postgres,
    pub redis: Redis,
    /// The address of the database, for its superuser.
    pub url: String,
}

impl Servers {
    /// Start both, with an empty database.
    pub fn start() -> Self {
        let postgres = Postgres::start();
        let url = postgres.database();
        Self::with(postgres, url)
    }

    /// Start a Redis beside this database.
    pub fn with(postgres: Postgres, url: String) -> Self {
        let servers = Self {
            postgres,
            redis: Redis::start(),
            url,
        };
        servers.sql(&format!("CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'"));
        servers.sql(&format!(
            "ALTER DATABASE {} OWNER TO {ROLE}",
            servers.name()
        ));
        servers
    }

    /// Run SQL in the database, as its superuser; returns the rows.
    pub fn sql(&self, sql: &str) -> String {
        tokio::task::block_in_place(|| self.postgres.query(&self.url, sql))
    }

    /// The address of the database for a host that reaches it through `port`.
    pub fn url_through(&self, port: u16) -> String {
        format!(
            "postgres://{ROLE}:{PASSWORD}@127.0.0.1:{port}/{}",
            self.name()
        )
    }

    /// How many connections hosts may have, all together; -1 is as many as there
    /// are. Those that are too many are ended.
    pub fn limit_connections(&self, count: i32) {
        self.sql(&format!("ALTER ROLE {ROLE} CONNECTION LIMIT {count}"));
        if count >= 0 {
            self.end_connections();
        }
    }

    /// End every connection of the hosts, whatever it is doing.
    pub fn end_connections(&self) {
        self.sql(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{ROLE}'"
        ));
    }

    /// What the platform holds, for whoever has to find out why.
    pub fn held(&self) -> String {
        self.sql(
            "SELECT 'ready', leased, count(*), min(attempt), max(attempt),
                min(free_ms - emporium.now_ms()), max(free_ms - emporium.now_ms())
            FROM emporium.deliveries GROUP BY leased
            UNION ALL SELECT 'delayed', false, count(*), min(attempt), max(attempt),
                min(due_ms - emporium.now_ms()), max(due_ms - emporium.now_ms())
            FROM emporium.delayed
            UNION ALL SELECT 'waiting', false, count(*), min(attempt), max(attempt),
                min(due_ms - emporium.now_ms()), max(due_ms - emporium.now_ms())
            FROM emporium.waiting",
        )
    }

    fn name(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or_default()
    }
}

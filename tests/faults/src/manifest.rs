//! The application of the ledger: it and `operations`, over either platform.

use anyhow::{Context as _, Result};
use emporium_tests::{app, component};
use toml::{Table, Value, toml};

use crate::wiring::Wiring;

/// What a test says about the subscription of the ledger.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// How long a host may hold an entry, if nobody finds out that it is gone.
    pub lease_ms: u32,
    /// How often an entry is tried.
    pub max_attempts: u32,
    /// How many entries are handed out at once.
    pub batch: u32,
}

impl Terms {
    /// A lease that is longer than any test: only the knowledge that a host is
    /// gone frees what it held.
    pub const LONG_LEASES: Self = Self {
        lease_ms: 300_000,
        max_attempts: 20,
        batch: 20,
    };
}

impl Default for Terms {
    /// The usual lease of the SDK. A connection that breaks must not make anybody
    /// wait for its end.
    fn default() -> Self {
        Self {
            lease_ms: 30_000,
            max_attempts: 20,
            batch: 20,
        }
    }
}

/// The manifest. `operations` is as `spin.toml` has it, whatever that is.
pub fn text(wiring: Wiring, terms: Terms) -> Result<String> {
    let mut manifest: Table = app::manifest().parse()?;
    manifest.insert("application".into(), application());
    manifest.insert("trigger".into(), triggers(&manifest)?);
    let variables = table(&mut manifest, "variables")?;
    variables
        .entry("postgres_url")
        .or_insert_with(|| toml! { default = "postgres://127.0.0.1/none" }.into());
    let components = table(&mut manifest, "component")?;
    let mut operations = components.remove("operations").context("operations")?;
    let mut ledger: Value = toml! {
        allowed_outbound_hosts = []
        variables = { worker = "{{ worker }}" }
    }
    .into();
    let source = component("test-ledger").display().to_string();
    let held = ledger.as_table_mut().context("a table")?;
    held.insert("source".into(), source.into());
    let held = table(held, "variables")?;
    for (name, number) in [
        ("lease_ms", terms.lease_ms),
        ("max_attempts", terms.max_attempts),
        ("batch", terms.batch),
    ] {
        held.insert(name.into(), number.to_string().into());
    }
    for service in [&mut operations, &mut ledger] {
        wire(service.as_table_mut().context("a table")?, wiring)?;
    }
    table(operations.as_table_mut().context("a table")?, "variables")?
        .insert("services".into(), "".into());
    let platform = components.remove(wiring.platform());
    let platform = platform.unwrap_or_else(|| {
        let source = component(wiring.platform()).display().to_string();
        Table::from_iter([("source".to_owned(), Value::from(source))]).into()
    });
    *components = Table::from_iter([
        ("ledger".to_owned(), ledger),
        ("operations".to_owned(), operations),
        (wiring.platform().to_owned(), platform),
    ]);
    Ok(toml::to_string(&manifest)?)
}

fn application() -> Value {
    toml! {
        name = "faults"
        trigger = { redis = { address = "{{ redis_address }}" } }
    }
    .into()
}

/// The routes of `operations`, and those of the ledger.
fn triggers(manifest: &Table) -> Result<Value> {
    let routes = manifest["trigger"]["http"].as_array().context("routes")?;
    let mut routes: Vec<Value> = routes
        .iter()
        .filter(|route| route["component"].as_str() == Some("operations"))
        .cloned()
        .collect();
    routes.push(toml! { route = "/ledger/..." component = "ledger" }.into());
    let channels = [toml! { channel = "ledger" component = "ledger" }];
    let mut triggers = Table::new();
    triggers.insert("http".into(), routes.into());
    triggers.insert("redis".into(), Vec::from(channels).into());
    Ok(triggers.into())
}

/// Let a service use the platform of this wiring.
fn wire(service: &mut Table, wiring: Wiring) -> Result<()> {
    service.remove("profile");
    service.remove("build");
    let mut hosts = vec!["{{ redis_address }}"];
    let variables = table(service, "variables")?;
    variables.insert("redis_address".into(), "{{ redis_address }}".into());
    let inherited = match wiring {
        Wiring::Embedded => {
            service.insert("sqlite_databases".into(), vec!["default"].into());
            vec!["allowed_outbound_hosts", "sqlite_databases", "variables"]
        }
        Wiring::Servers => {
            variables.insert("postgres_url".into(), "{{ postgres_url }}".into());
            service.remove("sqlite_databases");
            hosts.push("postgres://127.0.0.1:*");
            vec!["allowed_outbound_hosts", "variables"]
        }
    };
    service.insert("allowed_outbound_hosts".into(), hosts.into());
    let mut platform = Table::new();
    platform.insert("component".into(), wiring.platform().into());
    platform.insert("inherit_configuration".into(), inherited.into());
    let mut dependencies = Table::new();
    dependencies.insert("emporium:platform@0.1.0".into(), platform.into());
    service.insert("dependencies".into(), dependencies.into());
    Ok(())
}

fn table<'a>(parent: &'a mut Table, key: &str) -> Result<&'a mut Table> {
    let child = parent.entry(key).or_insert_with(|| Table::new().into());
    child.as_table_mut().with_context(|| format!("`{key}`"))
}

//! An application: its manifest, its compiled components and their grants.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use futures::future::BoxFuture;
use http::{Request, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;
use wasmtime::{
    Engine, Store,
    component::{Component, InstancePre, Linker},
};
use wasmtime_wasi::{FsPerms, WasiCtx};
use wasmtime_wasi_http::{WasiBody, p3::bindings::ServicePre};

use crate::{
    Options, Source,
    cache::{Cache, Key},
    capability::outbound::{ChainTarget, OutboundHttp, ServiceChain},
    capability::{
        Capabilities, CapabilitiesConfig, CapabilityState, Grants, ParsedGrants, postgres,
    },
    chores::Chore,
    clock, compose, deny, engine,
    error::Anyhow as _,
    manifest::{self, Manifest},
    net::{OutboundUrl, PermittedNetworks, tls::Roots},
    output::Output,
    redis::RedisAddress,
    runtime_config::RuntimeConfig,
    state::{self, Budget, State},
    telemetry::{counters::Counters, tracer::Tracer},
};

/// The profile that needs no server.
const EMBEDDED: &str = "embedded";

/// The variable by which guests learn which host they run on.
const WORKER: &str = "worker";

/// What is loaded once and shared by everything that runs.
pub(crate) struct Application {
    /// Different at every start: what guests hold leases as, and what the host
    /// announces itself as.
    pub(crate) id: String,
    pub(crate) options: Options,
    pub(crate) manifest: Manifest,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) engine: Engine,
    pub(crate) capabilities: Capabilities,
    pub(crate) counters: Counters,
    /// Present if spans are exported.
    pub(crate) tracer: Option<Arc<Tracer>>,
    base: PathBuf,
    cache: Cache,
    linker: Linker<State>,
    /// One for each instance that there may be, but for those of chores.
    room: Arc<Semaphore>,
    units: Mutex<BTreeMap<String, Arc<Unit>>>,
    _ticker: engine::Ticker,
}

/// A component, ready to be instantiated with its own grants.
pub(crate) struct Unit {
    pub(crate) id: String,
    pub(crate) pre: InstancePre<State>,
    /// Present if the component handles HTTP.
    pub(crate) service: Option<ServicePre<State>>,
    grants: Arc<ParsedGrants>,
    environment: Vec<(String, String)>,
    files: Vec<(PathBuf, String)>,
    output: Output,
}

/// What the host is called: the variable `worker`, which it sets itself if
/// nothing else does.
fn worker_id(variables: &mut BTreeMap<String, String>) -> String {
    let id = variables.entry(WORKER.into()).or_default();
    if id.is_empty() {
        *id = Uuid::new_v4().to_string();
    }
    id.clone()
}

/// Reads the manifest `options` name. Also says which folder its paths are
/// relative to.
pub(crate) fn read_manifest(options: &Options) -> Result<(Manifest, PathBuf)> {
    let (text, file, base) = match &options.manifest {
        Source::Text { text, base } => (text.clone(), "manifest".into(), base.clone()),
        Source::File(path) => {
            let text = fs::read_to_string(path).with_context(|| {
                format!(
                    "reading the manifest {}; name another with -f",
                    path.display()
                )
            })?;
            (
                text,
                path.display().to_string(),
                path.parent().map(PathBuf::from).unwrap_or_default(),
            )
        }
    };
    let embedded = || {
        let is_embedded = options.postgres.is_none() && Manifest::has_profile(&text, EMBEDDED);
        is_embedded.then_some(EMBEDDED)
    };
    let profile = options.profile.as_deref().or_else(embedded);
    Ok((Manifest::parse(&text, &file, profile)?, base))
}

/// The servers that an address on the command line names.
fn servers(address: &str) -> Result<Vec<OutboundUrl>> {
    let is_redis = address.starts_with("redis://") || address.starts_with("rediss://");
    match is_redis {
        true => {
            let port = RedisAddress::parse(address)?.port();
            let mut url = OutboundUrl::parse(address, "redis")?;
            url.port = Some(port);
            Ok(vec![url])
        }
        false => postgres::outbound_urls(address).context("the address of Postgres"),
    }
}

fn authority(url: &OutboundUrl) -> String {
    let port = url.port_or_default().unwrap_or_default();
    format!("{}:{port}", url.host)
}

/// The values of the variables of the application.
pub(crate) fn resolve_variables(
    options: &Options,
    config: &RuntimeConfig,
    manifest: &Manifest,
) -> Result<BTreeMap<String, String>> {
    let mut variables = options.variables.clone();
    for (url, address, host) in [
        (&options.postgres, "postgres_url", "postgres_host"),
        (&options.redis, "redis_address", "redis_host"),
    ] {
        let Some(url) = url else { continue };
        // `allowed_outbound_hosts` takes neither a user nor a path, so that a
        // manifest needs the host by itself.
        let authority = servers(url)?.iter().map(authority).collect::<Vec<_>>();
        variables.offered.insert(host.into(), authority.join(","));
        variables.offered.insert(address.into(), url.clone());
    }
    variables.resolve(&manifest.variables, &config.variables_providers)
}

impl Application {
    /// Loads all components that have a trigger; the others when they are
    /// asked for.
    pub(crate) fn load(options: Options) -> Result<Arc<Self>> {
        let application = Arc::new(Self::open(options)?);
        let ids: Vec<_> = application.manifest.triggered().collect();
        thread::scope(|scope| {
            let loading: Vec<_> = ids
                .iter()
                .map(|id| scope.spawn(|| application.unit(id)))
                .collect();
            loading.into_iter().try_for_each(|unit| {
                unit.join()
                    .map_err(|_| anyhow!("a component crashed the compiler"))?
                    .map(drop)
            })
        })?;
        Ok(application)
    }

    /// As `load`, without loading any component.
    pub(crate) fn open(options: Options) -> Result<Self> {
        let (manifest, base) = read_manifest(&options)?;
        let config = options.runtime_config()?;
        let mut variables = resolve_variables(&options, &config, &manifest)?;
        let id = worker_id(&mut variables);
        let tracer = options.telemetry.clone();
        let tracer = tracer.map(|telemetry| Tracer::new(telemetry, &id));
        let engine = engine::new(&options.limits)?;
        let mut linker = Linker::new(&engine);
        state::add_to_linker(&mut linker).anyhow()?;
        let permitted = match options.allow_private_networks {
            true => PermittedNetworks::all(),
            false => PermittedNetworks::default(),
        };
        let networks = permitted
            .without(&config.outbound_networking.block_networks)
            .context("`block_networks` of the runtime config")?;
        let mut roots = Roots::mozilla();
        if let Some(file) = &options.ca_file {
            roots.add_file(file).context("the file of --ca-file")?;
        }
        let postgres_connections = config.outbound_pg.max_connections;
        Ok(Self {
            id,
            capabilities: Capabilities::open(CapabilitiesConfig {
                state: options.state.clone(),
                pace: options.pace.clone(),
                networks,
                has_brokers: options.redis.is_some(),
                roots,
                postgres_connections: postgres_connections
                    .unwrap_or(options.limits.postgres_connections),
                trusted: [&options.postgres, &options.redis]
                    .into_iter()
                    .flatten()
                    .map(|address| servers(address))
                    .collect::<Result<Vec<_>>>()?
                    .concat(),
                key_value_stores: config.key_value_stores,
                sqlite_databases: config.sqlite_databases,
            })?,
            cache: Cache::open(options.cache.clone())?,
            _ticker: engine::Ticker::start(&engine)?,
            room: Arc::new(Semaphore::new(options.limits.instances as usize)),
            units: Mutex::default(),
            counters: Counters::default(),
            tracer,
            options,
            manifest,
            variables,
            engine,
            base,
            linker,
        })
    }

    /// The component `id`, loaded if it is not yet.
    pub(crate) fn unit(&self, id: &str) -> Result<Arc<Unit>> {
        let loaded = || self.units.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(unit) = loaded().get(id) {
            return Ok(unit.clone());
        }
        let declared = self
            .manifest
            .components
            .get(id)
            .with_context(|| format!("there is no component {id:?}"))?;
        let unit = Arc::new(
            self.load_unit(id, declared)
                .with_context(|| format!("loading component {id:?}"))?,
        );
        loaded().insert(id.into(), unit.clone());
        Ok(unit)
    }

    fn load_unit(&self, id: &str, declared: &manifest::Component) -> Result<Unit> {
        let component = self.component(id, declared)?;
        let mut linker = self.linker.clone();
        deny::add_to_linker(&mut linker, &self.engine, &component).anyhow()?;
        let pre = linker.instantiate_pre(&component).map_err(|error| {
            anyhow!("{error:#}; `emporium doctor` says which import is not satisfied")
        })?;
        let files = declared.files.iter().map(|mount| {
            let source = self.base.join(&mount.source);
            if !source.is_dir() {
                bail!("files: {} is not a folder", source.display());
            }
            Ok((source, mount.destination.clone()))
        });
        let components: Vec<_> = self.manifest.components.keys().cloned().collect();
        Ok(Unit {
            id: id.into(),
            service: ServicePre::new(pre.clone()).ok(),
            pre,
            grants: Arc::new(ParsedGrants::parse(self.grants(id, declared), &components)?),
            environment: declared.environment.clone().into_iter().collect(),
            files: files.collect::<Result<_>>()?,
            output: Output::new(id, self.options.show_output),
        })
    }

    fn grants(&self, id: &str, declared: &manifest::Component) -> Grants {
        let resolve = |template: &manifest::Template| template.resolve(&self.variables);
        Grants {
            component: id.into(),
            key_value_stores: declared.key_value_stores.iter().cloned().collect(),
            sqlite_databases: declared.sqlite_databases.iter().cloned().collect(),
            allowed_outbound_hosts: declared
                .allowed_outbound_hosts
                .iter()
                .map(|host| (host.is_literal(), resolve(host)))
                // As under Spin, a variable without a value allows nothing.
                .filter(|(literal, host)| {
                    *literal || !matches!(host.as_str(), "" | "http://" | "https://")
                })
                .map(|(_, host)| host)
                .collect(),
            variables: declared
                .variables
                .iter()
                .map(|(name, value)| (name.clone(), resolve(value)))
                .collect(),
        }
    }

    /// The composed and compiled code, from the cache if nothing changed.
    pub(crate) fn component(&self, id: &str, declared: &manifest::Component) -> Result<Component> {
        let root = self.read(&declared.source)?;
        let mut key = Key::new(&self.engine);
        key.add(&root);
        let mut parts = Vec::new();
        for (name, dependency) in &declared.dependencies {
            let bytes = self.read(&dependency.source)?;
            key.add(name.as_str().as_bytes());
            key.add(dependency.export.as_deref().unwrap_or_default().as_bytes());
            key.add(
                dependency
                    .inherited
                    .names()
                    .collect::<Vec<_>>()
                    .join(",")
                    .as_bytes(),
            );
            key.add(&bytes);
            let (export, inherited) = (dependency.export.as_deref(), &dependency.inherited);
            parts.push(compose::Part {
                name,
                export,
                inherited,
                bytes,
            });
        }
        self.cache
            .get(&self.engine, key, || compose::compose(id, root, parts))
    }

    fn read(&self, source: &Path) -> Result<Vec<u8>> {
        let path = self.base.join(source);
        fs::read(&path).with_context(|| format!("reading {}; is it built?", path.display()))
    }

    /// The outbound HTTP of `unit`. Clones share their connections.
    pub(crate) fn outbound(&self, unit: &Unit, chain: Arc<dyn ServiceChain>) -> OutboundHttp {
        OutboundHttp::new(&self.capabilities, &unit.grants, chain)
    }

    /// A store for one instance of `unit`, with `time` to start in. For a chore
    /// there is always room.
    pub(crate) fn store(
        &self,
        unit: &Unit,
        outbound: OutboundHttp,
        time: Duration,
        chore: Option<Chore>,
    ) -> Result<Store<State>> {
        let room = match chore {
            Some(_) => None,
            None => Some(self.room()?),
        };
        let mut wasi = WasiCtx::builder();
        wasi.envs(&unit.environment)
            .stdout(unit.output.clone())
            .stderr(unit.output.clone())
            .wall_clock(clock::Wall(self.options.clock.clone()))
            .monotonic_clock(clock::Monotonic::new(self.options.clock.clone()))
            // Guests reach the network through capabilities that check it.
            .allow_tcp(false)
            .allow_udp(false);
        for (source, destination) in &unit.files {
            wasi.preopened_dir(source, destination, FsPerms::ReadOnly)
                .anyhow()?;
        }
        let capabilities = CapabilityState::new(&self.capabilities, &unit.grants, chore);
        Ok(State::store(
            &self.engine,
            wasi.build(),
            (capabilities, outbound),
            Budget {
                memory: self.options.limits.memory,
                time,
                room,
            },
        ))
    }

    fn room(&self) -> Result<OwnedSemaphorePermit> {
        self.room.clone().try_acquire_owned().map_err(|_| {
            let instances = self.options.limits.instances;
            anyhow!("there are {instances} instances already; --max-instances allows more")
        })
    }
}

/// For instances that cannot call other components by name: Redis handlers,
/// which under Spin run in another process than the HTTP trigger.
pub(crate) struct NoChain;

impl ServiceChain for NoChain {
    fn call(
        &self,
        _: ChainTarget,
        _: Request<WasiBody>,
    ) -> BoxFuture<'static, wasmtime_wasi_http::Result<Response<WasiBody>>> {
        Box::pin(async { Err(wasmtime_wasi_http::Error::DestinationNotFound) })
    }
}

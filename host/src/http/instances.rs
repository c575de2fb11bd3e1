//! Instances of a component on one thread, used again and again.
//!
//! While an instance waits for something, other requests may join it ([`Run`]).

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use wasmtime::Store;
use wasmtime_wasi_http::p3::bindings::Service;

use super::run::{Job, Most, Run};
use crate::{
    Options,
    application::{Application, Unit},
    capability::outbound::{OutboundHttp, ServiceChain},
    chores::Chore,
    error::Anyhow as _,
    state::State,
    telemetry::{counters::HttpCounters, scope::Scope},
};

/// An instance nobody used for this long is dropped.
const IDLE: Duration = Duration::from_secs(10);

/// An instance that took more memory than this is not used again: linear
/// memory never shrinks, and the next request most likely needs little.
pub(super) const KEPT_MEMORY: usize = 32 << 20;

/// An instance that handles HTTP.
pub(super) struct Instance {
    pub(super) store: Store<State>,
    pub(super) service: Service,
    served: u32,
    last_used: Instant,
}

impl Instance {
    /// Counts requests that it served.
    pub(super) fn count(&mut self, served: u32) {
        self.served += served;
    }
}

/// The instances of one component.
pub(super) struct Pool {
    application: Arc<Application>,
    unit: Arc<Unit>,
    outbound: OutboundHttp,
    counters: Arc<HttpCounters>,
    /// What its instances are for, if not for requests.
    chore: Option<Chore>,
    /// How many idle instances are kept.
    room: usize,
    idle: Mutex<Vec<Instance>>,
    /// How many requests an instance handles at once.
    at_once: usize,
    running: Mutex<Vec<Arc<Run>>>,
}

impl Pool {
    pub(super) fn new(
        application: Arc<Application>,
        unit: Arc<Unit>,
        chain: Arc<dyn ServiceChain>,
        chore: Option<Chore>,
        components: usize,
    ) -> Self {
        Self {
            outbound: application.outbound(&unit, chain),
            counters: application.counters.http(&unit.id),
            room: match chore {
                Some(_) => 1,
                None => room(&application.options, components),
            },
            chore,
            // Spans belong to the request that the instance handles.
            at_once: match application.tracer.is_some() || chore.is_some() {
                true => 1,
                false => application.options.limits.concurrent_reuse.max(1),
            },
            application,
            unit,
            idle: Mutex::default(),
            running: Mutex::default(),
        }
    }

    /// The id of the component.
    pub(super) fn id(&self) -> &str {
        &self.unit.id
    }

    /// What is counted of its requests.
    pub(super) fn counters(&self) -> &HttpCounters {
        &self.counters
    }

    /// An idle instance, the one used last, or a new one.
    pub(super) async fn take(&self) -> Result<Instance> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        match idle {
            Some(instance) => Ok(instance),
            None => self.instantiate().await,
        }
    }

    /// Hands a request to an instance: one that waits for something, or another.
    /// Returns the number of the request there.
    pub(super) fn run(
        self: &Arc<Self>,
        mut job: Job,
        time: Duration,
        scope: Option<Scope>,
    ) -> (Arc<Run>, u64) {
        let most = Most {
            at_once: self.at_once,
            in_all: self.application.options.limits.reuse,
        };
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|run| !run.has_ended());
        for run in running.iter() {
            match run.join(job, time, most) {
                Ok(member) => return (run.clone(), member),
                Err(refused) => job = refused,
            }
        }
        let run = Arc::new(Run::begin(self, job, time, scope));
        if self.at_once > 1 {
            running.push(run.clone());
        }
        (run, 0)
    }

    async fn instantiate(&self) -> Result<Instance> {
        let time = self.application.options.limits.request_deadline;
        let mut store =
            self.application
                .store(&self.unit, self.outbound.clone(), time, self.chore)?;
        let service = self
            .unit
            .service
            .as_ref()
            .context("the component does not export `wasi:http/handler`")?;
        let service = service.instantiate_async(&mut store).await.anyhow()?;
        Ok(Instance {
            store,
            service,
            served: 0,
            last_used: Instant::now(),
        })
    }

    /// Takes back an instance that did well, unless it has served enough.
    pub(super) fn put(&self, mut instance: Instance) {
        let limits = &self.application.options.limits;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let small = instance.store.data().memory() <= KEPT_MEMORY;
        if small && instance.served < limits.reuse && idle.len() < self.room {
            instance.last_used = Instant::now();
            idle.push(instance);
        }
    }

    /// Drops what nobody used for a while.
    pub(super) fn trim(&self) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // The one used last is on top, so what is old is at the bottom.
        let old = idle
            .iter()
            .take_while(|instance| instance.last_used.elapsed() > IDLE)
            .count();
        idle.drain(..old);
    }
}

/// The share of one pool in the instances that requests and Redis handlers
/// leave over: idle ones must not take their place.
fn room(options: &Options, components: usize) -> usize {
    let limits = &options.limits;
    let for_requests = (limits.instances as usize).saturating_sub(limits.instances as usize / 10);
    let spare = for_requests.saturating_sub(limits.in_flight);
    (spare / (options.threads.max(1) * components.max(1))).max(1)
}

//! What belongs to one instance: its WASI context, its capabilities, and what
//! it has left of memory and time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::sync::OwnedSemaphorePermit;
use wasmtime::{
    ResourceLimiter, Store, UpdateDeadline,
    component::{Linker, ResourceTable},
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::{
    capability::outbound::OutboundHttp,
    capability::{self, CapabilityState, CapabilityView},
    engine::TICK,
    telemetry::scope::Scope,
};

/// The data of a store.
pub struct State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    capabilities: CapabilityState,
    outbound: OutboundHttp,
    memory: Memory,
    allowance: Allowance,
    /// What it counts as, until it is dropped.
    _room: Option<OwnedSemaphorePermit>,
}

/// What one instance may use.
pub(crate) struct Budget {
    /// Bytes of linear memory.
    pub(crate) memory: usize,
    /// Time to start in.
    pub(crate) time: Duration,
    /// Its place among the instances that there may be, unless one is kept for it.
    pub(crate) room: Option<OwnedSemaphorePermit>,
}

/// The computing an instance has left, in ticks of the epoch. Shared with
/// whoever renews it while the instance runs.
#[derive(Clone)]
pub(crate) struct Allowance(Arc<AtomicU32>);

impl Allowance {
    fn new(time: Duration) -> Self {
        Self(Arc::new(AtomicU32::new(ticks(time))))
    }

    /// Gives the instance `time` to compute in from now on.
    pub(crate) fn renew(&self, time: Duration) {
        self.0.store(ticks(time), Relaxed);
    }

    fn spend(&self) -> Result<(), OutOfTime> {
        let left = self.0.load(Relaxed).checked_sub(1).ok_or(OutOfTime)?;
        self.0.store(left, Relaxed);
        Ok(())
    }
}

/// A guest computed for longer than it may.
#[derive(Debug, thiserror::Error)]
#[error("the handler computed for too long")]
pub(crate) struct OutOfTime;

impl State {
    /// A store for one instance.
    pub(crate) fn store(
        engine: &wasmtime::Engine,
        wasi: WasiCtx,
        (capabilities, outbound): (CapabilityState, OutboundHttp),
        budget: Budget,
    ) -> Store<Self> {
        let state = Self {
            wasi,
            http: WasiHttpCtx::new(),
            table: ResourceTable::new(),
            capabilities,
            outbound,
            memory: Memory {
                limit: budget.memory,
                left: budget.memory,
            },
            allowance: Allowance::new(budget.time),
            _room: budget.room,
        };
        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.memory);
        store.epoch_deadline_callback(|context| {
            context.data().allowance.spend()?;
            // Of tokio, which then looks for input before it goes on: a guest
            // that computes must not keep others on its thread from being
            // heard.
            let others = Box::pin(tokio::task::yield_now());
            Ok(UpdateDeadline::YieldCustom(1, others))
        });
        store.set_epoch_deadline(1);
        store
    }

    /// What the instance does from now on belongs to `scope`.
    pub(crate) fn enter(&mut self, scope: Option<Scope>) {
        self.outbound.trace(scope.as_ref().and_then(Scope::header));
        self.capabilities.scope = scope;
    }

    /// The bytes of linear memory the instance has taken.
    pub(crate) fn memory(&self) -> usize {
        self.memory.limit - self.memory.left
    }

    /// The handle by which the instance is given more time.
    pub(crate) fn allowance(&self) -> Allowance {
        self.allowance.clone()
    }
}

fn ticks(time: Duration) -> u32 {
    u32::try_from(time.as_millis() / TICK.as_millis()).unwrap_or(u32::MAX)
}

/// Links every interface this host has.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    // The standard library of the wasm32-wasip2 target imports WASI 0.2.
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    wasmtime_wasi::p3::add_to_linker(linker)?;
    wasmtime_wasi_http::p3::add_to_linker(linker)?;
    capability::add_to_linker(linker)
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.outbound,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

impl CapabilityView for State {
    fn capabilities(&mut self) -> (&mut CapabilityState, &mut ResourceTable) {
        (&mut self.capabilities, &mut self.table)
    }
}

/// The bytes an instance may still take, over all its linear memories: a
/// service and its dependencies have one each.
struct Memory {
    limit: usize,
    left: usize,
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let left = self.left.checked_sub(desired.saturating_sub(current));
        self.left = left.unwrap_or(self.left);
        Ok(left.is_some())
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        // The pool bounds the size of a table.
        Ok(true)
    }
}

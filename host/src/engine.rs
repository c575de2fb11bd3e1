//! The wasmtime engine: how guests are compiled, allocated and interrupted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails,
};

use crate::{error::Anyhow as _, options::Limits};

/// How often a guest that computes is interrupted: to let others on its thread
/// run, and to see whether its time is up. A request waits this long behind each
/// guest on its thread that computes.
pub(crate) const TICK: Duration = Duration::from_millis(2);

/// Linear memories, tables and core modules an instance may have: a service,
/// its dependencies, and the small modules that glue them together.
const MEMORIES_PER_INSTANCE: u32 = 4;
const TABLES_PER_INSTANCE: u32 = 16;
const MODULES_PER_INSTANCE: u32 = 64;

/// Instances that there is room for beside `limits.instances`: for each chore of
/// the host one that works, one that is being replaced, and one it calls.
const FOR_CHORES: u32 = 9;

/// Makes an engine that has room for `limits.instances`, and for those of the host
/// itself.
pub(crate) fn new(limits: &Limits) -> Result<Engine> {
    let instances = limits.instances.saturating_add(FOR_CHORES);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(MODULES_PER_INSTANCE))
        .total_memories(instances.saturating_mul(MEMORIES_PER_INSTANCE))
        .total_tables(instances.saturating_mul(TABLES_PER_INSTANCE))
        .total_stacks(instances.saturating_mul(2))
        .max_core_instances_per_component(200)
        .max_memories_per_component(32)
        .max_tables_per_component(64)
        .max_component_instance_size(10 << 20)
        .max_core_instance_size(10 << 20)
        .table_elements(20_000)
        .max_memory_size(limits.memory)
        // What a fresh instance touches at once is kept mapped between two
        // users of a slot and zeroed: cheaper than faulting it in again.
        .linear_memory_keep_resident(1 << 20)
        .table_keep_resident(64 << 10)
        .async_stack_keep_resident(64 << 10);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .wasm_component_model_async(true)
        .wasm_simd(true)
        .epoch_interruption(true)
        .memory_init_cow(true)
        .parallel_compilation(true)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        // A stack overflow in a guest is a trap long before it is one in the
        // fiber it runs on.
        .max_wasm_stack(1 << 20)
        .async_stack_size(2 << 20);
    Engine::new(&config).anyhow().with_context(|| {
        format!(
            "reserving room for {} instances; --max-instances asks for fewer",
            limits.instances
        )
    })
}

/// Advances the epoch of an engine until it is dropped.
pub(crate) struct Ticker(Arc<AtomicBool>);

impl Ticker {
    pub(crate) fn start(engine: &Engine) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (engine, stopped) = (engine.weak(), stop.clone());
        thread::Builder::new().name("epoch".into()).spawn(move || {
            while !stopped.load(Relaxed) {
                thread::sleep(TICK);
                let Some(engine) = engine.upgrade() else {
                    return;
                };
                engine.increment_epoch();
            }
        })?;
        Ok(Self(stop))
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

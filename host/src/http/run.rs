//! An instance at work, and the requests it handles side by side.
//!
//! A request joins an instance that waits for something, as on Spin: what several
//! requests commit or read at the same moment can then go out as one call. One that
//! computes gets no others, because they would wait for it; nor does one that has
//! taken much memory.
//!
//! No task is spawned: each request that is waited for makes the whole instance run,
//! and what the instance waits for wakes one of them.

use std::{
    collections::{HashMap, VecDeque},
    future::poll_fn,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use futures::{
    future::BoxFuture,
    stream::{FuturesUnordered, StreamExt as _},
};
use wasmtime::component::Accessor;
use wasmtime_wasi_http::p3::bindings::Service;

use super::{
    instances::{Instance, KEPT_MEMORY, Pool},
    problem::Problem,
};
use crate::{
    state::{Allowance, OutOfTime, State},
    telemetry::scope::Scope,
};

/// After so many polls in a row that took long, the instance computes. A guest that
/// does not wait is interrupted at each tick of the epoch, which ends a poll.
const COMPUTES_AFTER: u32 = 5;
const COMPUTED: Duration = Duration::from_millis(1);

/// Handles one request in an instance.
pub(super) type Job = Box<
    dyn for<'a> FnOnce(&'a Accessor<State>, &'a Service) -> BoxFuture<'a, wasmtime::Result<()>>
        + Send,
>;

/// An instance at work.
pub(super) struct Run {
    queue: Arc<Queue>,
    members: Arc<Members>,
    inner: Mutex<Inner>,
    next_member: AtomicU64,
}

/// The requests of an instance that are waited for.
#[derive(Default)]
struct Members(Mutex<HashMap<u64, Member>>);

#[derive(Default)]
struct Member {
    /// The task that waits for it.
    waker: Option<Waker>,
    /// That task writes the answer, and may not come back before its client reads.
    writes: bool,
}

/// What is handed to the instance.
struct Queue {
    jobs: Mutex<VecDeque<Job>>,
    allowance: Mutex<Option<Allowance>>,
    /// Whether other requests may join.
    open: AtomicBool,
    /// Whether one of them was given up, and never ends.
    stuck: AtomicBool,
}

struct Inner {
    /// Absent when it ended.
    work: Option<BoxFuture<'static, Result<(), Problem>>>,
    outcome: Option<Result<(), Problem>>,
    /// How many joined.
    joined: u32,
    /// How many polls in a row the guest computed for.
    computed: u32,
}

impl Run {
    /// An instance of `pool` that begins to work for one request, which belongs to
    /// `scope`.
    pub(super) fn begin(pool: &Arc<Pool>, job: Job, time: Duration, scope: Option<Scope>) -> Self {
        let queue = Arc::new(Queue {
            jobs: Mutex::new(VecDeque::from([job])),
            allowance: Mutex::default(),
            open: AtomicBool::new(true),
            stuck: AtomicBool::new(false),
        });
        let work = Box::pin(work(pool.clone(), queue.clone(), time, scope));
        Self {
            queue,
            inner: Mutex::new(Inner {
                work: Some(work),
                outcome: None,
                joined: 1,
                computed: 0,
            }),
            members: Arc::new(Members(Mutex::new(HashMap::from([(0, Member::default())])))),
            next_member: AtomicU64::new(1),
        }
    }

    /// Takes a request on. Gives it back if there is no place for it.
    pub(super) fn join(&self, job: Job, time: Duration, most: Most) -> Result<u64, Job> {
        let mut inner = lock(&self.inner);
        let mut members = lock(&self.members.0);
        let has_room = members.len() < most.at_once && inner.joined < most.in_all;
        if !has_room || inner.work.is_none() || !self.queue.open.load(Relaxed) {
            return Err(job);
        }
        inner.joined += 1;
        let member = self.next_member.fetch_add(1, Relaxed);
        members.insert(member, Member::default());
        if let Some(allowance) = &*lock(&self.queue.allowance) {
            allowance.renew(time);
        }
        lock(&self.queue.jobs).push_back(job);
        Ok(member)
    }

    /// Makes the instance run. Ready when it has nothing left to do. `writes` says
    /// that the task of `cx` writes the answer.
    pub(super) fn poll(
        &self,
        member: u64,
        writes: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Problem>> {
        let alone = self.members.note(member, writes, cx.waker());
        if alone {
            return self.advance(cx);
        }
        let waker = Waker::from(self.members.clone());
        let polled = self.advance(&mut Context::from_waker(&waker));
        if polled.is_ready() {
            self.members.wake_all();
        }
        polled
    }

    fn advance(&self, cx: &mut Context<'_>) -> Poll<Result<(), Problem>> {
        let mut inner = lock(&self.inner);
        if let Some(outcome) = inner.outcome {
            return Poll::Ready(outcome);
        }
        let Some(mut work) = inner.work.take() else {
            return Poll::Ready(Err(Problem::HandlerFailed));
        };
        drop(inner);
        let began = Instant::now();
        let polled = work.as_mut().poll(cx);
        let mut inner = lock(&self.inner);
        match polled {
            Poll::Pending => {
                inner.work = Some(work);
                let was_long = began.elapsed() >= COMPUTED;
                inner.computed = if was_long { inner.computed + 1 } else { 0 };
                if inner.computed >= COMPUTES_AFTER {
                    self.close();
                }
            }
            Poll::Ready(outcome) => inner.outcome = Some(outcome),
        }
        polled
    }

    /// No other request may join.
    fn close(&self) {
        self.queue.open.store(false, Relaxed);
    }

    /// Somebody no longer waits for a request. Returns whether nobody waits for any
    /// now, and there is something left to do.
    pub(super) fn leave(&self, member: u64) -> bool {
        if !self.members.remove(member) {
            return false;
        }
        if self.queue.stuck.load(Relaxed) {
            self.end();
            return false;
        }
        // Most have nothing left to do, and end here.
        self.advance(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    }

    /// What is left to do when nobody waits for it any more.
    pub(super) async fn rest(&self) {
        let _ = poll_fn(|cx| self.advance(cx)).await;
    }

    /// Ends what it does, unless it does something for others too.
    pub(super) fn kill(&self, member: u64) {
        self.close();
        self.queue.stuck.store(true, Relaxed);
        if self.members.remove(member) {
            self.end();
        }
    }

    fn end(&self) {
        let work = lock(&self.inner).work.take();
        drop(work);
    }

    pub(super) fn has_ended(&self) -> bool {
        lock(&self.inner).outcome.is_some() || lock(&self.members.0).is_empty()
    }
}

impl Members {
    /// Notes who waits for a request. Returns whether it is the only one.
    fn note(&self, member: u64, writes: bool, by: &Waker) -> bool {
        let mut members = lock(&self.0);
        if let Some(member) = members.get_mut(&member) {
            member.writes = writes;
            match &mut member.waker {
                Some(waker) => waker.clone_from(by),
                None => member.waker = Some(by.clone()),
            }
        }
        members.len() == 1
    }

    /// Returns whether it was there and none is left. Otherwise another one makes the
    /// instance run from now on.
    fn remove(&self, member: u64) -> bool {
        let mut members = lock(&self.0);
        if members.remove(&member).is_none() {
            return false;
        }
        let is_empty = members.is_empty();
        drop(members);
        self.wake_one();
        is_empty
    }

    /// Wakes one that comes for sure, or all that may.
    fn wake_one(&self) {
        let members = lock(&self.0);
        let waiting = members.values().find(|member| !member.writes);
        match waiting {
            // One that has no waker yet is about to come.
            Some(member) => {
                if let Some(waker) = &member.waker {
                    waker.wake_by_ref();
                }
            }
            None => wake(&members),
        }
    }

    fn wake_all(&self) {
        wake(&lock(&self.0));
    }
}

fn wake(members: &HashMap<u64, Member>) {
    members
        .values()
        .filter_map(|member| member.waker.as_ref())
        .for_each(Waker::wake_by_ref);
}

/// What an instance with several requests waits for.
impl Wake for Members {
    fn wake(self: Arc<Self>) {
        self.wake_one();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_one();
    }
}

/// How many requests one instance takes.
#[derive(Clone, Copy)]
pub(super) struct Most {
    pub(super) at_once: usize,
    pub(super) in_all: u32,
}

/// Handles what comes into the queue, until there is nothing more.
async fn work(
    pool: Arc<Pool>,
    queue: Arc<Queue>,
    time: Duration,
    scope: Option<Scope>,
) -> Result<(), Problem> {
    let mut instance = match pool.take().await {
        Ok(instance) => instance,
        Err(error) => {
            tracing::error!(
                component = pool.id(),
                "no instance for a request: {error:#}"
            );
            return Err(Problem::Overloaded);
        }
    };
    let Instance { store, service, .. } = &mut instance;
    let allowance = store.data().allowance();
    allowance.renew(time);
    *lock(&queue.allowance) = Some(allowance);
    store.data_mut().enter(scope);
    let mut handled = 0;
    let outcome = store
        .run_concurrent(async |accessor| handle(accessor, service, &queue, &mut handled).await)
        .await;
    match outcome.flatten() {
        Ok(()) => {
            store.data_mut().enter(None);
            instance.count(handled);
            pool.put(instance);
            Ok(())
        }
        Err(error) => {
            let problem = if error.is::<OutOfTime>() {
                Problem::OutOfTime
            } else {
                Problem::HandlerFailed
            };
            let cause = error.root_cause();
            tracing::error!(component = pool.id(), "the HTTP handler failed: {cause}");
            tracing::debug!(component = pool.id(), "{error:?}");
            Err(problem)
        }
    }
}

async fn handle(
    accessor: &Accessor<State>,
    service: &Service,
    queue: &Queue,
    handled: &mut u32,
) -> wasmtime::Result<()> {
    let mut running = FuturesUnordered::new();
    poll_fn(|cx| {
        loop {
            let jobs = mem::take(&mut *lock(&queue.jobs));
            for job in jobs {
                *handled += 1;
                running.push(job(accessor, service));
            }
            match running.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(()))) => {}
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    // Several that need much would reach the limit together.
                    if accessor.with(|mut store| store.data_mut().memory()) > KEPT_MEMORY {
                        queue.open.store(false, Relaxed);
                    }
                    return Poll::Pending;
                }
                // What handlers have left to do after they answered.
                Poll::Ready(None) => {
                    return accessor.poll_no_interesting_tasks(cx).map(Ok);
                }
            }
        }
    })
    .await
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

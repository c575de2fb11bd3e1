//! An executor whose clock moves on when nothing else can.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use super::{now, set_now};

type Task = Pin<Box<dyn Future<Output = ()>>>;

thread_local! {
    static TIMERS: RefCell<BTreeMap<(Duration, u64), Waker>> = RefCell::default();
    static TASKS: RefCell<Vec<Task>> = RefCell::default();
    static LATEST: RefCell<u64> = const { RefCell::new(0) };
}

/// Wait, in the time of the test.
pub(crate) fn sleep(duration: Duration) -> Sleep {
    let id = LATEST.with_borrow_mut(|latest| {
        *latest += 1;
        *latest
    });
    Sleep {
        until: now() + duration,
        id,
    }
}

pub(crate) struct Sleep {
    until: Duration,
    id: u64,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if now() >= self.until {
            return Poll::Ready(());
        }
        let at = (self.until, self.id);
        TIMERS.with_borrow_mut(|timers| timers.insert(at, context.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        TIMERS.with_borrow_mut(|timers| timers.remove(&(self.until, self.id)));
    }
}

/// Run beside the others, to its end.
pub(crate) fn spawn(task: impl Future<Output = ()> + 'static) {
    TASKS.with_borrow_mut(|tasks| tasks.push(Box::pin(task)));
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Run a future, and what is spawned meanwhile, to their ends. The clock moves to the
/// next timer when everything waits.
pub(crate) fn advance_until_done<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut output = None;
    let mut tasks: Vec<Task> = Vec::new();
    let flag = Arc::new(Flag::default());
    let waker = flag.clone().into();
    loop {
        flag.0.store(false, Ordering::Relaxed);
        let context = &mut Context::from_waker(&waker);
        if output.is_none()
            && let Poll::Ready(done) = future.as_mut().poll(context)
        {
            output = Some(done);
        }
        tasks.extend(TASKS.take());
        tasks.retain_mut(|task| task.as_mut().poll(context).is_pending());
        tasks.extend(TASKS.take());
        if tasks.is_empty()
            && let Some(output) = output.take()
        {
            return output;
        }
        if flag.0.load(Ordering::Relaxed) {
            continue;
        }
        let next = TIMERS.with_borrow_mut(BTreeMap::pop_first);
        let ((at, _), waker) = next.expect("something waits for what never comes");
        set_now(at.max(now()));
        waker.wake();
    }
}

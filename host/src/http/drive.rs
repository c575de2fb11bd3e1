//! A request on its way through an instance.
//!
//! The instance runs inside the task of the connection: whoever waits for the
//! answer, or for the next part of its body, makes it run. A request costs no
//! task, no queue and no wake-up. If the one who waits goes away, the rest of
//! the work moves to a task of its own: a handler is not killed half-way
//! because its client hung up.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::{channel::oneshot, future};
use http::{
    Request, Response,
    uri::{Authority, Scheme},
};
use wasmtime::component::Accessor;
use wasmtime_wasi_http::{Error, FieldMap, WasiBody, WasiHttpView as _, p3};

use super::{
    instances::{Instance, Pool},
    problem::Problem,
};
use crate::{
    state::{Allowance, OutOfTime, State},
    telemetry::scope::Scope,
};

/// The head of an answer, with its body.
pub(super) struct Head {
    pub(super) response: Response<WasiBody>,
    pub(super) allowance: Allowance,
    /// Dropped when the body was read to its end, or nobody reads it any more:
    /// until then the instance keeps going.
    pub(super) reading: oneshot::Sender<()>,
}

type HeadSender = oneshot::Sender<Result<Head, Problem>>;

/// Work that runs when it is polled; what is left of it is not lost when it is
/// dropped.
pub(super) struct Drive {
    pool: Arc<Pool>,
    work: Option<Pin<Box<dyn Future<Output = bool> + Send>>>,
    failed: bool,
    deadline: Duration,
}

impl Drive {
    /// Makes it run. Ready when there is nothing left to do.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(work) = &mut self.work else {
            return Poll::Ready(());
        };
        let Poll::Ready(succeeded) = work.as_mut().poll(cx) else {
            return Poll::Pending;
        };
        self.failed = !succeeded;
        self.work = None;
        Poll::Ready(())
    }

    /// Drops the work, and the instance with it.
    pub(super) fn kill(&mut self) {
        self.work = None;
        self.failed = true;
    }

    pub(super) fn failed(&self) -> bool {
        self.failed
    }

    /// The component that handles the request.
    pub(super) fn component(&self) -> &str {
        self.pool.id()
    }

    /// How long it may take to answer, and compute between two parts.
    pub(super) fn deadline(&self) -> Duration {
        self.deadline
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        if let Some(work) = self.work.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(tokio::time::timeout(self.deadline, work));
        }
    }
}

/// Begins to handle `request` in an instance of `pool`. `guard` is held until
/// the instance is done.
pub(super) fn start<B>(
    pool: Arc<Pool>,
    request: Request<B>,
    deadline: Duration,
    scope: Option<Scope>,
    guard: impl Send + 'static,
) -> (Drive, oneshot::Receiver<Result<Head, Problem>>)
where
    B: http_body::Body<Data = Bytes, Error: Into<Error>> + Send + 'static,
{
    let (head, answer) = oneshot::channel();
    let used = pool.clone();
    let work = async move {
        let _guard = guard;
        run(&used, request, deadline, scope, head).await
    };
    (
        Drive {
            pool,
            work: Some(Box::pin(work)),
            failed: false,
            deadline,
        },
        answer,
    )
}

/// Handles one request. Says whether it went well.
async fn run<B>(
    pool: &Pool,
    request: Request<B>,
    deadline: Duration,
    scope: Option<Scope>,
    head: HeadSender,
) -> bool
where
    B: http_body::Body<Data = Bytes, Error: Into<Error>> + Send + 'static,
{
    let mut instance = match pool.take().await {
        Ok(instance) => instance,
        Err(error) => {
            tracing::error!(
                component = pool.id(),
                "no instance for a request: {error:#}"
            );
            let _ = head.send(Err(Problem::Overloaded));
            return false;
        }
    };
    let mut head = Some(head);
    let Instance { store, service, .. } = &mut instance;
    store.data().allowance().renew(deadline);
    store.data_mut().enter(scope);
    let outcome = store
        .run_concurrent(async |accessor| exchange(accessor, service, request, &mut head).await)
        .await;
    match outcome.flatten() {
        Ok(()) => {
            store.data_mut().enter(None);
            pool.put(instance);
            true
        }
        Err(error) => {
            let out_of_time = error.is::<OutOfTime>();
            let cause = error.root_cause();
            tracing::error!(component = pool.id(), "the HTTP handler failed: {cause}");
            tracing::debug!(component = pool.id(), "{error:?}");
            if let Some(head) = head {
                let problem = if out_of_time {
                    Problem::OutOfTime
                } else {
                    Problem::HandlerFailed
                };
                let _ = head.send(Err(problem));
            }
            false
        }
    }
}

async fn exchange<B>(
    accessor: &Accessor<State>,
    service: &p3::bindings::Service,
    request: Request<B>,
    head: &mut Option<HeadSender>,
) -> wasmtime::Result<()>
where
    B: http_body::Body<Data = Bytes, Error: Into<Error>> + Send + 'static,
{
    let (request, transmitted) = accessor.with(|mut store| {
        let view = store.data_mut().http();
        let (request, transmitted) = to_wasi(view.hooks, request);
        view.table
            .push(request)
            .map(|request| (request, transmitted))
    })?;
    let response = service
        .wasi_http_handler()
        .call_handle(accessor, request)
        .await??;
    let (response, allowance) = accessor.with(|mut store| {
        let response = store.data_mut().http().table.delete(response)?;
        let allowance = store.data_mut().allowance();
        wasmtime::error::Ok((response.into_http(&mut store, transmitted)?, allowance))
    })?;
    let (reading, read) = oneshot::channel();
    if let Some(head) = head.take() {
        // Nobody waits any more: the guest still finishes what it began.
        let _ = head.send(Ok(Head {
            response,
            allowance,
            reading,
        }));
    }
    let finished = poll_fn(|cx| accessor.poll_no_interesting_tasks(cx));
    // A sender that is dropped, and never sends, is what ends the reading.
    let ((), _) = future::join(finished, read).await;
    Ok(())
}

fn to_wasi<B>(
    hooks: &mut dyn wasmtime_wasi_http::WasiHttpHooks,
    request: Request<B>,
) -> (
    p3::Request,
    impl Future<Output = Result<(), Error>> + Send + use<B>,
)
where
    B: http_body::Body<Data = Bytes, Error: Into<Error>> + Send + 'static,
{
    let (head, body) = request.into_parts();
    let host = || {
        head.headers
            .get(http::header::HOST)
            .and_then(|host| host.to_str().ok()?.parse().ok())
    };
    let uri = head.uri.into_parts();
    // A request of HTTP/1.0 need not say which host it means.
    let authority = uri
        .authority
        .or_else(host)
        .unwrap_or(Authority::from_static("localhost"));
    let headers = FieldMap::new_immutable(hooks, head.headers);
    p3::Request::new(
        head.method,
        Some(Scheme::HTTP),
        Some(authority),
        uri.path_and_query,
        headers,
        None,
        body,
    )
}

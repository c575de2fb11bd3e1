//! A request on its way through an instance.
//!
//! The instance runs inside the task of the connection: whoever waits for the
//! answer, or for the next part of its body, makes it run. A request costs no
//! task, no queue and no wake-up. If the one who waits goes away, the rest of
//! the work moves to a task of its own: a handler is not killed half-way
//! because its client hung up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt as _, channel::oneshot};
use http::{
    Request, Response,
    uri::{Authority, Scheme},
};
use wasmtime::component::Accessor;
use wasmtime_wasi_http::{Error, FieldMap, WasiBody, WasiHttpView as _, p3};

use super::{
    instances::Pool,
    problem::Problem,
    run::{Job, Run},
};
use crate::{
    state::{Allowance, State},
    telemetry::scope::Scope,
};

/// The head of an answer, with its body.
pub(super) struct Head {
    pub(super) response: Response<WasiBody>,
    pub(super) allowance: Allowance,
    /// Dropped when the body was read to its end, or nobody reads it any more:
    /// until then the request is not done.
    pub(super) reading: oneshot::Sender<()>,
}

/// Work that runs when it is polled; what is left of it is not lost when it is
/// dropped.
pub(super) struct Drive {
    pool: Arc<Pool>,
    run: Arc<Run>,
    member: u64,
    done: Arc<AtomicBool>,
    /// The answer is being written.
    writes: bool,
    problem: Option<Problem>,
    deadline: Duration,
}

impl Drive {
    /// Makes it run. Ready when the request is done.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.done.load(Relaxed) || self.problem.is_some() {
            return Poll::Ready(());
        }
        let ended = self.run.poll(self.member, self.writes, cx);
        if self.done.load(Relaxed) {
            return Poll::Ready(());
        }
        ended.map(|outcome| {
            self.problem = Some(outcome.err().unwrap_or(Problem::HandlerFailed));
        })
    }

    /// Gives the request up, and the instance with it.
    pub(super) fn kill(&mut self) {
        self.run.kill(self.member);
        self.problem = Some(Problem::OutOfTime);
    }

    /// From here on, it is polled when the client reads.
    pub(super) fn write(&mut self) {
        self.writes = true;
    }

    /// Why there is no answer, or no more of it.
    pub(super) fn problem(&self) -> Option<Problem> {
        self.problem
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
        if self.run.leave(self.member)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let run = self.run.clone();
            let deadline = self.deadline;
            runtime.spawn(async move { tokio::time::timeout(deadline, run.rest()).await });
        }
    }
}

/// Begins to handle `request` in an instance of `pool`. `guard` is held until
/// the request is done.
pub(super) fn start<B>(
    pool: Arc<Pool>,
    request: Request<B>,
    deadline: Duration,
    scope: Option<Scope>,
    guard: impl Send + 'static,
) -> (Drive, oneshot::Receiver<Head>)
where
    B: http_body::Body<Data = Bytes, Error: Into<Error>> + Send + 'static,
{
    let (head, answer) = oneshot::channel();
    let done = Arc::new(AtomicBool::new(false));
    let ended = done.clone();
    let job: Job = Box::new(move |accessor, service| {
        async move {
            exchange(accessor, service, request, head).await?;
            drop(guard);
            ended.store(true, Relaxed);
            Ok(())
        }
        .boxed()
    });
    let (run, member) = pool.run(job, deadline, scope);
    (
        Drive {
            pool,
            run,
            member,
            done,
            writes: false,
            problem: None,
            deadline,
        },
        answer,
    )
}

async fn exchange<B>(
    accessor: &Accessor<State>,
    service: &p3::bindings::Service,
    request: Request<B>,
    head: oneshot::Sender<Head>,
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
    let answered = service
        .wasi_http_handler()
        .call_handle(accessor, request)
        .await?;
    let response = match answered {
        Ok(response) => response,
        // It is the failure of this request alone, which then has no answer.
        Err(code) => {
            tracing::error!("the HTTP handler failed: {code}");
            return Ok(());
        }
    };
    let (response, allowance) = accessor.with(|mut store| {
        let response = store.data_mut().http().table.delete(response)?;
        let allowance = store.data_mut().allowance();
        wasmtime::error::Ok((response.into_http(&mut store, transmitted)?, allowance))
    })?;
    let (reading, read) = oneshot::channel();
    // If nobody waits any more, the guest still finishes what it began.
    let _ = head.send(Head {
        response,
        allowance,
        reading,
    });
    // A sender that is dropped, and never sends, is what ends the reading.
    let _ = read.await;
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

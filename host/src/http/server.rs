//! The HTTP server: one thread per core, connections dealt out in turn, and one
//! thread for each chore of the host.

use std::{
    convert::Infallible,
    net::{SocketAddr, TcpListener},
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use futures::channel::oneshot;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    runtime,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    task::JoinSet,
    time::{Instant, interval, timeout_at},
};
use wasmtime_wasi_http::Error;

use super::{
    problem::Problem,
    worker::{Shared, Worker},
};
use crate::{application::Application, chores::Chore};

/// How long a client may take to send the head of a request, and keep a
/// connection open without sending one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a client may leave what it is sent without acknowledging it.
const SILENCE: Duration = Duration::from_secs(60);

/// The smallest buffer hyper takes.
const SMALLEST_HEAD: usize = 8 << 10;

/// The server, running.
pub(crate) struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    shared: Arc<Shared>,
    /// The threads for chores, in their order; none once nothing more is called.
    chores: Mutex<Vec<mpsc::UnboundedSender<Work>>>,
    threads: Mutex<Vec<thread::JoinHandle<()>>>,
}

/// What a thread is given to do.
enum Work {
    Connection(std::net::TcpStream, OwnedSemaphorePermit),
    Call(
        Box<Request<Full<Bytes>>>,
        oneshot::Sender<(StatusCode, Bytes)>,
    ),
}

impl Server {
    pub(crate) fn start(application: &Arc<Application>) -> Result<Self> {
        let options = &application.options;
        let listener = TcpListener::bind(options.listen).with_context(|| {
            format!(
                "listening on {}; is the port in use? --listen names another",
                options.listen
            )
        })?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Shared::new(application)?;
        let (stop, stopped) = watch::channel(false);
        let mut threads = Vec::new();
        let mut spawn = |name: String, chore| {
            let worker = Worker::new(shared.clone(), chore)?;
            let (sender, thread) = spawn(name, worker, stopped.clone())?;
            threads.push(thread);
            anyhow::Ok(sender)
        };
        let channels = (0..options.threads.max(1))
            .map(|index| spawn(format!("http-{index}"), None))
            .collect::<Result<Vec<_>>>()?;
        let chores = Chore::ALL
            .iter()
            .map(|chore| spawn(chore.name().into(), Some(*chore)))
            .collect::<Result<Vec<_>>>()?;
        let connections = options.limits.connections;
        let accept = move || -> Result<()> {
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(accept(listener, channels, connections, stopped))
        };
        threads.push(
            thread::Builder::new()
                .name("http-accept".into())
                .spawn(move || {
                    if let Err(error) = accept() {
                        tracing::error!("the HTTP listener stopped: {error:#}");
                    }
                })?,
        );
        Ok(Self {
            address,
            stop,
            shared,
            chores: Mutex::new(chores),
            threads: Mutex::new(threads),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests that are being handled.
    pub(crate) fn in_flight(&self) -> usize {
        self.shared.in_flight()
    }

    /// Calls the component a path is routed to, for a chore: until the server is
    /// joined, also when it takes on nothing new from outside.
    pub(crate) async fn call(
        &self,
        chore: Chore,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Bytes)> {
        let (answer, answered) = oneshot::channel();
        let thread = {
            let chores = self.chores.lock().unwrap_or_else(PoisonError::into_inner);
            chores.get(chore.index()).cloned()
        };
        thread
            .and_then(|thread| thread.send(Work::Call(Box::new(request), answer)).ok())
            .context("the server has stopped")?;
        Ok(answered.await?)
    }

    /// Tells the server to take on nothing new and to finish what it has.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until it has stopped.
    pub(crate) fn join(&self) {
        let mut chores = self.chores.lock().unwrap_or_else(PoisonError::into_inner);
        chores.clear();
        drop(chores);
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("an HTTP thread had crashed");
            }
        }
    }
}

/// A thread that does what it is sent with a worker of its own.
fn spawn(
    name: String,
    worker: Arc<Worker>,
    stopped: watch::Receiver<bool>,
) -> Result<(mpsc::UnboundedSender<Work>, thread::JoinHandle<()>)> {
    let (sender, work) = mpsc::unbounded_channel();
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let run = move || runtime.block_on(run(worker, work, stopped));
    Ok((sender, thread::Builder::new().name(name).spawn(run)?))
}

async fn accept(
    listener: TcpListener,
    channels: Vec<mpsc::UnboundedSender<Work>>,
    connections: usize,
    mut stopped: watch::Receiver<bool>,
) -> Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let room = Arc::new(Semaphore::new(connections));
    for channel in channels.iter().cycle() {
        let permit = room.clone().acquire_owned().await?;
        let stream = tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return Ok(()),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, most likely: some will be back.
                    tracing::warn!("accepting a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let ready = prepare(&stream).and_then(|()| stream.into_std());
        if let Ok(stream) = ready {
            let _ = channel.send(Work::Connection(stream, permit));
        }
    }
    Ok(())
}

fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    // Without this, a body written after its head waits for the client's
    // delayed acknowledgement, some 40 ms.
    stream.set_nodelay(true)?;
    // A client that does not read its answer holds an instance.
    socket2::SockRef::from(stream).set_tcp_user_timeout(Some(SILENCE))
}

async fn run(
    worker: Arc<Worker>,
    mut work: mpsc::UnboundedReceiver<Work>,
    stopped: watch::Receiver<bool>,
) {
    let mut tasks = JoinSet::new();
    let mut trim = interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            _ = trim.tick() => worker.trim(),
            Some(_) = tasks.join_next() => {}
            received = work.recv() => match received {
                Some(Work::Connection(stream, permit)) => {
                    let connection = connection(worker.clone(), stream, stopped.clone());
                    tasks.spawn(async move {
                        let _permit = permit;
                        if let Err(error) = connection.await {
                            tracing::debug!("a connection ended: {error:#}");
                        }
                    });
                }
                Some(Work::Call(request, answer)) => drop(tasks.spawn(call(worker.clone(), *request, answer))),
                // Nothing is accepted any more, and nothing called.
                None => break,
            },
        }
    }
    let end = Instant::now() + worker.limits().drain;
    while let Ok(Some(_)) = timeout_at(end, tasks.join_next()).await {}
    while worker.busy() && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Serves one connection until it ends, or until the answers that are under
/// way when the server stops are written.
async fn connection(
    worker: Arc<Worker>,
    stream: std::net::TcpStream,
    mut stopped: watch::Receiver<bool>,
) -> Result<()> {
    let client = HeaderValue::try_from(stream.peer_addr()?.to_string())?;
    let stream = TokioIo::new(TcpStream::from_std(stream)?);
    let head = worker.limits().head.max(SMALLEST_HEAD);
    let service = service_fn(|request| {
        let (worker, client) = (&worker, &client);
        async move { Ok::<_, Infallible>(worker.answer(request, client).await) }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(head)
            .pipeline_flush(true)
            .serve_connection(stream, service)
    );
    tokio::select! {
        ended = connection.as_mut() => return Ok(ended?),
        _ = stopped.wait_for(|stopped| *stopped) => connection.as_mut().graceful_shutdown(),
    }
    Ok(connection.await?)
}

/// Calls a component and reads its answer to the end, so that it finishes.
async fn call(
    worker: Arc<Worker>,
    request: Request<Full<Bytes>>,
    answer: oneshot::Sender<(StatusCode, Bytes)>,
) {
    let request = request.map(|body| body.map_err(|never| -> Error { match never {} }));
    let response = worker
        .route(request, &HeaderValue::from_static("127.0.0.1:0"))
        .await;
    let response = response.unwrap_or_else(Problem::into_response);
    let status = response.status();
    let body = response.into_body().collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let _ = answer.send((status, body));
}

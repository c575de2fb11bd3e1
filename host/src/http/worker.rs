//! One thread's share of the HTTP trigger: routing, instances, and calls from
//! one component to another.
//!
//! Each thread has its own runtime, its own connections and its own instances.
//! No request crosses threads.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use anyhow::Result;
use bytes::Bytes;
use futures::{channel::mpsc, future::BoxFuture};
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use wasmtime_wasi_http::{Error, WasiBody};

use super::{
    answer::{self, Body},
    arrival::Arrival,
    drive, headers,
    headers::RouteHeaders,
    instances::Pool,
    problem::Problem,
    router::{Found, Router},
    upload::Upload,
};
use crate::{
    Limits,
    application::Application,
    capability::outbound::{ChainTarget, ServiceChain},
    chores::Chore,
    manifest::Route,
};

/// What the threads have in common.
pub(super) struct Shared {
    application: Arc<Application>,
    router: Router,
    /// The components with an HTTP trigger, in the order the router knows.
    components: Vec<String>,
    in_flight: AtomicUsize,
}

impl Shared {
    pub(super) fn new(application: &Arc<Application>) -> Result<Arc<Self>> {
        let triggers = &application.manifest.http;
        let mut components: Vec<String> = triggers
            .iter()
            .map(|trigger| trigger.component.clone())
            .collect();
        components.sort();
        components.dedup();
        let index = |id: &str| components.iter().position(|component| component == id);
        let routes = triggers.iter().filter_map(|trigger| match &trigger.route {
            Route::Public(route) => Some((route.as_str(), index(&trigger.component)?)),
            Route::Private => None,
        });
        let router = Router::new(routes).map_err(anyhow::Error::msg)?;
        Ok(Arc::new(Self {
            application: application.clone(),
            router,
            components,
            in_flight: AtomicUsize::new(0),
        }))
    }

    /// The requests that are being handled.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Relaxed)
    }
}

type Answer = Result<Response<WasiBody>, Error>;

/// What one thread has of its own.
pub(super) struct Worker {
    shared: Arc<Shared>,
    /// What the thread is for, if not for requests.
    chore: Option<Chore>,
    pools: Vec<Arc<Pool>>,
    by_name: BTreeMap<String, usize>,
    private: RouteHeaders,
}

/// Counts a request as in flight while it lives.
struct InFlight(Arc<Shared>);

impl InFlight {
    fn enter(shared: &Arc<Shared>) -> Option<Self> {
        let guard = Self(shared.clone());
        let others = shared.in_flight.fetch_add(1, Relaxed);
        (others < shared.application.options.limits.in_flight).then_some(guard)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, chore: Option<Chore>) -> Result<Arc<Self>> {
        let units: Vec<_> = shared
            .components
            .iter()
            .map(|id| shared.application.unit(id))
            .collect::<Result<_>>()?;
        Ok(Arc::new_cyclic(|this: &Weak<Self>| Self {
            by_name: shared.components.iter().cloned().zip(0..).collect(),
            pools: units
                .into_iter()
                .map(|unit| {
                    let chain = Arc::new(Internal(this.clone()));
                    let application = shared.application.clone();
                    let components = shared.components.len();
                    Arc::new(Pool::new(application, unit, chain, chore, components))
                })
                .collect(),
            private: RouteHeaders::of_private(),
            chore,
            shared,
        }))
    }

    /// Answers a request from outside.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        client: &HeaderValue,
    ) -> Response<Body> {
        let answer = async {
            let limit = self.limits().body;
            let (parts, body) = request.into_parts();
            let body = Upload::new(body, limit).ok_or(Problem::BodyTooLarge)?;
            self.route(Request::from_parts(parts, body), client).await
        };
        answer.await.unwrap_or_else(Problem::into_response)
    }

    /// Sends a request to the component its path is routed to.
    pub(super) async fn route<B>(
        &self,
        mut request: Request<B>,
        client: &HeaderValue,
    ) -> Result<Response<Body>, Problem>
    where
        B: http_body::Body<Data = Bytes, Error: Into<Error>> + Send + Unpin + 'static,
    {
        let uri = request.uri().clone();
        let found = self
            .shared
            .router
            .find(uri.path())
            .ok_or(Problem::NoSuchRoute)?;
        headers::set(request.headers_mut(), &found, &uri, client);
        self.handle(found.component, request).await
    }

    async fn handle<B>(
        &self,
        component: usize,
        mut request: Request<B>,
    ) -> Result<Response<Body>, Problem>
    where
        B: http_body::Body<Data = Bytes, Error: Into<Error>> + Send + Unpin + 'static,
    {
        let pool = self
            .pools
            .get(component)
            .ok_or(Problem::NoSuchRoute)?
            .clone();
        let guard = self.enter()?;
        let request_deadline = self.limits().request_deadline;
        let chore = self.chore;
        let deadline = chore.map_or(request_deadline, |chore| chore.deadline(request_deadline));
        let begun = Instant::now();
        let traced = self.shared.application.tracer.as_ref().map(|tracer| {
            let method = request.method().clone();
            tracer.request(pool.id(), &method, request.headers_mut())
        });
        let (scope, span) = traced.unzip();
        let (parts, body) = request.into_parts();
        let (body, arrival) = Arrival::of(body);
        let request = Request::from_parts(parts, body);
        let (drive, answer) = drive::start(pool.clone(), request, deadline, scope, guard);
        let answer = answer::wait(drive, arrival, answer).await;
        let status = match &answer {
            Ok(response) => response.status(),
            Err(problem) => problem.status(),
        };
        if let Err(Problem::HandlerFailed | Problem::OutOfTime) = answer {
            pool.counters().failed();
        }
        if let Some(mut span) = span.flatten() {
            span.set("http.response.status_code", status.as_u16());
            if status.is_server_error() {
                span.fail(status.to_string());
            }
        }
        pool.counters().answered(status, begun.elapsed());
        answer
    }

    /// A slot for a request. What the host itself calls for needs none, so that no
    /// number of requests keeps it from its chores.
    fn enter(&self) -> Result<Option<InFlight>, Problem> {
        match self.chore {
            Some(_) => Ok(None),
            None => match InFlight::enter(&self.shared) {
                None => Err(Problem::Overloaded),
                slot => Ok(slot),
            },
        }
    }

    /// Sends a request to the component another one means.
    async fn chain(
        &self,
        target: ChainTarget,
        mut request: Request<WasiBody>,
    ) -> Result<Response<Body>, Error> {
        let client = HeaderValue::from_static("127.0.0.1:0");
        let answer = match target {
            ChainTarget::ToSelf => self.route(request, &client).await,
            ChainTarget::Component(id) => {
                let component = self
                    .by_name
                    .get(&id)
                    .copied()
                    .ok_or(Error::DestinationNotFound)?;
                let (uri, headers) = (request.uri().clone(), &self.private);
                let found = Found {
                    component,
                    headers,
                    path_info: uri.path().into(),
                    parameters: Vec::new(),
                };
                headers::set(request.headers_mut(), &found, &uri, &client);
                self.handle(component, request).await
            }
        };
        Ok(answer.unwrap_or_else(Problem::into_response))
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.shared.application.options.limits
    }

    /// Whether a request is in flight on any thread.
    pub(super) fn busy(&self) -> bool {
        self.shared.in_flight() > 0
    }

    /// Drops instances nobody used for a while.
    pub(super) fn trim(&self) {
        self.pools.iter().for_each(|pool| pool.trim());
    }
}

/// Calls between components of the application, by name. Weak: the instances
/// of a worker hold on to it.
struct Internal(Weak<Worker>);

impl ServiceChain for Internal {
    fn call(&self, target: ChainTarget, request: Request<WasiBody>) -> BoxFuture<'static, Answer> {
        let Some(worker) = self.0.upgrade() else {
            return Box::pin(async { Err(Error::DestinationNotFound) });
        };
        // On a task of its own: an instance cannot run inside another one.
        let called = tokio::spawn(async move { worker.chain(target, request).await });
        Box::pin(async move {
            let answer = called.await.map_err(|_| Error::ConnectionTerminated)?;
            Ok(answer?.map(detach))
        })
    }
}

/// Lets a task of its own read `body`, which makes its guest run.
fn detach(mut body: Body) -> WasiBody {
    if let Body::Whole(bytes) = body {
        return http_body_util::Full::new(bytes)
            .map_err(|never| match never {})
            .boxed_unsync();
    }
    let (mut frames, read) = mpsc::channel(0);
    tokio::spawn(async move {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Error::HttpResponseIncomplete);
            if futures::SinkExt::send(&mut frames, frame).await.is_err() {
                return;
            }
        }
    });
    StreamBody::new(read).boxed_unsync()
}

//! What the stand-in answers, and what can go wrong with it.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, StatusCode, body::Incoming, header, service::service_fn};
use hyper_util::rt::TokioIo;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;

/// What can go wrong with an answer.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// A status without a body.
    Status(u16),
    /// 429 with `Retry-After`, in seconds.
    Rest(u64),
    /// The connection is closed without an answer.
    Reset,
    /// No answer for a long time.
    Slow,
    /// The answer, a second later.
    Late,
    /// HTML that calls itself a picture.
    WrongType,
    /// A body of 64 MiB.
    Huge,
    /// A redirect to the metadata service of a cloud.
    RedirectPrivate,
    /// A redirect to another path of the same server.
    RedirectTo(&'static str),
    /// The first half of the body.
    Truncated,
}

#[derive(Clone)]
pub(super) struct Resource {
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) resources: HashMap<String, Resource>,
    pub(super) faults: HashMap<String, (Fault, usize)>,
    pub(super) counts: BTreeMap<String, u32>,
    /// Answered with 304.
    pub(super) confirmed: u32,
    pub(super) cache_control: Option<&'static str>,
}

pub(super) fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        let service = service_fn(move |request| answer(request, Arc::clone(&state)));
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service);
        // A connection that a fault resets ends with an error.
        tokio::spawn(async move { drop(connection.await) });
    }
}

type Answer = Response<Full<Bytes>>;

async fn answer(request: Request<Incoming>, state: Arc<Mutex<State>>) -> Result<Answer, Reset> {
    let path = path_of(&request);
    let (fault, resource, cache_control) = {
        let mut state = lock(&state);
        *state.counts.entry(path.clone()).or_default() += 1;
        let fault = match state.faults.get_mut(&path) {
            Some((fault, times)) if *times > 0 => {
                *times -= 1;
                Some(*fault)
            }
            _ => None,
        };
        let resource = state.resources.get(&path).cloned();
        (fault, resource, state.cache_control)
    };
    let empty = Response::builder();
    let answer = match fault {
        Some(Fault::Status(status)) => empty.status(status).body(Full::default()),
        Some(Fault::Rest(seconds)) => empty
            .status(429)
            .header(header::RETRY_AFTER, seconds)
            .body(Full::default()),
        Some(Fault::Reset) => return Err(Reset),
        Some(Fault::Slow) => {
            tokio::time::sleep(Duration::from_secs(30)).await;
            return Err(Reset);
        }
        Some(Fault::WrongType) => empty
            .header(header::CONTENT_TYPE, "image/png")
            .body(Full::from("<html>not an image</html>")),
        Some(Fault::Huge) => empty
            .header(header::CONTENT_TYPE, "image/png")
            .body(Full::from(vec![b'0'; 64 << 20])),
        Some(Fault::RedirectPrivate) => redirect("http://169.254.169.254/latest/meta-data/"),
        Some(Fault::RedirectTo(path)) => redirect(path),
        Some(Fault::Truncated | Fault::Late) | None => {
            let Some(mut resource) = resource else {
                return Ok(empty.status(404).body(Full::default()).expect("an answer"));
            };
            match fault {
                Some(Fault::Late) => tokio::time::sleep(Duration::from_secs(1)).await,
                Some(_) => resource.body.truncate(resource.body.len() / 2),
                None => {}
            }
            whole(&request, resource, cache_control, &state)
        }
    };
    Ok(answer.expect("an answer"))
}

fn redirect(to: &str) -> Result<Answer, hyper::http::Error> {
    Response::builder()
        .status(StatusCode::FOUND)
        .header(header::LOCATION, to)
        .body(Full::default())
}

fn whole(
    request: &Request<Incoming>,
    resource: Resource,
    cache_control: Option<&'static str>,
    state: &Mutex<State>,
) -> Result<Answer, hyper::http::Error> {
    let etag = format!("\"{}\"", hex::encode(&Sha256::digest(&resource.body)[..8]));
    let mut answer = Response::builder()
        .header(header::CONTENT_TYPE, resource.content_type)
        .header(header::ETAG, &etag);
    if let Some(value) = cache_control {
        answer = answer.header(header::CACHE_CONTROL, value);
    }
    let known = request.headers().get(header::IF_NONE_MATCH);
    if known.is_some_and(|known| known.as_bytes() == etag.as_bytes()) {
        lock(state).confirmed += 1;
        return answer
            .status(StatusCode::NOT_MODIFIED)
            .body(Full::default());
    }
    answer.body(Full::from(resource.body))
}

/// The path, and of a query the page alone.
fn path_of(request: &Request<Incoming>) -> String {
    let page = request
        .uri()
        .query()
        .into_iter()
        .flat_map(|query| query.split('&'))
        .find(|pair| pair.starts_with("page="));
    match page {
        Some(page) => format!("{}?{page}", request.uri().path()),
        None => request.uri().path().to_owned(),
    }
}

/// The connection is to be closed without an answer.
#[derive(Debug)]
struct Reset;

impl std::fmt::Display for Reset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("reset")
    }
}

impl std::error::Error for Reset {}

impl From<Infallible> for Reset {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

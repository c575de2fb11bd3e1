//! Outbound `wasi:http`: which requests a component may send, and sending them.
//!
//! Redirects are the component's to follow: each is a request of its own and
//! checked like any other.

mod body;
#[cfg(test)]
mod tests;

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use http::header::{HOST, HeaderName, HeaderValue};
use http::uri::Authority;
use http::{Request, Response, Uri};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, RequestOptions, Result, WasiBody, WasiHttpHooks,
};

use self::body::Timed;
use super::{Capabilities, ParsedGrants};
use crate::net::connector::{self, CONNECT_TIMEOUT, ConnectError, Connector};
use crate::net::{INTERNAL_SUFFIX, OutboundUrl};

/// How long a server may take to begin its answer, unless the request says so.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a server may pause within its answer, unless the request says so.
const BETWEEN_BYTES_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a connection that is not in use is kept, and how many to one server.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const IDLE_LIMIT: usize = 16;

/// Where in the application a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ChainTarget {
    /// To a component, past the routes: `http://<component>.spin.internal`.
    Component(String),
    /// To the application as a whole, like one from outside: `http://self.alt`.
    ToSelf,
}

/// Hands requests to components of the same application.
pub(crate) trait ServiceChain: Send + Sync + 'static {
    /// Have `target` answer a request, which the sender was checked to be
    /// allowed.
    fn call(
        &self,
        target: ChainTarget,
        request: Request<WasiBody>,
    ) -> BoxFuture<'static, Result<Response<WasiBody>>>;
}

/// Sends the HTTP requests of one component. A clone shares its connections.
#[derive(Clone)]
pub(crate) struct OutboundHttp {
    grants: Arc<ParsedGrants>,
    chain: Arc<dyn ServiceChain>,
    // Of one component alone: a connection that one component may make could
    // otherwise serve another one that may not.
    client: legacy::Client<Connector, WasiBody>,
    /// Where in a trace its requests are sent.
    traceparent: Option<HeaderValue>,
}

/// What a request is to the policy.
#[derive(Debug, PartialEq, Eq)]
enum Destination {
    Inside(ChainTarget),
    Outside(OutboundUrl),
}

impl OutboundHttp {
    /// Send requests in the name of the component that has these grants.
    pub(crate) fn new(
        shared: &Capabilities,
        grants: &Arc<ParsedGrants>,
        chain: Arc<dyn ServiceChain>,
    ) -> Self {
        let connector = Connector::new(
            Arc::clone(grants),
            shared.networks().clone(),
            shared.https(),
        );
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_LIMIT)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self {
            grants: Arc::clone(grants),
            chain,
            client,
            traceparent: None,
        }
    }

    /// Says where in a trace requests are sent from now on.
    pub(crate) fn trace(&mut self, traceparent: Option<HeaderValue>) {
        self.traceparent = traceparent;
    }

    async fn send(
        self,
        mut request: Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> Result<Response<WasiBody>> {
        let url = match destination(&self.grants, request.uri())? {
            Destination::Inside(target) => return self.chain.call(target, request).await,
            Destination::Outside(url) => url,
        };
        *request.uri_mut() = canonical(request.uri(), &url)?;
        // The client writes it, as the URL has it now.
        request.headers_mut().remove(HOST);
        let options = options.unwrap_or_default();
        let connect = options.connect_timeout.unwrap_or(CONNECT_TIMEOUT);
        let first_byte = options.first_byte_timeout.unwrap_or(FIRST_BYTE_TIMEOUT);
        let between_bytes = options
            .between_bytes_timeout
            .unwrap_or(BETWEEN_BYTES_TIMEOUT);
        let answer = connector::TIMEOUT.scope(connect, self.client.request(request));
        let answer = tokio::time::timeout(connect.saturating_add(first_byte), answer)
            .await
            .map_err(|_| Error::ConnectionReadTimeout)?
            .map_err(|error| into_wasi(&error))?;
        Ok(answer.map(|body| Timed::new(body, between_bytes).boxed_unsync()))
    }
}

impl WasiHttpHooks for OutboundHttp {
    // The default makes a filter for every header it looks at.
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        DEFAULT_FORBIDDEN_HEADERS.contains(name)
    }

    fn send_request(
        &mut self,
        mut request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<()>> + Send>,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Transmission)>> + Send> {
        if let Some(traceparent) = &self.traceparent {
            // Unless the component said so itself.
            let header = request.headers_mut().entry("traceparent");
            header.or_insert_with(|| traceparent.clone());
        }
        let sending = self.clone().send(request, options);
        Box::new(async {
            // The client drives the connection, so nothing is left to do.
            let transmission: Transmission = Box::new(std::future::ready(Ok(())));
            Ok((sending.await?, transmission))
        })
    }
}

type Transmission = Box<dyn Future<Output = Result<()>> + Send>;

/// Decide where a request goes, if its sender is allowed to send it.
fn destination(grants: &ParsedGrants, uri: &Uri) -> Result<Destination> {
    let allowed = &grants.allowed_outbound_hosts;
    let host = uri.host().unwrap_or_default();
    if host.is_empty() || host == "self.alt" {
        if !allowed.allows_self() {
            grants.refuse("send requests to", "http://self", "allowed_outbound_hosts");
            return Err(Error::HttpRequestDenied);
        }
        return Ok(Destination::Inside(ChainTarget::ToSelf));
    }
    let url =
        OutboundUrl::parse(&uri.to_string(), "https").map_err(|_| Error::HttpRequestUriInvalid)?;
    if !allowed.allows(&url) {
        grants.refuse(
            "send requests to",
            &url.to_string(),
            "allowed_outbound_hosts",
        );
        return Err(Error::HttpRequestDenied);
    }
    let host = url.host.to_string();
    Ok(match host.strip_suffix(INTERNAL_SUFFIX) {
        Some(component) if !component.contains('.') => {
            Destination::Inside(ChainTarget::Component(component.to_owned()))
        }
        _ => Destination::Outside(url),
    })
}

/// The URL of a request with its host as it was checked, so that nothing that
/// reads it later can read another one.
fn canonical(uri: &Uri, url: &OutboundUrl) -> Result<Uri> {
    let authority = match url.port {
        Some(port) => format!("{}:{port}", url.host),
        None => url.host.to_string(),
    };
    let mut parts = uri.clone().into_parts();
    let authority = Authority::try_from(authority).map_err(|_| Error::HttpRequestUriInvalid)?;
    parts.authority = Some(authority);
    Uri::from_parts(parts).map_err(|_| Error::HttpRequestUriInvalid)
}

/// What went wrong, in the words of `wasi:http`.
fn into_wasi(error: &legacy::Error) -> Error {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<ConnectError>() {
            return from_connecting(error);
        }
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            return from_transmission(error);
        }
        cause = error.source();
    }
    Error::InternalError(Some(error.to_string()))
}

fn from_connecting(error: &ConnectError) -> Error {
    tracing::debug!("{error}");
    match error {
        ConnectError::Unresolved(rcode) => Error::DnsError {
            rcode: Some(rcode.clone()),
            info_code: None,
        },
        ConnectError::Prohibited => Error::DestinationIpProhibited,
        ConnectError::TimedOut => Error::ConnectionTimeout,
        ConnectError::Refused => Error::ConnectionRefused,
        ConnectError::Unreachable(_) => Error::DestinationUnavailable,
        ConnectError::Certificate(_) => Error::TlsCertificateError,
        ConnectError::Tls(_) => Error::TlsProtocolError,
    }
}

pub(crate) fn from_transmission(error: &hyper::Error) -> Error {
    tracing::debug!("{error}");
    let sent = error.source().and_then(|source| source.downcast_ref());
    if let Some(Error::HttpRequestBodySize(size)) = sent {
        return Error::HttpRequestBodySize(*size);
    }
    match () {
        () if error.is_timeout() => Error::HttpResponseTimeout,
        () if error.is_incomplete_message() => Error::HttpResponseIncomplete,
        () if error.is_canceled() || error.is_closed() => Error::ConnectionTerminated,
        () if error.is_user() => Error::InternalError(Some(error.to_string())),
        () => Error::HttpProtocolError,
    }
}

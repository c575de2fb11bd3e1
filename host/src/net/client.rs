//! The HTTP client of the host itself: unlike guests, it may reach what whoever
//! started it names.

use std::{
    pin::Pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioIo},
};
use rustls::ClientConfig;
use tower_service::Service;

use super::{
    OutboundUrl,
    connector::{CONNECT_TIMEOUT, ConnectError, Stream, open, resolve, speaking_http},
    tls::{Proof, Roots},
};

/// Sends requests with small bodies, over connections that it keeps.
pub(crate) type Client = legacy::Client<Direct, Full<Bytes>>;

/// Connects to whatever a URL names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Direct;

/// A client without connections yet.
pub(crate) fn client() -> Client {
    legacy::Client::builder(TokioExecutor::new()).build(Direct)
}

async fn connect(uri: Uri) -> Result<Stream, ConnectError> {
    let malformed = |error: url::ParseError| ConnectError::Unresolved(error.to_string());
    let url = OutboundUrl::parse(&uri.to_string(), "https").map_err(malformed)?;
    let addresses = resolve(&url).await?;
    let tls = TLS.clone().map_err(ConnectError::Tls)?;
    open(url, &addresses, tls).await
}

static TLS: LazyLock<Result<Arc<ClientConfig>, String>> = LazyLock::new(|| {
    let config = Roots::mozilla().config(Proof::Name);
    let config = config.map_err(|error| error.to_string())?;
    Ok(Arc::new(speaking_http(config)))
});

impl Service<Uri> for Direct {
    type Response = TokioIo<Stream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, connect(uri));
        Box::pin(async {
            let stream = connecting.await.map_err(|_| ConnectError::TimedOut)??;
            Ok(TokioIo::new(stream))
        })
    }
}

//! Connections to HTTP servers, none of them to an address that is off limits.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tower_service::Service;
use url::Host;

use super::{OutboundUrl, PermittedNetworks, check, default_port};
use crate::capability::ParsedGrants;

/// How long establishing a connection may take unless the request says so.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

tokio::task_local! {
    /// The time that the request under way leaves for connecting: hyper's client
    /// has no other way to tell its connector.
    pub(crate) static TIMEOUT: Duration;
}

/// Why there is no connection.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("the name cannot be resolved: {0}")]
    Unresolved(String),
    #[error("every address of the host is off limits")]
    Prohibited,
    #[error("connecting takes too long")]
    TimedOut,
    #[error("the connection was refused")]
    Refused,
    #[error("the host cannot be reached: {0}")]
    Unreachable(String),
    #[error("the certificate of the host is not valid: {0}")]
    Certificate(String),
    #[error("no TLS connection: {0}")]
    Tls(String),
}

/// Connects in the name of one component.
#[derive(Clone)]
pub(crate) struct Connector {
    grants: Arc<ParsedGrants>,
    networks: PermittedNetworks,
    tls: Arc<ClientConfig>,
}

impl Connector {
    pub(crate) fn new(
        grants: Arc<ParsedGrants>,
        networks: PermittedNetworks,
        tls: Arc<ClientConfig>,
    ) -> Self {
        Self {
            grants,
            networks,
            tls,
        }
    }

    async fn connect(self, uri: Uri) -> Result<Stream, ConnectError> {
        let malformed = |error: url::ParseError| ConnectError::Unresolved(error.to_string());
        let url = OutboundUrl::parse(&uri.to_string(), "https").map_err(malformed)?;
        let resolved = resolve(&url).await?;
        let permitted = self.permitted(&url, resolved)?;
        open(url, &permitted, self.tls).await
    }

    /// Of the addresses of a host, those the component may connect to.
    fn permitted(
        &self,
        url: &OutboundUrl,
        resolved: Vec<SocketAddr>,
    ) -> Result<Vec<SocketAddr>, ConnectError> {
        let networks = match self.grants.allowed_outbound_hosts.names(url) {
            true => &self.networks.for_named(),
            false => &self.networks,
        };
        let mut prohibited = None;
        let keep = |address: &SocketAddr| match check(address.ip(), networks) {
            Ok(()) => true,
            Err(error) => {
                prohibited = Some(error);
                false
            }
        };
        let permitted: Vec<_> = resolved.into_iter().filter(keep).collect();
        match prohibited {
            Some(error) if permitted.is_empty() => {
                self.grants.refuse_address(&url.to_string(), &error);
                Err(ConnectError::Prohibited)
            }
            _ => Ok(permitted),
        }
    }
}

/// The addresses that a URL means.
pub(super) async fn resolve(url: &OutboundUrl) -> Result<Vec<SocketAddr>, ConnectError> {
    let port = url
        .port
        .or_else(|| default_port(&url.scheme))
        .unwrap_or(443);
    Ok(match &url.host {
        Host::Ipv4(address) => vec![SocketAddr::from((*address, port))],
        Host::Ipv6(address) => vec![SocketAddr::from((*address, port))],
        Host::Domain(name) => tokio::net::lookup_host((name.as_str(), port))
            .await
            .map_err(|error| ConnectError::Unresolved(error.to_string()))?
            .collect(),
    })
}

/// Connects to one of the addresses of a URL, over TLS if it says so.
pub(super) async fn open(
    url: OutboundUrl,
    addresses: &[SocketAddr],
    tls: Arc<ClientConfig>,
) -> Result<Stream, ConnectError> {
    let stream = connect_to_any(addresses).await?;
    if url.scheme != "https" {
        return Ok(Stream(Box::new(stream)));
    }
    let name = match url.host {
        Host::Ipv4(address) => ServerName::from(IpAddr::V4(address)),
        Host::Ipv6(address) => ServerName::from(IpAddr::V6(address)),
        Host::Domain(name) => ServerName::try_from(name).map_err(tls_error)?,
    };
    let stream = tokio_rustls::TlsConnector::from(tls)
        .connect(name, stream)
        .await;
    Ok(Stream(Box::new(stream.map_err(handshake_error)?)))
}

async fn connect_to_any(addresses: &[SocketAddr]) -> Result<TcpStream, ConnectError> {
    let mut failed = ConnectError::Unresolved("no addresses".into());
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Without it a request that is written in two parts waits for
                // the acknowledgement of the first.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!("TCP_NODELAY: {error}");
                }
                return Ok(stream);
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                failed = ConnectError::Refused;
            }
            Err(error) => failed = ConnectError::Unreachable(error.to_string()),
        }
    }
    Err(failed)
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let timeout = TIMEOUT.try_get().unwrap_or(CONNECT_TIMEOUT);
        let connecting = tokio::time::timeout(timeout, self.clone().connect(uri));
        Box::pin(async {
            let stream = connecting.await.map_err(|_| ConnectError::TimedOut)??;
            Ok(TokioIo::new(stream))
        })
    }
}

/// With HTTP/1.1, as in `wasmtime-wasi-http`.
pub(crate) fn speaking_http(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

fn handshake_error(error: io::Error) -> ConnectError {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(error @ rustls::Error::InvalidCertificate(_)) => {
            ConnectError::Certificate(error.to_string())
        }
        _ => tls_error(error),
    }
}

fn tls_error(error: impl std::fmt::Display) -> ConnectError {
    ConnectError::Tls(error.to_string())
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection, encrypted or not.
pub(crate) struct Stream(Box<dyn Io>);

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, buffer)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

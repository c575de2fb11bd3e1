//! Where a database is, and how to get there.

use std::{net::SocketAddr, time::Duration};

use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio_postgres::{
    Config,
    config::{Host, TargetSessionAttrs},
    tls::MakeTlsConnect,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::security::Security;
use crate::net::{OutboundUrl, PermittedNetworks, check, tls::Roots};

/// How long making a connection may take unless the address says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a server that vanished may leave what was sent unacknowledged.
const USER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may be silent before the server is asked whether it is
/// still there, and how often it is asked.
const KEEPALIVE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(3);
const KEEPALIVE_RETRIES: u32 = 3;

pub(super) type Tls = <MakeRustlsConnect as MakeTlsConnect<TcpStream>>::TlsConnect;
pub(super) type TlsStream = <MakeRustlsConnect as MakeTlsConnect<TcpStream>>::Stream;

/// The text is not the address of a database that this host can connect to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct InvalidAddress(pub(super) String);

/// The certificate is not one.
#[derive(Debug, thiserror::Error)]
#[error("invalid root certificate: {0}")]
pub(super) struct InvalidCertificate(String);

/// A certificate that a component trusts beside those that the host does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Certificate(Vec<u8>);

impl Certificate {
    /// Parse a certificate in PEM.
    pub(super) fn parse(pem: &str) -> Result<Self, InvalidCertificate> {
        let refused = |error: &dyn std::fmt::Display| InvalidCertificate(error.to_string());
        let certificate =
            CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| refused(&error))?;
        Roots::empty()
            .add(certificate.clone())
            .map_err(|error| refused(&error))?;
        Ok(Self(certificate.to_vec()))
    }

    pub(super) fn to_der(&self) -> CertificateDer<'static> {
        CertificateDer::from(self.0.clone())
    }
}

/// Identifies the connections that can stand for each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) address: String,
    pub(super) certificate: Option<Certificate>,
    /// Whether the manifest names the host, so that it may be in a network that
    /// is off limits otherwise.
    pub(super) is_named: bool,
}

/// The address of a database.
pub(super) struct Address {
    pub(super) key: Key,
    config: Config,
    tls: MakeRustlsConnect,
}

impl Address {
    pub(super) fn parse(key: Key, roots: &Roots) -> Result<Self, InvalidAddress> {
        let (config, security) = config(&key.address)?;
        let tls = security.config(roots, key.certificate.as_ref())?;
        let tls = MakeRustlsConnect::new(tls);
        Ok(Self { key, config, tls })
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn timeout(&self) -> Duration {
        let timeout = self.config.get_connect_timeout();
        timeout.copied().unwrap_or(CONNECT_TIMEOUT)
    }

    pub(super) fn tls(&self, host: &str) -> Result<Tls, String> {
        let mut tls = self.tls.clone();
        MakeTlsConnect::<TcpStream>::make_tls_connect(&mut tls, host)
            .map_err(|error| error.to_string())
    }

    /// Connect to the first host that can be reached; also says which it is.
    pub(super) async fn dial(
        &self,
        networks: &PermittedNetworks,
    ) -> Result<(TcpStream, SocketAddr, String), String> {
        let networks = match self.key.is_named {
            true => &networks.for_named(),
            false => networks,
        };
        let mut failed = "it has no address".to_owned();
        for (host, port) in hosts(&self.config) {
            let found = tokio::net::lookup_host((host, port)).await;
            let found = match found {
                Ok(found) => found,
                Err(error) => {
                    failed = format!("{host} cannot be resolved: {error}");
                    continue;
                }
            };
            for address in found {
                if let Err(prohibited) = check(address.ip(), networks) {
                    failed = format!(
                        "{host} is off limits: {prohibited}; name it in `allowed_outbound_hosts` or permit its network"
                    );
                    continue;
                }
                match dial(address).await {
                    Ok(stream) => return Ok((stream, address, host.to_owned())),
                    Err(error) => failed = format!("{address}: {error}"),
                }
            }
        }
        Err(failed)
    }
}

/// Connect, with what makes a connection quick and a lost one noticed.
pub(super) async fn dial(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_RETRIES);
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    Ok(stream)
}

/// The hosts of an address in the form in which `allowed_outbound_hosts` names
/// them. Every one must be allowed.
pub(crate) fn outbound_urls(address: &str) -> Result<Vec<OutboundUrl>, InvalidAddress> {
    let (config, _) = config(address)?;
    let urls = hosts(&config).map(|(host, port)| {
        let bracketed = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        OutboundUrl::parse(&format!("postgres://{bracketed}:{port}"), "postgres")
            .map_err(|error| InvalidAddress(format!("{host:?}: {error}")))
    });
    urls.collect()
}

fn config(address: &str) -> Result<(Config, Security), InvalidAddress> {
    let refused = |why: &str| Err(InvalidAddress(why.into()));
    let (address, security) = Security::take(address);
    let mut config: Config = address
        .parse()
        .map_err(|error: tokio_postgres::Error| InvalidAddress(error.to_string()))?;
    config.ssl_mode(security.mode()?);
    let is_unix = |host: &Host| matches!(host, Host::Unix(_));
    let (hosts, ports) = (config.get_hosts().len(), config.get_ports().len());
    if hosts == 0 {
        return refused("the address names no host");
    }
    if config.get_hosts().iter().any(is_unix) {
        return refused("Unix sockets are not supported on WebAssembly");
    }
    // They would go where `allowed_outbound_hosts` is not asked about.
    if !config.get_hostaddrs().is_empty() {
        return refused("`hostaddr` is not supported");
    }
    if config.get_target_session_attrs() != TargetSessionAttrs::Any {
        return refused("`target_session_attrs` is not supported");
    }
    if ports > 1 && ports != hosts {
        return refused("there are not as many ports as hosts");
    }
    Ok((config, security))
}

fn hosts(config: &Config) -> impl Iterator<Item = (&str, u16)> {
    let ports = config.get_ports();
    let port = |index| ports.get(index).or_else(|| ports.first());
    config
        .get_hosts()
        .iter()
        .enumerate()
        .filter_map(move |(index, host)| match host {
            Host::Tcp(name) => Some((name.as_str(), port(index).copied().unwrap_or(5432))),
            Host::Unix(_) => None,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(address: &str) -> Vec<String> {
        let urls = outbound_urls(address).expect(address);
        urls.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_host_of_an_address_is_asked_about() {
        for (address, hosts) in [
            ("postgres://u:p@db/x", &["postgres://db:5432"][..]),
            ("postgresql://db:1/x?sslmode=disable", &["postgres://db:1"]),
            ("postgres://[::1]:2/x", &["postgres://[::1]:2"]),
            ("host=a,b port=1,2", &["postgres://a:1", "postgres://b:2"]),
            ("host=a,b port=3", &["postgres://a:3", "postgres://b:3"]),
        ] {
            assert_eq!(urls(address), hosts, "{address}");
        }
    }

    #[test]
    fn what_would_get_around_the_allowed_hosts_is_refused() {
        for address in [
            "",
            "nonsense",
            "user=x",
            "host=/var/run/postgresql",
            "postgres://%2Fvar%2Frun/x",
            "host=allowed hostaddr=10.0.0.1",
            "host=a,b,c port=1,2",
            "postgres://a/x?target_session_attrs=read-write",
            "postgres://a/x?sslmode=maybe",
            "postgres://a/x?sslmode=require&sslrootcert=system",
        ] {
            assert!(outbound_urls(address).is_err(), "{address}");
        }
    }

    #[test]
    fn a_certificate_is_parsed_when_it_is_given() {
        let refused = Certificate::parse("no certificate").expect_err("refused");
        assert!(refused.to_string().starts_with("invalid root certificate"));
    }
}

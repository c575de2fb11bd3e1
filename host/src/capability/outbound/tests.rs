//! What a component sees of the requests it sends, against a server that this
//! process runs.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use http_body_util::Empty;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::super::{CapabilitiesConfig, Grants};
use super::*;
use crate::net::PermittedNetworks;

/// Remembers where requests went and answers each with its target.
#[derive(Default)]
struct Chain(Mutex<Vec<ChainTarget>>);

impl ServiceChain for Chain {
    fn call(
        &self,
        target: ChainTarget,
        _: Request<WasiBody>,
    ) -> BoxFuture<'static, Result<Response<WasiBody>>> {
        self.0.lock().expect("chain").push(target);
        Box::pin(async { Ok(Response::new(empty())) })
    }
}

fn empty() -> WasiBody {
    Empty::<Bytes>::new()
        .map_err(|never| match never {})
        .boxed_unsync()
}

struct Sender {
    http: OutboundHttp,
    chain: Arc<Chain>,
    _folder: tempfile::TempDir,
}

impl Sender {
    fn new(allowed: &[&str]) -> Self {
        Self::with_networks(allowed, PermittedNetworks::default())
    }

    fn with_networks(allowed: &[&str], networks: PermittedNetworks) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let config = CapabilitiesConfig {
            pace: crate::Pace::default(),
            state: folder.path().to_owned(),
            networks,
            postgres_connections: 1,
            trusted: Vec::new(),
            key_value_stores: Default::default(),
            sqlite_databases: Default::default(),
            has_brokers: false,
            roots: crate::net::tls::Roots::mozilla(),
        };
        let grants = Grants {
            component: "media".into(),
            allowed_outbound_hosts: allowed.iter().map(ToString::to_string).collect(),
            ..Grants::default()
        };
        let grants = Arc::new(ParsedGrants::parse(grants, &["api".into()]).expect("grants"));
        let chain = Arc::new(Chain::default());
        let capabilities = Capabilities::open(config).expect("capabilities");
        let http = OutboundHttp::new(&capabilities, &grants, Arc::clone(&chain) as _);
        Self {
            http,
            chain,
            _folder: folder,
        }
    }

    async fn send(&self, url: &str, options: RequestOptions) -> Result<String> {
        let request = Request::get(url).body(empty()).expect("request");
        let answer = self.http.clone().send(request, Some(options)).await?;
        let body = answer.into_body().collect().await?.to_bytes();
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    async fn get(&self, url: &str) -> Result<String> {
        self.send(url, RequestOptions::default()).await
    }

    async fn refusal(&self, url: &str) -> String {
        format!("{:?}", self.get(url).await.expect_err(url))
    }
}

/// A server that writes `answer` to every request; its port and how many
/// connections were made to it.
async fn serve(answer: &'static str) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
    let port = listener.local_addr().expect("address").port();
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counter.fetch_add(1, SeqCst);
            tokio::spawn(async move {
                let mut request = [0; 4096];
                while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                    stream.write_all(answer.as_bytes()).await.expect("answer");
                }
            });
        }
    });
    (port, connections)
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn a_server_that_the_manifest_names_is_reached_over_one_connection() {
    let (port, connections) = serve(OK).await;
    let sender = Sender::new(&[&format!("http://127.0.0.1:{port}")]);
    for _ in 0..3 {
        assert_eq!(
            sender
                .get(&format!("http://127.0.0.1:{port}/x"))
                .await
                .expect("answer"),
            "ok"
        );
    }
    assert_eq!(connections.load(SeqCst), 1);
}

#[tokio::test]
async fn what_the_manifest_does_not_allow_is_denied() {
    let (port, connections) = serve(OK).await;
    let sender = Sender::new(&["http://127.0.0.1:1", "https://example.com"]);
    for url in [
        &format!("http://127.0.0.1:{port}"),
        "http://example.com/",
        "http://api.spin.internal/",
        "http://self.alt/",
    ] {
        assert_eq!(sender.refusal(url).await, "HttpRequestDenied", "{url}");
    }
    assert_eq!(connections.load(SeqCst), 0);
}

#[tokio::test]
async fn a_pattern_does_not_open_addresses_that_are_off_limits() {
    let (port, connections) = serve(OK).await;
    let sender = Sender::new(&["http://*:*"]);
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "0.0.0.0",
        "localhost",
        "user@127.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "169.254.169.254",
        "10.0.0.1",
    ] {
        let url = format!("http://{host}:{port}/");
        assert_eq!(
            sender.refusal(&url).await,
            "DestinationIpProhibited",
            "{url}"
        );
    }
    assert_eq!(connections.load(SeqCst), 0);
}

#[tokio::test]
async fn a_permitted_network_is_open_to_patterns() {
    let (port, _) = serve(OK).await;
    let networks = "127.0.0.0/8".parse().expect("networks");
    let sender = Sender::with_networks(&["http://*:*"], networks);
    assert_eq!(
        sender
            .get(&format!("http://127.1:{port}/"))
            .await
            .expect("answer"),
        "ok"
    );
    assert_eq!(
        sender.refusal(&format!("http://10.0.0.1:{port}/")).await,
        "DestinationIpProhibited"
    );
}

#[tokio::test]
async fn a_connection_of_one_component_does_not_serve_another() {
    let (port, _) = serve(OK).await;
    let url = format!("http://127.0.0.1:{port}/");
    let named = Sender::new(&[&format!("http://127.0.0.1:{port}")]);
    named.get(&url).await.expect("answer");
    assert_eq!(
        Sender::new(&["http://*:*"]).refusal(&url).await,
        "DestinationIpProhibited"
    );
}

#[tokio::test]
async fn redirects_are_left_to_the_component() {
    let (port, connections) =
        serve("HTTP/1.1 302 Found\r\nlocation: http://10.0.0.1/\r\ncontent-length: 4\r\n\r\nthen")
            .await;
    let sender = Sender::new(&[&format!("http://127.0.0.1:{port}")]);
    assert_eq!(
        sender
            .get(&format!("http://127.0.0.1:{port}/"))
            .await
            .expect("answer"),
        "then"
    );
    assert_eq!(connections.load(SeqCst), 1);
}

#[tokio::test]
async fn requests_inside_of_the_application_go_to_the_chain() {
    let sender = Sender::new(&["http://api.spin.internal", "http://self"]);
    for url in [
        "http://api.spin.internal/x",
        "http://API.spin.internal/",
        "http://self.alt/y",
    ] {
        sender.get(url).await.expect(url);
    }
    let component = ChainTarget::Component("api".into());
    let went = sender.chain.0.lock().expect("chain");
    assert_eq!(*went, [component.clone(), component, ChainTarget::ToSelf]);
}

#[tokio::test]
async fn a_server_that_is_silent_is_given_up() {
    for (answer, phase) in [
        ("", "first byte"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no", "between"),
    ] {
        let (port, _) = serve(answer).await;
        let sender = Sender::new(&[&format!("http://127.0.0.1:{port}")]);
        let short = Some(Duration::from_millis(5));
        let options = RequestOptions {
            connect_timeout: Some(Duration::from_millis(100)),
            first_byte_timeout: short,
            between_bytes_timeout: short,
        };
        let silent = sender
            .send(&format!("http://127.0.0.1:{port}/"), options)
            .await;
        assert!(
            matches!(silent, Err(Error::ConnectionReadTimeout)),
            "{phase}: {silent:?}"
        );
    }
}

#[tokio::test]
async fn what_goes_wrong_on_the_way_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
    let closed = listener.local_addr().expect("address").port();
    drop(listener);
    let (garbage, _) = serve("this is not HTTP\r\n\r\n").await;
    let (cut, _) = serve("HTTP/1.1 200 OK\r\n").await;
    let sender = Sender::new(&[
        "http://127.0.0.1:*",
        "https://127.0.0.1:*",
        "http://unknown:*",
    ]);
    for (url, error) in [
        (format!("http://127.0.0.1:{closed}/"), "ConnectionRefused"),
        (format!("http://127.0.0.1:{garbage}/"), "HttpProtocolError"),
        (format!("https://127.0.0.1:{cut}/"), "TlsProtocolError"),
    ] {
        assert_eq!(sender.refusal(&url).await, error, "{url}");
    }
}

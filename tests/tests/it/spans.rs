//! Spans of the host, as a collector of OpenTelemetry receives them.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use emporium_host::{Options, Telemetry};
use emporium_tests::{
    app::{App, manifest, send, until},
    pictures::png,
};
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, Response, body::Bytes, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{Span, span::SpanKind},
};
use prost::Message as _;
use reqwest::{
    Method,
    multipart::{Form, Part},
};
use tokio::net::TcpListener;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// What a collector received.
#[derive(Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<Span>>>,
    resources: Arc<Mutex<Vec<Resource>>>,
}

impl Collector {
    /// Serve OTLP over HTTP.
    async fn start(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let collector = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let collector = collector.clone();
                tokio::spawn(async move {
                    let service = service_fn(|request| collector.receive(request));
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _ = connection
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        address
    }

    async fn receive(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Empty<Bytes>>, Infallible> {
        assert_eq!(request.uri().path(), "/v1/traces");
        assert_eq!(request.headers()["content-type"], "application/x-protobuf");
        let body = request.into_body().collect().await.expect("a body");
        let batch = ExportTraceServiceRequest::decode(body.to_bytes()).expect("protobuf");
        for part in batch.resource_spans {
            self.resources.lock().expect("a lock").extend(part.resource);
            let spans = part.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.spans.lock().expect("a lock").extend(spans);
        }
        Ok(Response::new(Empty::new()))
    }

    fn spans(&self) -> Vec<Span> {
        self.spans.lock().expect("a lock").clone()
    }

    /// Spans of `TRACE` with these names, each below the one before, the first
    /// below the caller.
    fn find<const LENGTH: usize>(&self, names: [&str; LENGTH]) -> Option<[Span; LENGTH]> {
        let caller = hex::decode(CALLER).expect("hexadecimal");
        let mut spans = self.spans();
        spans.retain(|span| hex::encode(&span.trace_id) == TRACE);
        let chain = chain_in(&spans, &caller, &names)?;
        Some(chain.try_into().expect("as many as names"))
    }

    /// Wait for such spans.
    async fn chain<const LENGTH: usize>(&self, names: [&str; LENGTH]) -> [Span; LENGTH] {
        let found = until(async || self.find(names));
        match tokio::time::timeout(Duration::from_secs(30), found).await {
            Ok(chain) => chain,
            Err(_) => {
                let all = self.spans().into_iter().map(|span| {
                    let [id, parent] = [&span.span_id, &span.parent_span_id].map(hex::encode);
                    format!("{} {id} below {parent}", span.name)
                });
                let all: Vec<_> = all.collect();
                panic!("no {names:?}: {all:#?}")
            }
        }
    }
}

/// A wake goes to all who listen, and one of them finds the event: of several
/// spans with a name, the one that the rest is below is meant.
fn chain_in(spans: &[Span], parent: &[u8], names: &[&str]) -> Option<Vec<Span>> {
    let Some((name, rest)) = names.split_first() else {
        return Some(Vec::new());
    };
    let named = spans.iter().filter(|span| span.name == *name);
    named
        .filter(|span| span.parent_span_id == parent)
        .find_map(|span| {
            let below = chain_in(spans, &span.span_id, rest)?;
            Some([vec![span.clone()], below].concat())
        })
}

/// Export to `address`, soon.
fn export_to(address: SocketAddr) -> impl FnOnce(&mut Options) {
    move |options| {
        let endpoint = format!("http://{address}/v1/traces");
        let mut telemetry = Telemetry::new(endpoint.parse().expect("a URL"));
        telemetry.delay = Duration::from_millis(50);
        telemetry.timeout = Duration::from_secs(1);
        options.telemetry = Some(telemetry);
    }
}

fn attribute<'a>(attributes: &'a [KeyValue], name: &str) -> Option<&'a Value> {
    let found = attributes.iter().find(|attribute| attribute.key == name)?;
    found.value.as_ref()?.value.as_ref()
}

fn text(value: &str) -> Value {
    Value::StringValue(value.into())
}

async fn upload(app: &App, header: String) -> String {
    let form = Form::new().part("file", Part::bytes(png(8, 8)).file_name("a.png"));
    let upload = app.request(Method::POST, "/images");
    let upload = upload.header("traceparent", header).multipart(form);
    let uuid = send(upload).await.json()["uuid"].clone();
    uuid.as_str().expect("a uuid").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_goes_from_a_request_to_what_its_events_commit() {
    let collector = Collector::default();
    let address = collector.start().await;
    let app = App::configured(manifest(), export_to(address)).await;
    let request = "POST /images/...";
    // The event that the reaction published leads on.
    let whole = [
        request,
        "publish image",
        "deliver image",
        "publish dither",
        "deliver dither",
        "commit",
    ];
    // Somebody who looks for work anyhow may find an event before its wake does.
    // Another upload has another chance.
    until(async || {
        let uuid = upload(&app, format!("00-{TRACE}-{CALLER}-01")).await;
        app.image_in(&uuid, "FINISHED").await;
        let exported = until(async || collector.find(whole));
        let exported = tokio::time::timeout(Duration::from_secs(2), exported);
        exported.await.ok()
    })
    .await;
    collector.chain([request, "commit"]).await;
    let led_to = [request, "publish image", "deliver image", "commit"];
    let [http, publish, deliver, commit] = collector.chain(led_to).await;

    for (span, kind) in [
        (&http, SpanKind::Server),
        (&publish, SpanKind::Producer),
        (&deliver, SpanKind::Consumer),
        (&commit, SpanKind::Client),
    ] {
        assert_eq!(span.kind(), kind, "{}", span.name);
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
    }
    for (span, name, value) in [
        (&http, "http.request.method", text("POST")),
        (&http, "http.response.status_code", Value::IntValue(201)),
        (&http, "http.route", text("/images/...")),
        (&http, "emporium.component", text("media")),
        (&deliver, "messaging.destination.name", text("image")),
        (&commit, "db.system.name", text("sqlite")),
    ] {
        assert_eq!(
            attribute(&span.attributes, name),
            Some(&value),
            "{}",
            span.name
        );
    }
    let resources = collector.resources.lock().expect("a lock").clone();
    let name = attribute(&resources[0].attributes, "service.name");
    assert_eq!(name, Some(&text("emporium")));
    app.stop().await;
    assert!(
        collector
            .spans()
            .iter()
            .all(|span| !span.name.contains("/platform/...")),
        "ticks are not traced"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_that_is_not_recorded_stays_so() {
    let collector = Collector::default();
    let address = collector.start().await;
    let app = App::configured(manifest(), export_to(address)).await;
    let uuid = upload(&app, format!("00-{TRACE}-{CALLER}-00")).await;
    app.image_in(&uuid, "FINISHED").await;
    app.stop().await;
    let recorded = collector.spans();
    let recorded = recorded
        .iter()
        .filter(|span| hex::encode(&span.trace_id) == TRACE);
    assert_eq!(recorded.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_delays_nothing() {
    // Nobody answers there: the connection is taken, and never read.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = silent.local_addr().expect("an address");
    let app = App::configured(manifest(), |options| {
        export_to(address)(options);
        if let Some(telemetry) = &mut options.telemetry {
            telemetry.queue = 4;
            telemetry.batch = 2;
        }
    })
    .await;
    let begun = std::time::Instant::now();
    for _ in 0..100 {
        assert_eq!(app.get("/images").await.status, 200);
    }
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    // What was lost is counted.
    until(async || {
        let text = app.admin(Method::GET, "/metrics").await.text();
        let dropped = text
            .lines()
            .find(|line| line.starts_with("emporium_spans_dropped_total"))?;
        let (_, count) = dropped.rsplit_once(' ')?;
        (count.parse::<u64>().ok()? > 50).then_some(())
    })
    .await;
}

//! A service that does what a host must survive: the last part of the path
//! says what.

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use http_body_util::BodyExt as _;
use spin_sdk::{
    http::{
        Request, Response, StatusCode,
        body::{IncomingBodyExt as _, stream},
        box_body, get,
    },
    http_service,
    time::sleep,
    wasip3,
};

type Answer = Response<spin_sdk::http::BoxBody>;

#[http_service]
async fn handle(request: Request) -> Answer {
    let act = request
        .uri()
        .path()
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    match act.as_str() {
        "trap" => trap(),
        "loop" => loop {
            std::hint::black_box(0);
        },
        "wait" => {
            sleep(Duration::from_secs(3600)).await;
            text("waited")
        }
        "hoard" => text(hoard()),
        "count" => text(
            request
                .into_body()
                .bytes()
                .await
                .map_or(0, |body| body.len())
                .to_string(),
        ),
        "echo" => echo(request),
        "drip" => drip(false),
        "break" => drip(true),
        "linger" => linger(),
        "crowd" => text(crowd().await.to_string()),
        "flood" => flood(),
        "headers" => text(headers(&request)),
        "call" => match get(query).await {
            Ok(response) => {
                let status = response.status();
                let body = response
                    .into_body()
                    .collect()
                    .await
                    .map(|body| body.to_bytes());
                text(format!(
                    "{status} {}",
                    String::from_utf8_lossy(&body.unwrap_or_default())
                ))
            }
            Err(refusal) => text(format!("{refusal:?}")),
        },
        _ => answer(StatusCode::NOT_FOUND, "no such mischief"),
    }
}

fn trap() -> ! {
    std::process::abort()
}

/// Takes memory until there is none, and says how many MiB that was.
fn hoard() -> String {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    loop {
        let mut more: Vec<u8> = Vec::new();
        if more.try_reserve_exact(1 << 20).is_err() {
            return hoard.len().to_string();
        }
        more.resize(1 << 20, 1);
        hoard.push(more);
    }
}

fn echo(request: Request) -> Answer {
    let (mut sender, body) = stream::<Bytes>();
    let mut received = request.into_body().stream();
    wasip3::spawn(async move {
        while let Some(Ok(part)) = received.next().await {
            if sender.send(part).await.is_err() {
                return;
            }
        }
    });
    Response::new(box_body(body))
}

/// Three parts with pauses between them; or a trap after the second.
fn drip(breaks: bool) -> Answer {
    let (mut sender, body) = stream::<String>();
    wasip3::spawn(async move {
        for part in 0..3 {
            if breaks && part == 2 {
                trap();
            }
            if sender.send(format!("part {part}\n")).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
    });
    Response::new(box_body(body))
}

/// How many requests were in this instance at most, while this one was.
async fn crowd() -> usize {
    static PRESENT: AtomicUsize = AtomicUsize::new(0);
    let mut most = PRESENT.fetch_add(1, Relaxed) + 1;
    for _ in 0..10 {
        sleep(Duration::from_millis(20)).await;
        most = most.max(PRESENT.load(Relaxed));
    }
    PRESENT.fetch_sub(1, Relaxed);
    most
}

/// An answer without an end.
fn flood() -> Answer {
    let (mut sender, body) = stream::<Bytes>();
    wasip3::spawn(async move {
        let part = Bytes::from(vec![0; 64 << 10]);
        while sender.send(part.clone()).await.is_ok() {}
    });
    Response::new(box_body(body))
}

/// Answers at once and goes on for a while.
fn linger() -> Answer {
    wasip3::spawn(async {
        sleep(Duration::from_millis(200)).await;
        println!("done lingering");
    });
    text("answered")
}

fn headers(request: &Request) -> String {
    let line = |(name, value): (_, &spin_sdk::http::HeaderValue)| {
        format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()))
    };
    request.headers().iter().map(line).collect()
}

fn text(text: impl Into<String>) -> Answer {
    answer(StatusCode::OK, text)
}

fn answer(status: StatusCode, text: impl Into<String>) -> Answer {
    let mut response = Response::new(box_body(text.into()));
    *response.status_mut() = status;
    response
}

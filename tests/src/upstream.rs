//! A stand-in for the world outside: a few species and products, with faults on
//! demand, counting what it is asked for.

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
use image::{DynamicImage, ImageFormat, Rgba, RgbaImage};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{app::manifest, pictures::encode};

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
struct Resource {
    content_type: &'static str,
    body: Vec<u8>,
}

#[derive(Default)]
struct State {
    resources: HashMap<String, Resource>,
    faults: HashMap<String, (Fault, usize)>,
    counts: BTreeMap<String, u32>,
    /// Answered with 304.
    confirmed: u32,
    cache_control: Option<&'static str>,
}

/// A running stand-in.
pub struct Upstream {
    /// Where it is.
    pub origin: String,
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
}

impl Upstream {
    /// Start one with three species and a page of products.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State {
            cache_control: Some("public, max-age=86400"),
            ..State::default()
        }));
        let upstream = Self {
            origin: format!("http://{address}"),
            server: tokio::spawn(serve(listener, Arc::clone(&state))),
            state,
        };
        upstream.fill();
        upstream
    }

    /// The manifest of the application, reading from here.
    pub fn manifest(&self) -> String {
        let mut manifest = manifest();
        for elsewhere in [
            "https://pokeapi.co",
            "https://world.openfoodfacts.org",
            "https://raw.githubusercontent.com",
        ] {
            assert!(manifest.contains(elsewhere), "{elsewhere}");
            manifest = manifest.replace(elsewhere, &self.origin);
        }
        manifest.replace(
            "allow_private_media = { default = \"false\" }",
            "allow_private_media = { default = \"true\" }",
        )
    }

    /// Let the next `times` requests for `path` go wrong.
    pub fn fault(&self, path: &str, fault: Fault, times: usize) {
        self.state().faults.insert(path.into(), (fault, times));
    }

    /// Answer `path` with this from now on.
    pub fn serve(&self, path: &str, content_type: &'static str, body: Vec<u8>) {
        let resource = Resource { content_type, body };
        self.state().resources.insert(path.into(), resource);
    }

    /// Answer `path` with 404 from now on.
    pub fn remove(&self, path: &str) {
        self.state().resources.remove(path);
    }

    /// The `Cache-Control` of all answers from now on.
    pub fn cache_control(&self, value: Option<&'static str>) {
        self.state().cache_control = value;
    }

    /// How often `path` was asked for.
    pub fn count(&self, path: &str) -> u32 {
        self.state().counts.get(path).copied().unwrap_or(0)
    }

    /// How often each path was asked for.
    pub fn counts(&self) -> BTreeMap<String, u32> {
        self.state().counts.clone()
    }

    /// How often it was answered that nothing changed.
    pub fn confirmed(&self) -> u32 {
        self.state().confirmed
    }

    /// What `path` is answered with.
    pub fn body(&self, path: &str) -> Vec<u8> {
        self.state().resources[path].body.clone()
    }

    /// Put a species there: its record, its one variety, and media for it.
    pub fn species(&self, id: u32, name: &str, chain: u32, mythical: bool) {
        let base = &self.origin;
        let named = |kind: &str, name: &str| json!({"name": name, "url": format!("{base}/api/v2/{kind}/{name}/")});
        let pokemon = json!({"name": name, "url": format!("{base}/api/v2/pokemon/{id}/")});
        let text = |text: &str, language: &str| json!({"flavor_text": text, "language": named("language", language)});
        self.json(
            &format!("/api/v2/pokemon-species/{name}"),
            &json!({
                "id": id, "name": name, "generation": named("generation", "generation-i"),
                "names": [{"name": english_name(name), "language": named("language", "en")}],
                "flavor_text_entries": [
                    text("There is a plant seed on its back\nright from the day this\u{c}POKéMON is born.", "en"),
                    text("Au matin de sa vie.", "fr"),
                ],
                "genera": [{"genus": "Seed Pokémon", "language": named("language", "en")}],
                "evolution_chain": {"url": format!("{base}/api/v2/evolution-chain/{chain}/")},
                "varieties": [{"is_default": true, "pokemon": pokemon}],
                "is_legendary": false, "is_mythical": mythical, "is_baby": false,
            }),
        );
        let media = |kind: &str| format!("{base}/media/{id}{kind}");
        self.json(
            &format!("/api/v2/pokemon/{id}/"),
            &json!({
                "id": id, "name": name, "height": 7, "weight": 69,
                "types": [
                    {"slot": 2, "type": named("type", "poison")},
                    {"slot": 1, "type": named("type", if mythical { "psychic" } else { "grass" })},
                ],
                "stats": [
                    {"base_stat": 45, "stat": named("stat", "hp")},
                    {"base_stat": 49, "stat": named("stat", "attack")},
                ],
                "sprites": {
                    "front_default": media(".png"), "back_default": media(".png"),
                    "front_female": null,
                    "other": {
                        "dream_world": {"front_default": media(".svg")},
                        "showdown": {"front_default": media(".gif")},
                    },
                },
                "cries": {"latest": media(".ogg"), "legacy": null},
            }),
        );
        self.serve(&format!("/media/{id}.png"), "image/png", sprite(id));
        self.serve(&format!("/media/{id}.svg"), "image/svg+xml", svg());
        self.serve(&format!("/media/{id}.gif"), "image/gif", animated_gif());
        self.serve(&format!("/media/{id}.ogg"), "audio/ogg", ogg(id));
    }

    /// Answer `/api/v2/search` with these products, on one page.
    pub fn products(&self, products: &[Value]) {
        self.json("/api/v2/search?page=1", &json!({"products": products}));
        self.json("/api/v2/search?page=2", &json!({"products": []}));
    }

    fn json(&self, path: &str, value: &Value) {
        self.serve(path, "application/json", value.to_string().into_bytes());
    }

    fn fill(&self) {
        let base = &self.origin;
        let species = |name: &str| json!({"name": name, "url": format!("{base}/api/v2/pokemon-species/{name}/")});
        let all = ["bulbasaur", "ivysaur", "mew"].map(species);
        let generation = json!({"pokemon_species": all});
        self.json("/api/v2/generation/generation-i", &generation);
        let ivysaur = json!({"species": species("ivysaur"), "evolves_to": []});
        let chain = json!({"chain": {"species": species("bulbasaur"), "evolves_to": [ivysaur]}});
        self.json("/api/v2/evolution-chain/1/", &chain);
        let chain = json!({"chain": {"species": species("mew"), "evolves_to": []}});
        self.json("/api/v2/evolution-chain/78/", &chain);
        self.species(1, "bulbasaur", 1, false);
        self.species(2, "ivysaur", 1, false);
        self.species(151, "mew", 78, true);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A small picture with transparency, different for each `seed`.
pub fn sprite(seed: u32) -> Vec<u8> {
    let picture = RgbaImage::from_fn(24, 20, |x, y| {
        let level = |factor: u32| (x * factor + y * 7 + seed * 31) as u8;
        Rgba([level(11), level(5), level(3), level(13)])
    });
    encode(&DynamicImage::ImageRgba8(picture), ImageFormat::Png)
}

/// What a species is called: not always what its name in URLs looks like.
fn english_name(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).chain(['♀']).collect()
}

fn svg() -> Vec<u8> {
    let svg = "<svg xmlns='http://www.w3.org/2000/svg' width='8' height='8'>\
         <script>alert(1)</script><rect width='8' height='8' fill='teal'/></svg>";
    svg.into()
}

fn ogg(seed: u32) -> Vec<u8> {
    [b"OggS\0\x02".as_slice(), &seed.to_le_bytes(), &[0; 64]].concat()
}

/// A GIF of two pictures, each one pixel.
fn animated_gif() -> Vec<u8> {
    let head = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff".to_vec();
    let picture = b"\x21\xf9\x04\0\0\0\0\0\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0";
    [head, picture.repeat(2), b"\x3b".to_vec()].concat()
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
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
        Some(Fault::Truncated) | None => {
            let Some(mut resource) = resource else {
                return Ok(empty.status(404).body(Full::default()).expect("an answer"));
            };
            if fault.is_some() {
                resource.body.truncate(resource.body.len() / 2);
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

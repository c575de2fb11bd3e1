//! The application in a real host inside the test process, and verbs to use it.

use std::{collections::BTreeMap, future::Future, path::PathBuf, time::Duration};

use emporium_host::{Clock, Host, Limits, Options, Running, Source, Variables};
use reqwest::{
    Method, StatusCode,
    header::HeaderMap,
    multipart::{Form, Part},
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{compiled, component, root};

/// The bearer token of the administrator.
pub const ADMIN: &str = "test-admin-token";

/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running application with a database of its own.
pub struct App {
    running: Running,
    client: Client,
    /// The time that guests see.
    pub clock: Clock,
    folder: TempDir,
}

/// Requests to one origin.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    pub origin: String,
}

/// A response, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// The manifest of the application, naming the built components.
pub fn manifest() -> String {
    let text = std::fs::read_to_string(root().join("spin.toml")).expect("spin.toml");
    let built = component("x");
    let folder = built.parent().expect("a folder").display().to_string();
    text.replace("target/wasm32-wasip2/release", &folder)
}

impl App {
    /// Start the application of `spin.toml`.
    pub async fn start() -> Self {
        Self::of(manifest()).await
    }

    /// Start the application of another manifest.
    pub async fn of(manifest: String) -> Self {
        Self::with(manifest, |_| {}).await
    }

    /// Start with other limits.
    pub async fn with(manifest: String, limit: impl FnOnce(&mut Limits)) -> Self {
        Self::configured(manifest, |options| limit(&mut options.limits)).await
    }

    /// Start with other options.
    pub async fn configured(manifest: String, configure: impl FnOnce(&mut Options)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut options = Options::new(Source::Text {
            text: manifest.clone(),
            base: root(),
        });
        options.state = folder.path().to_owned();
        options.cache = compiled();
        options.listen = ([127, 0, 0, 1], 0).into();
        options.show_output = std::env::var_os("SHOW_OUTPUT").is_some();
        options.tick = Some(Duration::from_millis(100));
        if manifest.contains("admin_token") {
            options.variables = Variables {
                given: BTreeMap::from([("admin_token".into(), ADMIN.into())]),
                ..Variables::default()
            };
        }
        configure(&mut options);
        let clock = options.clock.clone();
        let host = tokio::task::spawn_blocking(|| Host::load(options))
            .await
            .expect("loading")
            .expect("the manifest loads");
        let running = host.start().await.expect("the host starts");
        let address = running.address().expect("HTTP is served");
        Self {
            running,
            client: Client::new(format!("http://{address}")),
            clock,
            folder,
        }
    }

    /// The folder of the databases.
    pub fn state(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Stop, and wait for what is under way.
    pub async fn stop(self) {
        self.running.shutdown().await.expect("a clean stop");
    }

    /// Wait until a condition comes true, with the guests' time passing ten times
    /// as fast: pauses between attempts end soon, leases not too soon.
    pub async fn until_later<T, F: Future<Output = Option<T>>>(
        &self,
        condition: impl FnMut() -> F,
    ) -> T {
        let step = Duration::from_millis(50);
        let passing = async {
            loop {
                tokio::time::sleep(step).await;
                self.clock.advance(step * 10);
            }
        };
        tokio::select! {
            result = until(condition) => result,
            () = passing => unreachable!("time does not end"),
        }
    }
}

impl std::ops::Deref for App {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Client {
    pub fn new(origin: String) -> Self {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()
            .expect("a client");
        Self { http, origin }
    }

    /// A request to `path`, to be completed and sent.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.origin))
    }

    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str) -> Answer {
        send(self.request(Method::POST, path)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        send(self.request(Method::DELETE, path)).await
    }

    pub async fn post_json(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::POST, path).json(body)).await
    }

    /// A request by the administrator.
    pub async fn admin(&self, method: Method, path: &str) -> Answer {
        send(self.request(method, path).bearer_auth(ADMIN)).await
    }

    /// A request by the administrator, with a body.
    pub async fn admin_json(&self, method: Method, path: &str, body: &Value) -> Answer {
        let request = self.request(method, path).bearer_auth(ADMIN);
        send(request.json(body)).await
    }

    pub async fn get_with(&self, path: &str, header: &str, value: &str) -> Answer {
        send(self.request(Method::GET, path).header(header, value)).await
    }

    /// Upload a picture through the form field `file`.
    pub async fn upload(&self, name: &str, content: Vec<u8>) -> Answer {
        let part = Part::bytes(content).file_name(name.to_owned());
        self.upload_form(Form::new().part("file", part)).await
    }

    pub async fn upload_form(&self, form: Form) -> Answer {
        send(self.request(Method::POST, "/images").multipart(form)).await
    }

    /// Upload a picture that is taken; returns its uuid.
    pub async fn uploaded(&self, name: &str, content: Vec<u8>) -> String {
        let answer = self.upload(name, content).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["uuid"].as_str().expect("a uuid").to_owned()
    }

    /// Wait until an image has this status; returns the image.
    pub async fn image_in(&self, uuid: &str, status: &str) -> Value {
        let path = format!("/images/{uuid}");
        until(async || {
            let image = self.get(&path).await.json();
            (image["status"] == status).then_some(image)
        })
        .await
    }

    /// Upload a picture and wait until it is dithered; returns its uuid.
    pub async fn dithered(&self, name: &str, content: Vec<u8>) -> String {
        let uuid = self.uploaded(name, content).await;
        self.image_in(&uuid, "FINISHED").await;
        uuid
    }

    /// Wait until a path answers with this status.
    pub async fn until_status(&self, path: &str, status: u16) -> Answer {
        until(async || {
            let answer = self.get(path).await;
            (answer.status == status).then_some(answer)
        })
        .await
    }
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("text"))
    }

    /// Assert that this is a problem of the kind `code`.
    pub fn assert_problem(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        assert_eq!(problem["type"], format!("urn:emporium:problem:{code}"));
    }
}

/// Send a request and read the response.
pub async fn send(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    Answer {
        status: response.status(),
        headers: response.headers().clone(),
        body: response.bytes().await.expect("a body").to_vec(),
    }
}

/// Wait until a condition comes true.
pub async fn until<T, F: Future<Output = Option<T>>>(mut condition: impl FnMut() -> F) -> T {
    let wait = async {
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let result = tokio::time::timeout(PATIENCE, wait).await;
    result.expect("the condition did not come true")
}

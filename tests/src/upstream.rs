//! A stand-in for the world outside: a few species and products, with faults on
//! demand, counting what it is asked for.

mod server;
mod world;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::{net::TcpListener, task::JoinHandle};

use self::server::{Resource, State, lock, serve};
pub use self::{server::Fault, world::sprite};
use crate::app::manifest;

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

    /// All that is there.
    pub fn paths(&self) -> Vec<String> {
        self.state().resources.keys().cloned().collect()
    }

    /// What `path` is answered with.
    pub fn body(&self, path: &str) -> Vec<u8> {
        self.state().resources[path].body.clone()
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

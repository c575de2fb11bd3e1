//! `spin:postgres` on a real server: what components get, what they are refused,
//! and what they leave behind.

mod addresses;
mod busy_hosts;
mod connections;
mod outages;
mod replies;
mod statements;
mod transactions;

use emporium_host::Limits;
use emporium_tests::{
    app::{App, send},
    probe::manifest,
    servers::Postgres,
};
use reqwest::Method;

/// The probe in a host, and a database of the shared server.
struct Probe {
    app: App,
    url: String,
}

impl Probe {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(limit: impl FnOnce(&mut Limits)) -> Self {
        let postgres = Postgres::shared();
        Self::of(postgres, postgres.database(), limit).await
    }

    async fn of(server: &Postgres, url: String, limit: impl FnOnce(&mut Limits)) -> Self {
        let host = format!("['postgres://127.0.0.1:{}']", server.port());
        let app = App::with(manifest(&host, None), limit).await;
        Self { app, url }
    }

    /// Runs the lines of a script on one connection; returns what came of each.
    async fn run(&self, script: &[&str]) -> Vec<String> {
        self.run_at(&self.url, script).await
    }

    async fn run_at(&self, url: &str, script: &[&str]) -> Vec<String> {
        let request = self.app.request(Method::POST, &format!("/postgres?{url}"));
        let answer = send(request.body(script.join("\n"))).await;
        answer.text().lines().map(str::to_owned).collect()
    }

    async fn run_one(&self, line: &str) -> String {
        self.run(&[line]).await.concat()
    }

    /// What a session of the server says of itself.
    fn asked(&self, sql: &str) -> String {
        Postgres::shared().query(&self.url, sql)
    }

    /// The connections of this probe that the server has.
    fn connections(&self, of: &str) -> String {
        self.asked(&format!(
            "SELECT count(*) FROM pg_stat_activity \
             WHERE datname = current_database() AND backend_type = 'client backend' \
             AND pid <> pg_backend_pid() AND {of}"
        ))
    }
}

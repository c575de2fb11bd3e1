//! `emporium up`: serves the application.

use std::{future::pending, net::SocketAddr, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use futures::FutureExt as _;
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
};

use super::{App, configuration};
use crate::{Host, Limits, Options, Telemetry};

#[derive(clap::Args)]
pub(super) struct Up {
    #[command(flatten)]
    app: App,
    /// The address to serve HTTP on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// Do not show what components print.
    #[arg(long, short)]
    quiet: bool,
    /// Let components reach private and loopback addresses which the manifest allows.
    #[arg(long)]
    allow_private_networks: bool,
    /// The most seconds between two calls of POST /platform/tick; 0 for none, and for a host that
    /// does not announce itself.
    #[arg(long, default_value_t = 1)]
    tick: u64,
    /// Threads that serve HTTP [default: one per core].
    #[arg(long)]
    threads: Option<usize>,
    /// Memory an instance may use, in MiB.
    #[arg(long, default_value_t = 1024)]
    max_memory: usize,
    /// Instances alive at once.
    #[arg(long, default_value_t = 1000)]
    max_instances: u32,
    /// Requests an instance serves before it is replaced.
    #[arg(long, default_value_t = 1024)]
    reuse: u32,
    /// Requests an instance handles at once while it waits. With 1, one that traps
    /// fails alone.
    #[arg(long, default_value_t = 16)]
    concurrent_reuse: usize,
    /// HTTP requests handled at once; more are answered with 503.
    #[arg(long, default_value_t = 512)]
    max_requests: usize,
    /// Largest request body, in MiB.
    #[arg(long, default_value_t = 64)]
    max_body: u64,
    /// Seconds an HTTP handler may take to answer.
    #[arg(long, default_value_t = 30)]
    request_timeout: u64,
    /// Seconds a Redis handler may take.
    #[arg(long, default_value_t = 60)]
    handler_timeout: u64,
    /// Messages of one channel handled at once [default: one per core].
    #[arg(long)]
    handlers: Option<usize>,
    /// The same for one channel.
    #[arg(long, value_name = "CHANNEL=N", value_parser = concurrency)]
    concurrency: Vec<(String, usize)>,
    /// Connections to Postgres, over all components; the host has two more for itself.
    #[arg(long, default_value_t = 16)]
    postgres_connections: usize,
    /// Handle every message of a channel, instead of merging those that wait.
    #[arg(long)]
    no_coalesce: bool,
}

fn concurrency(text: &str) -> Result<(String, usize)> {
    let (channel, count) = text.rsplit_once('=').context("write it as channel=4")?;
    let count: usize = count.parse().context("write it as channel=4")?;
    anyhow::ensure!(count > 0, "a channel without handlers is never heard");
    Ok((channel.to_owned(), count))
}

impl Up {
    fn options(&self) -> Options {
        let defaults = Limits::default();
        let mut options = self.app.options();
        options.listen = self.listen;
        options.show_output = !self.quiet;
        options.allow_private_networks = self.allow_private_networks;
        options.tick = (self.tick > 0).then(|| Duration::from_secs(self.tick));
        options.threads = self.threads.unwrap_or(options.threads);
        options.limits = Limits {
            memory: self.max_memory << 20,
            instances: self.max_instances,
            reuse: self.reuse,
            concurrent_reuse: self.concurrent_reuse,
            in_flight: self.max_requests,
            body: self.max_body << 20,
            request_deadline: Duration::from_secs(self.request_timeout),
            handler_deadline: Duration::from_secs(self.handler_timeout),
            handlers: self.handlers.unwrap_or(defaults.handlers),
            channel_handlers: self.concurrency.iter().cloned().collect(),
            postgres_connections: self.postgres_connections.max(1),
            coalesce: !self.no_coalesce,
            ..defaults
        };
        options
    }

    pub(super) fn run(self) -> Result<ExitCode> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
            let mut options = self.options();
            options.telemetry = Telemetry::from_environment()?;
            let host = Host::load(options)?;
            let running = host.start().await?;
            let misconfigured = match running.address() {
                Some(address) => {
                    println!("Serving http://{address}");
                    configuration::wrong(address, host.services()).left_future()
                }
                None => {
                    println!("Serving");
                    pending().right_future()
                }
            };
            tokio::select! {
                wrong = misconfigured => return Err(wrong),
                () = either(&mut interrupt, &mut terminate) => {}
            }
            tracing::info!("draining; a second signal stops at once");
            tokio::select! {
                stopped = running.shutdown() => stopped.map(|()| ExitCode::SUCCESS).context("stopping"),
                () = either(&mut interrupt, &mut terminate) => std::process::exit(130),
            }
        })
    }
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

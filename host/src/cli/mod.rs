//! The command line.

mod doctor;
mod routes;
mod up;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Result, anyhow};
use clap::{Args, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::{Options, Source, Variables};

/// Runs Spin applications.
#[derive(Parser)]
#[command(name = "emporium", version)]
struct Command {
    #[command(subcommand)]
    verb: Verb,
    /// Log more; RUST_LOG says exactly what.
    #[arg(long, short, global = true)]
    verbose: bool,
}

#[derive(Subcommand)]
enum Verb {
    /// Serve the application until it is interrupted.
    Up(up::Up),
    /// Show the routes and channels of the application.
    Routes(App),
    /// Look for what would keep the application from running.
    Doctor(doctor::Doctor),
}

/// Which application, and how it is set up.
#[derive(Args)]
struct App {
    /// The manifest.
    #[arg(long = "from", short, default_value = "spin.toml")]
    file: PathBuf,
    /// The profile to apply.
    #[arg(long)]
    profile: Option<String>,
    /// The folder for databases and stores [default: .emporium beside the manifest].
    #[arg(long)]
    state: Option<PathBuf>,
    /// The folder for compiled code [default: compiled/ in the state folder].
    #[arg(long, env = "EMPORIUM_CACHE")]
    cache: Option<PathBuf>,
    /// A file of SPIN_VARIABLE_NAME=value lines [default: .env beside the manifest, if it is there].
    #[arg(long)]
    env_file: Option<PathBuf>,
    /// The value of a variable.
    #[arg(long = "variable", value_name = "NAME=VALUE", value_parser = pair)]
    variables: Vec<(String, String)>,
}

fn pair(text: &str) -> Result<(String, String)> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| anyhow!("write it as name=value"))?;
    Ok((name.into(), value.into()))
}

impl App {
    fn options(&self) -> Options {
        let mut options = Options::new(Source::File(self.file.clone()));
        let beside = self.file.with_file_name(".env");
        options.profile = self.profile.clone();
        options.variables = Variables {
            given: self.variables.iter().cloned().collect(),
            env_file: self
                .env_file
                .clone()
                .or_else(|| beside.is_file().then_some(beside)),
            ..Variables::from_environment()
        };
        if let Some(state) = &self.state {
            options.state = state.clone();
            options.cache = state.join("compiled");
        }
        if let Some(cache) = &self.cache {
            options.cache = cache.clone();
        }
        options
    }
}

/// Does what the arguments of this process say.
pub fn run() -> Result<ExitCode> {
    let command = Command::parse();
    let level = if command.verbose {
        "emporium_host=debug,info"
    } else {
        "warn"
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    match command.verb {
        Verb::Up(up) => up.run(),
        Verb::Routes(app) => routes::run(&app),
        Verb::Doctor(doctor) => doctor.run(),
    }
}

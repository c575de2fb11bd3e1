//! The command line.

mod configuration;
mod doctor;
mod events;
mod routes;
mod up;

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail};
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
    /// Follow events, and decide about those that were given up.
    Events(events::Events),
    /// Look for what would keep the application from running.
    Doctor(doctor::Doctor),
}

/// Which application, and how it is set up.
#[derive(Args)]
struct App {
    /// The manifest.
    #[arg(long = "from", short, default_value = "spin.toml")]
    file: PathBuf,
    /// The profile to apply [default: embedded without --postgres, if there is one].
    #[arg(long)]
    profile: Option<String>,
    /// The database to use: sets the variable postgres_url.
    #[arg(long, value_name = "URL", env = "EMPORIUM_POSTGRES")]
    postgres: Option<String>,
    /// The broker to use, instead of one in this process: sets the variable redis_address.
    #[arg(long, value_name = "URL", env = "EMPORIUM_REDIS")]
    redis: Option<String>,
    /// Spin's file about backing stores and variables.
    #[arg(long, value_name = "FILE")]
    runtime_config_file: Option<PathBuf>,
    /// Certificates to trust beside those of Mozilla, in PEM: for rediss://, https://, and
    /// databases whose address has sslmode=verify-full.
    #[arg(long, value_name = "FILE", env = "SSL_CERT_FILE")]
    ca_file: Option<PathBuf>,
    /// The folder for databases and stores [default: .emporium beside the manifest].
    #[arg(long)]
    state: Option<PathBuf>,
    /// The folder for compiled code [default: compiled/ in the state folder].
    #[arg(long, env = "EMPORIUM_CACHE")]
    cache: Option<PathBuf>,
    /// A file of SPIN_VARIABLE_NAME=value lines [default: .env beside the manifest, if it is there].
    #[arg(long)]
    env_file: Option<PathBuf>,
    /// The value of a variable, or with an @ the file that has it; or the
    /// .toml or .json file that has values of several.
    #[arg(long = "variable", value_name = "NAME=VALUE|NAME=@FILE|@FILE", value_parser = given)]
    variables: Vec<Given>,
}

/// Variables that were given together.
type Given = BTreeMap<String, String>;

fn given(text: &str) -> Result<Given> {
    let read = |path: &str| fs::read_to_string(path).with_context(|| format!("reading {path}"));
    if let Some(path) = text.strip_prefix('@') {
        let content = read(path)?;
        let parsing = || format!("reading variables from {path}");
        return match Path::new(path).extension().and_then(OsStr::to_str) {
            Some("json") => serde_json::from_str(&content).with_context(parsing),
            Some("toml") => toml::from_str(&content).with_context(parsing),
            _ => bail!("files of variables must end in .json or .toml"),
        };
    }
    let (name, value) = text
        .split_once('=')
        .context("write it as name=value, name=@file or @file")?;
    let value = match value.strip_prefix('@') {
        Some(path) => read(path)?,
        None => value.to_owned(),
    };
    Ok(Given::from([(name.to_owned(), value)]))
}

impl App {
    fn options(&self) -> Options {
        let mut options = Options::new(Source::File(self.file.clone()));
        let beside = self.file.with_file_name(".env");
        options.profile = self.profile.clone();
        options.postgres = self.postgres.clone();
        options.redis = self.redis.clone();
        options.runtime_config = self.runtime_config_file.clone();
        options.ca_file = self.ca_file.clone();
        options.variables = Variables {
            given: self.variables.iter().flatten().map(owned).collect(),
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

fn owned((name, value): (&String, &String)) -> (String, String) {
    (name.clone(), value.clone())
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
        Verb::Events(events) => events.run(),
        Verb::Doctor(doctor) => doctor.run(),
    }
}

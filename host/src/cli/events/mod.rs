//! `emporium events`: follows events, and decides about those that were given up and
//! about subscriptions that nobody needs any more.

mod api;
mod dead;
mod forget;
mod tail;

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::Value;
use tokio::runtime;

use api::Api;

use crate::{Variables, chores::ADMIN_TOKEN};

#[derive(Args)]
pub(super) struct Events {
    #[command(subcommand)]
    verb: Verb,
    /// Where a host of the application serves HTTP.
    #[arg(
        long,
        global = true,
        env = "EMPORIUM_URL",
        default_value = "http://127.0.0.1:3000"
    )]
    url: String,
    /// The token of the administrator [default: the one in the env file].
    #[arg(
        long,
        global = true,
        env = "SPIN_VARIABLE_ADMIN_TOKEN",
        hide_env_values = true
    )]
    token: Option<String>,
    /// A file of SPIN_VARIABLE_NAME=value lines [default: .env, if it is there].
    #[arg(long, global = true)]
    env_file: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Verb {
    /// Print events as they are published, one to a line.
    Tail(tail::Tail),
    /// List the deliveries that were given up, or show one.
    Dead(dead::Dead),
    /// Deliver again what was given up.
    Replay(dead::Replay),
    /// Forget what was given up.
    Discard(dead::Discard),
    /// End a subscription of a service that was renamed or removed.
    Forget(forget::Forget),
}

impl Events {
    pub(super) fn run(self) -> Result<ExitCode> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let token = self.token()?;
        let api = Api::new(&self.url, token.as_deref())?;
        runtime.block_on(async {
            match self.verb {
                Verb::Tail(tail) => tail.run(&api).await,
                Verb::Dead(dead) => dead.run(&api).await,
                Verb::Replay(replay) => replay.run(&api).await,
                Verb::Discard(discard) => discard.run(&api).await,
                Verb::Forget(forget) => forget.run(&api).await,
            }
        })
    }

    fn token(&self) -> Result<Option<String>> {
        let beside = Path::new(".env");
        let file = self.env_file.as_deref();
        match file.or_else(|| beside.is_file().then_some(beside)) {
            Some(file) if self.token.is_none() => Variables::in_env_file(file, ADMIN_TOKEN),
            _ => Ok(self.token.clone()),
        }
    }
}

/// Prints a line. Says whether somebody still reads.
fn print(line: &str) -> Result<bool> {
    match writeln!(io::stdout(), "{line}") {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The text of a member; `-` if there is none.
fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or("-")
}

/// The number of a member; 0 if there is none.
fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or_default()
}

/// A moment in milliseconds since the Unix epoch, as people write it.
fn moment(value: &Value, name: &str) -> String {
    let since = std::time::Duration::from_millis(number(value, name));
    match std::time::UNIX_EPOCH.checked_add(since) {
        Some(moment) => humantime::format_rfc3339_millis(moment).to_string(),
        None => "-".into(),
    }
}

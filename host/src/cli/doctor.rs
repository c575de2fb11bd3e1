//! `emporium doctor`: looks for what would keep the application from running,
//! and says what to do about it.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    process::ExitCode,
};

use anyhow::Result;
use wasmtime::component::Component;

use super::App;
use crate::{
    application::{self, Application},
    compose::DENIED,
    manifest,
};

#[derive(clap::Args)]
pub(super) struct Doctor {
    #[command(flatten)]
    app: App,
    /// The address that `emporium up` is to serve on.
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
}

/// What was looked at, and what is wrong with it.
#[derive(Default)]
struct Findings {
    problems: usize,
}

impl Findings {
    fn note<T>(&mut self, what: &str, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => {
                println!("ok       {what}");
                Some(value)
            }
            Err(error) => {
                self.problems += 1;
                println!("problem  {what}: {error:#}");
                None
            }
        }
    }
}

impl Doctor {
    pub(super) fn run(self) -> Result<ExitCode> {
        let options = self.app.options();
        let mut findings = Findings::default();
        findings.note("port", port(self.listen));
        findings.note("state folder", writable(&options.state));
        let Some((manifest, _)) = findings.note("manifest", application::read_manifest(&options))
        else {
            return Ok(ExitCode::FAILURE);
        };
        findings.note(
            "variables",
            application::resolve_variables(&options, &options.runtime_config()?, &manifest),
        );
        if let Some(application) = findings.note("engine", Application::open(options)) {
            for (id, declared) in &application.manifest.components {
                let what = format!("component {id}");
                let Some(component) = findings.note(&what, application.component(id, declared))
                else {
                    continue;
                };
                if application
                    .manifest
                    .triggered()
                    .any(|triggered| triggered == id)
                {
                    findings.note(
                        &format!("grants of {id}"),
                        grants(&application, declared, &component),
                    );
                    findings.note(&format!("imports of {id}"), application.unit(id));
                }
            }
        }
        match findings.problems {
            0 => Ok(ExitCode::SUCCESS),
            _ => Ok(ExitCode::FAILURE),
        }
    }
}

fn port(listen: SocketAddr) -> Result<()> {
    TcpListener::bind(listen).map(drop).map_err(|error| {
        anyhow::anyhow!("{listen} is not free ({error}); give --listen another port, or 0")
    })
}

fn writable(folder: &std::path::Path) -> Result<()> {
    let probe = folder.join(".doctor");
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&probe, []))
        .and_then(|()| fs::remove_file(&probe))
        .map_err(|error| {
            anyhow::anyhow!(
                "{} is not writable ({error}); name another with --state",
                folder.display()
            )
        })
}

/// A component that imports a capability and is granted none of it will be
/// refused when it runs.
fn grants(
    application: &Application,
    declared: &manifest::Component,
    component: &Component,
) -> Result<()> {
    let granted = [
        (
            "spin:sqlite/",
            "sqlite_databases = [\"default\"]",
            !declared.sqlite_databases.is_empty(),
        ),
        (
            "spin:key-value/",
            "key_value_stores = [\"default\"]",
            !declared.key_value_stores.is_empty(),
        ),
        (
            "spin:variables/",
            "[component.<id>.variables]",
            !declared.variables.is_empty(),
        ),
        (
            "spin:redis/",
            "allowed_outbound_hosts = [\"redis://...\"]",
            !declared.allowed_outbound_hosts.is_empty(),
        ),
    ];
    let imports: Vec<_> = component
        .component_type()
        .imports(&application.engine)
        .map(|(name, _)| name.to_owned())
        .collect();
    let missing: Vec<_> = granted
        .iter()
        .filter(|(prefix, _, granted)| {
            // The types of a package are imported along with a dependency's
            // refused interface; they grant nothing.
            !granted
                && imports
                    .iter()
                    .any(|import| import.starts_with(prefix) && !import.starts_with(DENIED))
        })
        .map(|(prefix, key, _)| {
            format!(
                "it imports `{}`, but has no `{key}`",
                prefix.trim_end_matches('/')
            )
        })
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    anyhow::bail!("{}", missing.join("; "))
}

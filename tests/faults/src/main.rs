//! Runs the fault suite and prints what it found.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;
use emporium_faults::{
    report::Report,
    scenario::{Length, Setting},
    scenarios,
};

/// Brings faults about and checks that no event is lost, doubled or misordered.
#[derive(Parser)]
#[command(name = "faults")]
struct Arguments {
    /// What the loads and the faults are derived from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// As long as it takes, instead of a few seconds each.
    #[arg(long)]
    long: bool,
    /// Only scenarios whose name has this in it.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let only = arguments.only.as_deref().unwrap_or_default();
    let chosen = scenarios::ALL
        .iter()
        .filter(|scenario| scenario.name.contains(only));
    let mut report = Report::default();
    let mut count = 0;
    println!("{}", Report::HEAD);
    for scenario in chosen {
        for &wiring in scenario.wirings {
            let setting = Setting {
                wiring,
                seed: arguments.seed,
                length: if arguments.long {
                    Length::Long
                } else {
                    Length::Short
                },
            };
            // In a task of its own, so that what panics is a violation too.
            let playing = tokio::spawn(scenario.play(setting));
            let outcome = playing.await.unwrap_or_else(|error| Err(error.into()));
            println!("{}", report.row(scenario.name, setting, &outcome));
            count += 1;
        }
    }
    ensure!(count > 0, "no scenario has `{only}` in its name");
    for violation in report.violations() {
        eprintln!("VIOLATION {violation}");
    }
    Ok(match report.violations() {
        [] => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

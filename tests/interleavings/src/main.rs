//! Plays the interleaving suite, or one schedule of it, and prints what it found.

use std::process::ExitCode;

use clap::Parser;
use emporium_interleavings::{
    postgres::{self, Server},
    schedule::Schedule,
    suite::{Depth, Player, groups},
};

/// Plays what the platform does in every order.
#[derive(Parser)]
#[command(name = "interleavings")]
struct Arguments {
    /// As far as it takes, instead of a few minutes.
    #[arg(long)]
    long: bool,
    /// Only groups whose title, `START: OPERATION OPERATION`, has this in it.
    #[arg(long, value_name = "TITLE", default_value = "")]
    only: String,
    /// Play this schedule of the first such group, and say all that happens.
    #[arg(long)]
    schedule: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let depth = if arguments.long {
        Depth::LONG
    } else {
        Depth::SHORT
    };
    let groups = groups(depth, &arguments.only);
    if let Some(schedule) = arguments.schedule.as_deref() {
        let (Some(group), Some(schedule)) = (groups.first(), Schedule::parse(schedule)) else {
            eprintln!("there is no such group or schedule");
            return ExitCode::FAILURE;
        };
        let server = Server::start();
        let violation = postgres::local(async {
            let mut player = Player::new(server.stage(group.operations.len()).await);
            player.replay(group, &schedule).await
        });
        match violation {
            Some(violation) => println!("{violation}"),
            None => println!("it cannot be played"),
        }
        return ExitCode::SUCCESS;
    }
    let report = postgres::play(groups);
    println!("{report}");
    match report.violations.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

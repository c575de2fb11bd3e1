//! Plays the interleaving suite, or one schedule of it, and prints what it found.

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use emporium_interleavings::{
    postgres,
    report::{Report, Violation},
    schedule::Schedule,
    sqlite,
    suite::{Depth, Group, Player, groups, local},
    world::World,
};

/// Plays what the platform does in every order.
#[derive(Parser)]
#[command(name = "emporium-interleavings")]
struct Arguments {
    /// Only on this database.
    #[arg(long)]
    database: Option<Database>,
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

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Database {
    Postgres,
    Sqlite,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let depth = match arguments.long {
        true => Depth::LONG,
        false => Depth::SHORT,
    };
    let groups = groups(depth, &arguments.only);
    if let Some(schedule) = arguments.schedule.as_deref() {
        let (Some(group), Some(schedule)) = (groups.first(), Schedule::parse(schedule)) else {
            eprintln!("there is no such group or schedule");
            return ExitCode::FAILURE;
        };
        let played = local(async {
            match arguments.database {
                Some(Database::Sqlite) => again(sqlite::Stage::new().await, group, &schedule).await,
                _ => {
                    let server = postgres::Server::start();
                    let stage = server.stage(group.operations.len()).await;
                    again(stage, group, &schedule).await
                }
            }
        });
        match played {
            Some(played) => println!("{played}"),
            None => println!("it cannot be played"),
        }
        return ExitCode::SUCCESS;
    }
    let mut is_fine = true;
    for (database, name) in [
        (Database::Postgres, "PostgreSQL"),
        (Database::Sqlite, "SQLite"),
    ] {
        if arguments.database.is_some_and(|only| only != database) {
            continue;
        }
        let report = match database {
            Database::Postgres => postgres::play(groups.clone(), tell),
            Database::Sqlite => sqlite::play(groups.clone(), tell),
        };
        println!("{name}\n{}", report);
        is_fine &= report.violations.is_empty();
    }
    match is_fine {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

async fn again<W: World>(world: W, group: &Group, schedule: &Schedule) -> Option<Violation> {
    Player::new(world).replay(group, schedule).await
}

/// Violations are told at once: the rest may take long.
fn tell(report: &Report) {
    for violation in &report.violations {
        eprintln!("{violation}");
    }
}

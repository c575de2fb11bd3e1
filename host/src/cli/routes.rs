//! `emporium routes`: what the application serves.

use std::process::ExitCode;

use anyhow::Result;

use super::App;
use crate::{application, manifest::Route};

pub(super) fn run(app: &App) -> Result<ExitCode> {
    let options = app.options();
    let (manifest, _) = application::read_manifest(&options)?;
    let variables =
        application::resolve_variables(&options, &options.runtime_config()?, &manifest)?;
    let mut rows = Vec::new();
    for trigger in &manifest.http {
        let route = match &trigger.route {
            Route::Public(route) => route.clone(),
            Route::Private => format!("http://{}.spin.internal", trigger.component),
        };
        rows.push(["http".into(), route, trigger.component.clone()]);
    }
    for trigger in &manifest.redis {
        let channel = trigger.channel.resolve(&variables);
        rows.push(["redis".into(), channel, trigger.component.clone()]);
    }
    print_table(
        ["trigger", "route or channel", "component"].map(String::from),
        rows,
    );
    Ok(ExitCode::SUCCESS)
}

fn print_table<const COLUMNS: usize>(head: [String; COLUMNS], rows: Vec<[String; COLUMNS]>) {
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    let mut widths = [0; COLUMNS];
    for row in &rows {
        widths
            .iter_mut()
            .zip(row)
            .for_each(|(width, cell)| *width = (*width).max(cell.chars().count()));
    }
    for row in &rows {
        let line: Vec<_> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        println!("{}", line.join("  ").trim_end());
    }
}

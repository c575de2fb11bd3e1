//! The command `emporium`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match emporium_host::cli::run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

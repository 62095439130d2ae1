//! The one program: arguments, then what they say, then an exit code.

use std::process::ExitCode;

use clap::Parser as _;
use tidemark::commands::{CommandLine, run, told};

fn main() -> ExitCode {
    match run(CommandLine::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tidemark: {}", told(&error));
            ExitCode::FAILURE
        }
    }
}

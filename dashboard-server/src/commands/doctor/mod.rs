//! `tidemark doctor`: what has to be right before the night, looked at from this machine in one pass.
//!
//! ```text
//! mod      the command: asks everything, prints one line a finding, answers with the exit code
//! machine  folders, room on the disk, clock, ports
//! brokers  Kafka: reached or not, partitions, whose clock stamps the records
//! ```
//!
//! It changes nothing but a file that it writes and removes at once, to know that it could.

mod brokers;
mod machine;

use std::fmt;
use std::process::ExitCode;

use clap::Args;
use tidemark_pipeline::sql::Catalog;

use super::prepared::prepared;
use super::{ConfigArgs, DoorArgs};
use crate::config::{Config, ConfigError};

/// Arguments of `tidemark doctor`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    tidemark doctor --config tidemark.toml\n  \
    tidemark doctor --config tidemark.toml && tidemark serve --config tidemark.toml\n\n\
    Looks at the configuration, the SQL folder, data folder and disk, clock, ports and Kafka, and says\n\
    ok, warn or FAIL a line. The exit code is 0 when nothing failed; warnings leave it at 0.")]
pub struct DoctorArgs {
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Addresses.
    #[command(flatten)]
    pub doors: DoorArgs,
}

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Ok,
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone)]
struct Finding {
    level: Level,
    about: String,
    told: String,
}

impl Finding {
    fn ok(about: impl Into<String>, told: impl Into<String>) -> Self {
        Self { level: Level::Ok, about: about.into(), told: told.into() }
    }

    fn warn(about: impl Into<String>, told: impl Into<String>) -> Self {
        Self { level: Level::Warn, ..Self::ok(about, told) }
    }

    fn fail(about: impl Into<String>, told: impl Into<String>) -> Self {
        Self { level: Level::Fail, ..Self::ok(about, told) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Ok => "ok  ",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        };
        write!(f, "{level}  {:<12}  {}", self.about, self.told)
    }
}

/// Looks at everything and prints what it found.
///
/// # Errors
/// When the configuration file cannot be read or is no TOML.
pub fn run(args: DoctorArgs) -> anyhow::Result<ExitCode> {
    let mut failed = 0;
    let mut tell = |finding: Finding| {
        failed += usize::from(finding.level == Level::Fail);
        println!("{finding}");
    };
    match prepared(&args.config, &args.doors, super::serve::check_source) {
        Ok((config, catalog)) => findings(&config, &catalog, &mut tell),
        Err(error) => match error.downcast::<ConfigError>() {
            Ok(error) => {
                error.mistakes.into_iter().for_each(|line| tell(Finding::fail("config", line)));
            }
            Err(error) => return Err(error),
        },
    }
    println!();
    match failed {
        0 => println!("go: nothing failed"),
        count => println!("no go: {count} failed"),
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn findings(config: &Config, catalog: &Catalog, tell: &mut dyn FnMut(Finding)) {
    let (views, streams) = (catalog.views.len(), catalog.streams.len());
    tell(Finding::ok("config", "read, without a mistake"));
    let folder = config.pipeline.sql_dir.display();
    tell(Finding::ok(
        "sql",
        format!("{views} views over {streams} streams in {folder} are planned"),
    ));
    if views == 0 {
        tell(Finding::warn("sql", "there is no view: the wall will be empty"));
    }
    machine::folders(config).into_iter().for_each(&mut *tell);
    tell(machine::clock(&config.pipeline.data_dir));
    machine::tls(&config.server).into_iter().for_each(&mut *tell);
    machine::ports(&config.server).into_iter().for_each(&mut *tell);
    brokers::streams(catalog).into_iter().for_each(tell);
}

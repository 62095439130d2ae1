//! The command line: one file a command, each with its arguments and its `run`.

pub mod bench;
pub mod close_day;
pub mod demo;
pub mod dead_letters;
pub mod doctor;
pub mod load;
pub mod pipeline;
pub mod reload;
pub mod replay;
pub mod run;
pub mod serve;
pub mod server;
pub mod sql;
pub mod user;
mod client;
mod destination;
mod local_ingest;
mod prepared;
mod serving;
mod sole;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};

use crate::config::{Config, ConfigError, Overrides, RawConfig, read_all};
use crate::telemetry::{Verbosity, install_logs};

/// The number on the wall, live, exact and provable: Kafka orders to GMV in SQL.
#[derive(Debug, Parser)]
#[command(name = "tidemark", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = "Start here:\n  \
    tidemark demo                          a generated Double 11 on this machine, nothing else needed\n  \
    tidemark sql \"SELECT * FROM gmv_day\"   ask the running server\n\n\
    Every command explains itself with --help.")]
pub struct CommandLine {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Everything in one process, with generated orders: no other service needed
    Demo(demo::DemoArgs),
    /// Pipeline and server in one process, on your Kafka
    Serve(serve::ServeArgs),
    /// A worker: folds the Kafka partitions that its consumer group gives it, for a `server`
    Pipeline(pipeline::PipelineArgs),
    /// The wall and the doors over what workers (`pipeline`) fold
    Server(server::ServerArgs),
    /// Run a SQL script over files, stdin or Kafka and print its results
    Run(run::RunArgs),
    /// Generate orders into a Kafka topic: Double 11 curve, duplicates, late records, any rate
    Load(load::LoadArgs),
    /// Play recorded orders (CSV, JSON lines, Parquet) into a Kafka topic
    Replay(replay::ReplayArgs),
    /// Let a running server read its SQL folder again
    Reload(reload::ReloadArgs),
    /// Close a day: a control record on every partition of a stream's log
    CloseDay(close_day::CloseDayArgs),
    /// Look at rejected records, correct them and send them back
    DeadLetters(dead_letters::DeadLettersArgs),
    /// What has to be right before the night: config, folders, disk, clock, ports, Kafka
    Doctor(doctor::DoctorArgs),
    /// Ask a running server one query
    Sql(sql::SqlArgs),
    /// Measure the engine on this machine; `make bench` runs it
    #[command(hide = true)]
    Bench(bench::BenchArgs),
    /// Say who may see and do what
    User(user::UserArgs),
}

/// Options of every command that reads the configuration.
#[derive(Debug, Clone, Default, Args)]
pub struct ConfigArgs {
    /// Configuration; every key with its default is in config/default.toml
    #[arg(long, value_name = "FILE", env = "TIDEMARK_CONFIG")]
    pub config: Option<PathBuf>,
    /// Folder for checkpoints, ledgers and the embedded log
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Folder with streams/, scopes/, views/, reference/, screens/
    #[arg(long, value_name = "DIR")]
    pub sql_dir: Option<PathBuf>,
    /// Log only what needs someone
    #[arg(long)]
    pub quiet: bool,
}

/// Options of every command that serves people.
#[derive(Debug, Clone, Default, Args)]
pub struct DoorArgs {
    /// Address of the wall, HTTP and WebSockets [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Address of the PostgreSQL door, "" keeps it shut [default: 127.0.0.1:5433]
    #[arg(long, value_name = "ADDRESS")]
    pub postgres: Option<String>,
    /// Address of the Arrow Flight SQL door, "" keeps it shut [default: 127.0.0.1:5434]
    #[arg(long, value_name = "ADDRESS")]
    pub flight: Option<String>,
}

impl ConfigArgs {
    /// Reads and checks the configuration, the command line said over the file.
    ///
    /// # Errors
    /// When the file cannot be read, with its name; or all mistakes in it.
    pub fn load(&self, doors: &DoorArgs) -> anyhow::Result<Config> {
        let (raw, mut mistakes) = self.read()?;
        match Config::check(raw, self.overrides(doors)) {
            Ok(config) if mistakes.is_empty() => Ok(config),
            Ok(_) => Err(ConfigError { mistakes }.into()),
            Err(more) => {
                mistakes.extend(more.mistakes);
                Err(ConfigError { mistakes }.into())
            }
        }
    }

    /// The file as written, with the mistakes in it.
    fn read(&self) -> anyhow::Result<(RawConfig, Vec<String>)> {
        let Some(file) = &self.config else { return Ok((RawConfig::default(), Vec::new())) };
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read the configuration {}", file.display()))?;
        Ok(read_all(&text, file)?)
    }

    fn overrides(&self, doors: &DoorArgs) -> Overrides {
        Overrides {
            listen: doors.listen.clone(),
            postgres: doors.postgres.clone(),
            flight: doors.flight.clone(),
            data_dir: self.data_dir.clone(),
            sql_dir: self.sql_dir.clone(),
        }
    }

    /// How much is logged.
    #[must_use]
    pub fn verbosity(&self) -> Verbosity {
        if self.quiet { Verbosity::Quiet } else { Verbosity::Normal }
    }
}

impl Command {
    /// A command that serves tells what an operator wants to see once; one that ends by itself
    /// answers with its output and its exit code, and logs only what needs someone.
    fn verbosity(&self) -> Verbosity {
        match self {
            Self::Demo(args) => args.config.verbosity(),
            Self::Serve(args) => args.config.verbosity(),
            Self::Pipeline(args) => args.config.verbosity(),
            Self::Server(args) => args.config.verbosity(),
            _ => Verbosity::Quiet,
        }
    }
}

/// An error with its causes in one line, for a person. A cause that the error has told already is left
/// out, and so are the names the engine gives its own catalogue.
#[must_use]
pub fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.contains(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    text.replace("datafusion.public.", "")
}

/// Does what the command line says.
///
/// # Errors
/// What went wrong, ready to be shown.
pub fn run(line: CommandLine) -> anyhow::Result<ExitCode> {
    install_logs(line.command.verbosity());
    match line.command {
        Command::Demo(args) => demo::run(args),
        Command::Serve(args) => serve::run(args),
        Command::Pipeline(args) => pipeline::run(args),
        Command::Server(args) => server::run(args),
        Command::Run(args) => run::run(args),
        Command::Load(args) => load::run(args),
        Command::Replay(args) => replay::run(args),
        Command::Reload(args) => reload::run(args),
        Command::CloseDay(args) => close_day::run(args),
        Command::DeadLetters(args) => dead_letters::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Sql(args) => sql::run(args),
        Command::Bench(args) => bench::run(args),
        Command::User(args) => user::run(args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("stream orders: {source}")]
    struct Outer {
        source: std::io::Error,
    }

    #[test]
    fn a_cause_is_told_once_and_the_engines_own_names_never() {
        let source = std::io::Error::other("no table datafusion.public.orders");
        let error = anyhow::Error::new(Outer { source }).context("cannot start");
        assert_eq!(told(&error), "cannot start: stream orders: no table orders");
    }
}

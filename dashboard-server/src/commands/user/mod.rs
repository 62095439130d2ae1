//! `tidemark user`: who may see and do what. Users are sections of the configuration; walls that were paired
//! are kept by the server.

mod file;
mod password;
mod walls;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};

use super::table::{Cell, draw};
use crate::auth::scram::Verifier;
use crate::auth::{Role, Views, secret};
use file::{ConfigFile, Hashes, section};

/// Arguments of `tidemark user`.
#[derive(Debug, Args)]
pub struct UserArgs {
    /// What to do.
    #[command(subcommand)]
    command: UserCommand,
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Make a key for a new user; the configuration gets its hash only
    Add(AddArgs),
    /// The users of a configuration
    List(FileArgs),
    /// Take a user out of a configuration
    Remove(OneArgs),
    /// Give a user another key
    Password(PasswordArgs),
    /// Approve the wall that shows a code of six digits
    Pair(walls::PairArgs),
    /// The walls that are paired, and those that wait
    Devices(walls::ServerArgs),
    /// Take a paired wall out; it shows a code again at once
    Revoke(walls::RevokeArgs),
}

#[derive(Debug, Args)]
struct FileArgs {
    /// Configuration the users are in
    #[arg(long, value_name = "FILE", env = "TIDEMARK_CONFIG")]
    config: PathBuf,
}

#[derive(Debug, Args)]
struct OneArgs {
    /// The user
    name: String,
    /// Where it is.
    #[command(flatten)]
    file: FileArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    tidemark user add lin --role analyst                     print the key and the lines for the configuration\n  \
    tidemark user add lin --role analyst --config tidemark.toml   write the lines, print the key\n  \
    tidemark user add lin --role analyst --password          ask for a password instead of making a key\n  \
    tidemark user add brandwall --role viewer --view 'brand_*'\n\n\
    The key is NAME.SECRET and shown once; with a password it is NAME.PASSWORD. It is what a page asks for,\n\
    the TOKEN of `Authorization: Bearer TOKEN`, and the password of the PostgreSQL and Flight SQL doors. A running server\n\
    takes its users at `tidemark reload`.")]
struct AddArgs {
    /// Name: letters, digits, `_` and `-`
    name: String,
    /// What the user may do
    #[arg(long, value_enum)]
    role: RoleWord,
    /// A view the user sees, or the beginning of names as `gmv_*`; may be said again [default: all]
    #[arg(long = "view", value_name = "VIEW")]
    views: Vec<String>,
    /// Configuration to write the lines to; without it they are printed
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Ask for a password on the terminal, or read it as a line of stdin, instead of making a key
    #[arg(long)]
    password: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Without --password a new key is made and shown once. What the user had open is closed when\n\
    the server reads its users again (`tidemark reload`)."
)]
struct PasswordArgs {
    /// Whose.
    #[command(flatten)]
    one: OneArgs,
    /// Ask for a password on the terminal, or read it as a line of stdin, instead of making a key
    #[arg(long)]
    password: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleWord {
    /// Looks at walls
    Viewer,
    /// Asks in SQL
    Analyst,
    /// Reads figures with their papers
    Media,
    /// Feeds streams and keeps them well, pairs walls
    Operator,
    /// Everything
    Admin,
}

impl From<RoleWord> for Role {
    fn from(word: RoleWord) -> Self {
        match word {
            RoleWord::Viewer => Self::Viewer,
            RoleWord::Analyst => Self::Analyst,
            RoleWord::Media => Self::Media,
            RoleWord::Operator => Self::Operator,
            RoleWord::Admin => Self::Admin,
        }
    }
}

/// Does what is asked.
///
/// # Errors
/// When the name is none, is taken or not there, the file cannot be written, or the server refuses.
pub fn run(args: UserArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        UserCommand::Add(args) => add(&args),
        UserCommand::List(args) => list(&args),
        UserCommand::Remove(args) => remove(&args),
        UserCommand::Password(args) => change(&args),
        UserCommand::Pair(args) => walls::pair(&args),
        UserCommand::Devices(args) => walls::list(&args),
        UserCommand::Revoke(args) => walls::revoke(&args),
    }?;
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn add(args: &AddArgs) -> anyhow::Result<()> {
    if !secret::is_name(&args.name) {
        bail!("{:?}: a name is up to 64 letters, digits, `_` and `-`", args.name);
    }
    // Before anyone is asked for a password.
    let file = args.config.as_deref().map(ConfigFile::read_or_new).transpose()?;
    if let Some(file) = file.as_ref().filter(|file| file.has(&args.name)) {
        bail!("{} has a user {} already; see `tidemark user password`", file.name(), args.name);
    }
    let (key, hashes) = key(&args.name, args.password)?;
    let views = if args.views.is_empty() { Views::All } else { Views::Only(args.views.clone()) };
    let lines = section(&args.name, args.role.into(), &hashes, &views);
    match file {
        Some(file) => {
            let name = file.name();
            file.with(&args.name, &lines)?;
            told(&format!(
                "added [users.{}] to {name}; `tidemark reload` lets the user in",
                args.name
            ));
        }
        None => println!("{lines}"),
    }
    show(&args.name, key);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn list(args: &FileArgs) -> anyhow::Result<()> {
    let file = ConfigFile::read(&args.config)?;
    let columns = ["user", "role", "views", "PostgreSQL"].map(str::to_owned);
    let mut rows = Vec::new();
    for (name, user) in file.users() {
        let views = user.views.as_ref().map_or("all".to_owned(), |views| views.join(", "));
        let proves = if user.scram.is_some() { "SCRAM-SHA-256" } else { "password" };
        let cells = [name.clone(), user.role.clone(), views, proves.to_owned()];
        rows.push(cells.into_iter().map(|text| Cell { text, is_number: false }).collect());
    }
    print!("{}", draw(&columns, &rows));
    Ok(())
}

fn remove(args: &OneArgs) -> anyhow::Result<()> {
    let file = ConfigFile::read(&args.file.config)?;
    let name = file.name();
    file.without(&args.name)?;
    told(&format!(
        "took [users.{}] out of {name}; `tidemark reload` closes what the user has open",
        args.name
    ));
    Ok(())
}

fn change(args: &PasswordArgs) -> anyhow::Result<()> {
    let file = ConfigFile::read(&args.one.file.config)?;
    if !file.has(&args.one.name) {
        bail!("{} has no user {}", file.name(), args.one.name);
    }
    let (key, hashes) = key(&args.one.name, args.password)?;
    let name = file.name();
    file.with_other_key(&args.one.name, &hashes)?;
    told(&format!(
        "changed [users.{}] in {name}; from `tidemark reload` on only the new key is good",
        args.one.name
    ));
    show(&args.one.name, key);
    Ok(())
}

/// A key that was made, `None` where it holds a password that was asked for; and what is kept of it.
fn key(name: &str, ask: bool) -> anyhow::Result<(Option<String>, Hashes)> {
    let no_random = "the system has no random bytes to give";
    let key = match ask {
        true => secret::chosen_key(name, &password::ask()?).map_err(anyhow::Error::msg)?,
        false => secret::new_key(name).context(no_random)?,
    };
    let hash = secret::hashed(&key).map_err(anyhow::Error::msg)?;
    let scram = Verifier::new(&key).context(no_random)?;
    Ok(((!ask).then_some(key), Hashes { hash, scram }))
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn show(name: &str, key: Option<String>) {
    match key {
        Some(key) => {
            told(&format!("the key of {name}, shown this once:"));
            println!("{key}");
        }
        None => told(&format!("the key of {name} is {name}.PASSWORD; pages take the two apart")),
    }
}

#[expect(clippy::print_stderr, reason = "for people, beside the result")]
fn told(text: &str) {
    eprintln!("{text}");
}

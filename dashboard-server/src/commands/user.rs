//! `tidemark user add`: a key for a person or a program, and the lines of the configuration that know it.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};

use crate::auth::scram::Verifier;
use crate::auth::{Role, secret};
use crate::config::read;

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
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    tidemark user add lin --role analyst                     print the key and the lines for the configuration\n  \
    tidemark user add lin --role analyst --into tidemark.toml   append the lines, print the key\n  \
    tidemark user add brandwall --role viewer --view 'brand_*'\n\n\
    The key is shown once. It is what a page asks for, the TOKEN of `Authorization: Bearer TOKEN`, and\n\
    the password of the PostgreSQL door. A server reads its users when it starts.")]
struct AddArgs {
    /// Name: letters, digits, `_` and `-`
    name: String,
    /// What the user may do
    #[arg(long, value_enum)]
    role: RoleWord,
    /// A view the user sees, or the beginning of names as `gmv_*`; may be said again [default: all]
    #[arg(long = "view", value_name = "VIEW")]
    views: Vec<String>,
    /// Configuration to append the lines to
    #[arg(long, value_name = "FILE")]
    into: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleWord {
    /// Looks at walls
    Viewer,
    /// Asks in SQL
    Analyst,
    /// Reads figures with their papers
    Media,
    /// Feeds streams and keeps them well
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
/// When the name is none, is taken, or the file cannot be written.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the result of the command")]
pub fn run(args: UserArgs) -> anyhow::Result<ExitCode> {
    let UserCommand::Add(args) = args.command;
    if !secret::is_name(&args.name) {
        bail!("{:?}: a name is up to 64 letters, digits, `_` and `-`", args.name);
    }
    let key = secret::new_key(&args.name).context("the system has no random bytes to give")?;
    let hash = secret::hashed(&key).map_err(anyhow::Error::msg)?;
    let scram = Verifier::new(&key).context("the system has no random bytes to give")?;
    let lines = lines(&args, (&hash, &scram));
    match &args.into {
        Some(file) => {
            append(file, &args.name, &lines)?;
            eprintln!(
                "added [users.{}] to {}; restart the server to let the user in",
                args.name,
                file.display()
            );
        }
        None => println!("{lines}"),
    }
    eprintln!("the key of {}, shown this once:", args.name);
    println!("{key}");
    Ok(ExitCode::SUCCESS)
}

fn lines(args: &AddArgs, (hash, scram): (&str, &Verifier)) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let role = Role::from(args.role).as_str();
    let (hash, scram) = (quoted(hash), quoted(&scram.to_text()));
    let mut lines =
        format!("[users.{}]\nrole = \"{role}\"\nkey = {hash}\nscram = {scram}\n", args.name);
    if !args.views.is_empty() {
        let views: Vec<String> = args.views.iter().map(|view| quoted(view)).collect();
        let _infallible = writeln!(lines, "views = [{}]", views.join(", "));
    }
    lines
}

fn append(file: &Path, name: &str, lines: &str) -> anyhow::Result<()> {
    let before = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
    };
    if read(&before, file)?.users.contains_key(name) {
        bail!("{} has a user {name} already; take [users.{name}] out first", file.display());
    }
    let gap = if before.is_empty() || before.ends_with("\n\n") { "" } else { "\n" };
    let mut out = OpenOptions::new().create(true).append(true).open(file);
    let written =
        out.as_mut().map_err(|error| std::io::Error::new(error.kind(), error.to_string()));
    let written = written.and_then(|out| out.write_all(format!("{gap}{lines}").as_bytes()));
    written.with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Views;
    use crate::config::{Config, Overrides};

    fn add(name: &str, views: &[&str]) -> AddArgs {
        let views = views.iter().map(|view| (*view).to_owned()).collect();
        AddArgs { name: name.to_owned(), role: RoleWord::Analyst, views, into: None }
    }

    #[test]
    fn what_is_appended_is_read_again_as_the_user_it_is_for() {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("tidemark.toml");
        std::fs::write(&file, "[server]\nlisten = \"127.0.0.1:1\"").expect("written");
        let key = secret::new_key("lin").expect("random");
        let hash = secret::hashed(&key).expect("hashed");
        let scram = Verifier::new(&key).expect("random");
        append(&file, "lin", &lines(&add("lin", &["gmv_*", "a\"b"]), (&hash, &scram)))
            .expect("appended");
        append(&file, "wang", &lines(&add("wang", &[]), (&hash, &scram))).expect("appended");
        let raw = read(&std::fs::read_to_string(&file).expect("read"), &file).expect("no mistake");
        let users = Config::check(raw, Overrides::default()).expect("valid").server.users;
        let views = Views::Only(vec!["gmv_*".to_owned(), "a\"b".to_owned()]);
        assert_eq!(
            (users[0].name.as_str(), users[0].role, &users[0].views),
            ("lin", Role::Analyst, &views)
        );
        assert_eq!((users[1].name.as_str(), &users[1].views), ("wang", &Views::All));
        assert!(secret::is_of(&users[0].key_hash, &key) && users[0].scram == Some(scram));
        let again = append(&file, "lin", "").expect_err("taken").to_string();
        assert!(again.contains("has a user lin already"), "{again}");
    }

    #[test]
    fn a_wrong_user_is_refused_with_its_key_and_never_its_secret() {
        let text = "[users.lin]\nrole = \"boss\"\nkey = \"sesame\"\n[users.\"a b\"]\nrole = \"viewer\"\nkey = \"\"\n";
        let raw = read(text, Path::new("x")).expect("reads");
        let mistakes =
            Config::check(raw, Overrides::default()).expect_err("wrong").mistakes.join("\n");
        assert!(
            mistakes.contains("users.lin.role = \"boss\": must be one of viewer, analyst"),
            "{mistakes}"
        );
        assert!(
            mistakes.contains("users.lin.key: 6 letters that are no Argon2id hash"),
            "{mistakes}"
        );
        assert!(
            mistakes.contains("users.\"a b\": a name is up to") && !mistakes.contains("sesame"),
            "{mistakes}"
        );
        let unknown =
            read("[users.lin]\nrol = \"viewer\"\n", Path::new("x")).expect_err("unknown").mistakes;
        assert_eq!(unknown, ["x:2:1: unknown key `rol`; did you mean `role`?"]);
    }
}

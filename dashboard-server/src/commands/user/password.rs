//! A password from whoever types it: never an argument, because those are in the history of the shell and in
//! the list of processes.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// Asks for a password: twice and unseen on a terminal, else the first line of stdin.
///
/// # Errors
/// When there is none, or the two differ.
pub(super) fn ask() -> anyhow::Result<String> {
    if !std::io::stdin().is_terminal() {
        return line();
    }
    let _unseen = Unseen::begin()?;
    let first = asked("password: ")?;
    if asked("again: ")? != first {
        bail!("the two differ; nothing was changed");
    }
    Ok(first)
}

#[expect(clippy::print_stderr, reason = "the question of the command")]
fn asked(question: &str) -> anyhow::Result<String> {
    eprint!("{question}");
    let _shown = std::io::stderr().flush();
    let line = line();
    eprintln!();
    line
}

fn line() -> anyhow::Result<String> {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line).context("no password can be read")?;
    if read == 0 {
        bail!("no password was given");
    }
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// While it lives, the terminal does not show what is typed.
struct Unseen;

impl Unseen {
    fn begin() -> anyhow::Result<Self> {
        if !stty("-echo") {
            bail!(
                "the terminal would show the password; pipe it in: `tidemark user … --password < FILE`"
            );
        }
        Ok(Self)
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        stty("echo");
    }
}

fn stty(mode: &str) -> bool {
    let told = Command::new("stty").arg(mode).stdin(Stdio::inherit()).status();
    told.is_ok_and(|status| status.success())
}

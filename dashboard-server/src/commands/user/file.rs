//! Users in the text of a configuration. The rest of the text stays as its people wrote it; what comes out is
//! read again before it is written, and must say the same but for the user.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::auth::scram::Verifier;
use crate::auth::{Role, Views};
use crate::config::{RawConfig, RawUser, read};

/// What the configuration keeps of a key.
#[derive(Debug)]
pub(super) struct Hashes {
    /// Argon2id.
    pub(super) hash: String,
    /// For the PostgreSQL door.
    pub(super) scram: Verifier,
}

/// A configuration file.
#[derive(Debug)]
pub(super) struct ConfigFile {
    path: PathBuf,
    text: String,
    config: RawConfig,
}

/// The lines of a user.
pub(super) fn section(name: &str, role: Role, hashes: &Hashes, views: &Views) -> String {
    let mut lines = format!("[users.{name}]\nrole = \"{}\"\n{}", role.as_str(), keys(hashes));
    if let Views::Only(views) = views {
        let views: Vec<String> = views.iter().map(|view| quoted(view)).collect();
        let _infallible = writeln!(lines, "views = [{}]", views.join(", "));
    }
    lines
}

fn keys(hashes: &Hashes) -> String {
    format!("key = {}\nscram = {}\n", quoted(&hashes.hash), quoted(&hashes.scram.to_text()))
}

/// JSON's quoting is TOML's too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl ConfigFile {
    /// Reads it.
    ///
    /// # Errors
    /// When it cannot be read, or every mistake in it.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let config = read(&text, path)?;
        Ok(Self { path: path.to_owned(), text, config })
    }

    /// Reads it, or begins one where there is none.
    ///
    /// # Errors
    /// As [`ConfigFile::read`].
    pub(super) fn read_or_new(path: &Path) -> anyhow::Result<Self> {
        if path.exists() {
            return Self::read(path);
        }
        Ok(Self { path: path.to_owned(), text: String::new(), config: RawConfig::default() })
    }

    /// Its name for messages.
    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Its users.
    pub(super) fn users(&self) -> &BTreeMap<String, RawUser> {
        &self.config.users
    }

    /// Whether it has a user.
    pub(super) fn has(&self, name: &str) -> bool {
        self.config.users.contains_key(name)
    }

    /// Appends the lines of a user.
    ///
    /// # Errors
    /// When the file cannot be written, or its end is no place for them.
    pub(super) fn with(self, name: &str, lines: &str) -> anyhow::Result<()> {
        let end = match self.text.as_str() {
            "" => "",
            text if text.ends_with("\n\n") => "",
            text if text.ends_with('\n') => "\n",
            _ => "\n\n",
        };
        let text = format!("{}{end}{lines}", self.text);
        self.replace(name, &text)
    }

    /// Takes the lines of a user out.
    ///
    /// # Errors
    /// When there is none of this name, or its lines are not where `tidemark user` writes them.
    pub(super) fn without(self, name: &str) -> anyhow::Result<()> {
        let lines = self.lines_of(name)?;
        let (before, after) = (self.before(&lines), self.after(&lines));
        let text = match after.is_empty() {
            true => format!("{}\n", before.trim_end()),
            false => format!("{before}{after}"),
        };
        self.replace(name, if text.trim().is_empty() { "" } else { &text })
    }

    /// Puts another key into the lines of a user.
    ///
    /// # Errors
    /// As [`ConfigFile::without`].
    pub(super) fn with_other_key(self, name: &str, hashes: &Hashes) -> anyhow::Result<()> {
        let lines = self.lines_of(name)?;
        let mut section = String::new();
        for line in self.text.get(lines.clone()).unwrap_or_default().lines() {
            match line.split_once('=').map(|(key, _)| key.trim()) {
                Some("key") => section.push_str(&keys(hashes)),
                Some("scram") => {}
                _ => {
                    let _infallible = writeln!(section, "{line}");
                }
            }
        }
        let text = format!("{}{section}{}", self.before(&lines), self.after(&lines));
        self.replace(name, &text)
    }

    fn before(&self, lines: &Range<usize>) -> &str {
        self.text.get(..lines.start).unwrap_or_default()
    }

    fn after(&self, lines: &Range<usize>) -> &str {
        self.text.get(lines.end..).unwrap_or_default()
    }

    /// From its heading to before the next, without the comments that belong to that one.
    fn lines_of(&self, name: &str) -> anyhow::Result<Range<usize>> {
        if !self.has(name) {
            bail!("{} has no user {name}", self.name());
        }
        let heading = |line: &str| {
            let inside = line.trim_start().strip_prefix('[').and_then(|rest| rest.split_once(']'));
            inside.map(|(inside, _)| inside.replace(['"', '\'', ' '], ""))
        };
        let (mut at, mut start, mut end) = (0, None, 0);
        for line in self.text.split_inclusive('\n') {
            let head = heading(line);
            match (start, head) {
                (None, Some(head)) if head == format!("users.{name}") => start = Some(at),
                (Some(_), Some(_)) => break,
                _ => {}
            }
            at += line.len();
            let is_content = !line.trim().is_empty() && !line.trim_start().starts_with('#');
            if start.is_some() && is_content {
                end = at;
            }
        }
        let by_hand = || {
            format!(
                "{}: [users.{name}] is written in a way of its own; change it by hand",
                self.name()
            )
        };
        start.map(|start| start..end).with_context(by_hand)
    }

    /// Writes another text in which nothing but one user is different. Beside the file first, so that a crash
    /// leaves the old one whole.
    fn replace(self, name: &str, text: &str) -> anyhow::Result<()> {
        read(text, &self.path)?;
        if without(text, name)? != without(&self.text, name)? {
            bail!(
                "{}: cannot change user {name} without changing more; do it by hand",
                self.name()
            );
        }
        let mode = std::fs::metadata(&self.path).ok().map(|file| file.permissions());
        let beside = self.path.with_extension("toml.new");
        let cannot = || format!("cannot write {}", self.path.display());
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&beside)
            .with_context(cannot)?;
        if let Some(mode) = mode {
            file.set_permissions(mode).with_context(cannot)?;
        }
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(cannot)?;
        std::fs::rename(&beside, &self.path).with_context(cannot)
    }
}

/// What a text says but for one user.
fn without(text: &str, name: &str) -> anyhow::Result<toml::Table> {
    let mut table: toml::Table = text.parse()?;
    let users = table.get_mut("users").and_then(toml::Value::as_table_mut);
    let is_last = users.is_some_and(|users| {
        users.remove(name);
        users.is_empty()
    });
    if is_last {
        table.remove("users");
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::secret;
    use crate::config::{Config, Overrides};

    const BEFORE: &str = "# Ours.\n[server]\nlisten = \"127.0.0.1:1\" # the wall";

    fn hashes(key: &str) -> Hashes {
        let scram = Verifier::new(key).expect("random");
        Hashes { hash: secret::hashed(key).expect("hashed"), scram }
    }

    fn file(folder: &tempfile::TempDir) -> ConfigFile {
        ConfigFile::read(&folder.path().join("tidemark.toml")).expect("reads")
    }

    fn with_lin_and_wang() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("folder");
        std::fs::write(folder.path().join("tidemark.toml"), BEFORE).expect("written");
        let views = Views::Only(vec!["gmv_*".to_owned(), "a\"b".to_owned()]);
        let lin = section("lin", Role::Analyst, &hashes("lin.sesame"), &views);
        file(&folder).with("lin", &lin).expect("appended");
        let wang = section("wang", Role::Admin, &hashes("wang.sesame"), &Views::All);
        file(&folder).with("wang", &format!("# Of the night shift.\n{wang}")).expect("appended");
        folder
    }

    #[test]
    fn what_is_written_is_read_again_as_the_user_it_is_for() {
        let folder = with_lin_and_wang();
        let text = std::fs::read_to_string(folder.path().join("tidemark.toml")).expect("reads");
        let raw = read(&text, Path::new("x")).expect("no mistake");
        let users = Config::check(raw, Overrides::default()).expect("valid").server.users;
        let views = Views::Only(vec!["gmv_*".to_owned(), "a\"b".to_owned()]);
        let lin = &users[0];
        assert_eq!((lin.name.as_str(), lin.role, &lin.views), ("lin", Role::Analyst, &views));
        assert!(secret::is_of(&lin.key_hash, "lin.sesame") && lin.scram.is_some());
        assert_eq!((users[1].name.as_str(), &users[1].views), ("wang", &Views::All));
        assert!(text.starts_with(BEFORE), "{text}");
    }

    #[test]
    fn taking_users_out_leaves_every_other_line() {
        let folder = with_lin_and_wang();
        file(&folder).without("lin").expect("is there");
        let left = file(&folder);
        assert!(!left.has("lin") && left.has("wang"));
        assert!(left.text.contains("# Of the night shift.\n[users.wang]"), "{}", left.text);
        left.without("wang").expect("is there");
        let text = file(&folder).text;
        assert_eq!(text, format!("{BEFORE}\n\n\n# Of the night shift.\n"));
        let error = file(&folder).without("wang").expect_err("is gone").to_string();
        assert!(error.contains("has no user wang"), "{error}");
    }

    #[test]
    fn another_key_leaves_role_and_views() {
        let folder = with_lin_and_wang();
        let before = file(&folder).users()["lin"].clone();
        file(&folder).with_other_key("lin", &hashes("lin.another")).expect("is there");
        let after = file(&folder).users()["lin"].clone();
        assert_eq!((&after.role, &after.views), (&before.role, &before.views));
        assert!(secret::is_of(&after.key, "lin.another") && after.scram != before.scram);
        assert!(file(&folder).text.contains("# the wall"));
    }

    #[test]
    fn a_user_written_in_another_way_is_left_to_people() {
        let folder = tempfile::tempdir().expect("folder");
        let text = "users = { lin = { role = \"viewer\", key = \"x\" } }\n";
        std::fs::write(folder.path().join("tidemark.toml"), text).expect("written");
        let error = file(&folder).without("lin").expect_err("inline").to_string();
        assert!(error.contains("change it by hand"), "{error}");
        assert_eq!(file(&folder).text, text);
    }

    #[test]
    fn a_wrong_user_is_refused_with_its_key_and_never_its_secret() {
        let text = "[users.lin]\nrole = \"boss\"\nkey = \"sesame\"\n[users.\"a b\"]\nrole = \"viewer\"\nkey = \"\"\n";
        let raw = read(text, Path::new("x")).expect("reads");
        let mistakes =
            Config::check(raw, Overrides::default()).expect_err("wrong").mistakes.join("\n");
        for told in [
            "users.lin.role = \"boss\": must be one of viewer, analyst",
            "users.lin.key: 6 letters that are no Argon2id hash",
            "users.\"a b\": a name is up to",
        ] {
            assert!(mistakes.contains(told), "{mistakes}");
        }
        assert!(!mistakes.contains("sesame"), "{mistakes}");
        let unknown =
            read("[users.lin]\nrol = \"viewer\"\n", Path::new("x")).expect_err("unknown").mistakes;
        assert_eq!(unknown, ["x:2:1: unknown key `rol`; did you mean `role`?"]);
    }
}

//! What the plain page is asked for, and what it asks for next.

use std::collections::BTreeMap;

use tidemark_pipeline::model::Space;

use super::super::error::ApiError;
use crate::websocket::viewer::named;

/// After as many looks a wall that fell back to this page is tried again; it is longer gone by then than what it takes
/// for the same break (`fallback.ts`), so one that is still broken reloads once and comes back here.
const LOOKS: u64 = 7;

/// The query of `/lite`.
pub(super) struct Asked(pub(super) BTreeMap<String, String>);

impl Asked {
    /// A value of the query.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A value of the query, or else of the address of the wall that fell back.
    pub(super) fn own_or_of_wall(&self, name: &str) -> Option<String> {
        let of_wall = || {
            let (_, query) = self.wall()?.split_once('?')?;
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        self.get(name).map(str::to_owned).or_else(of_wall)
    }

    /// Whether every view is wanted and not a screen.
    pub(super) fn wants_views(&self) -> bool {
        self.get("views").is_some()
    }

    /// The result space: a wall that shows a rehearsal falls back to its rehearsal.
    ///
    /// # Errors
    /// When there is none of this name.
    pub(super) fn space(&self) -> Result<Space, ApiError> {
        match self.own_or_of_wall("space") {
            None => Ok(Space::Live),
            Some(name) => named(&name).map_err(|error| ApiError::not_found(error.to_string())),
        }
    }

    /// The screen that is named, or that of the wall that fell back.
    pub(super) fn screen(&self) -> Option<&str> {
        let of_wall = self.wall().and_then(|wall| wall.strip_prefix("/screens/"));
        self.get("screen").or(of_wall.and_then(|rest| rest.split(['/', '?']).next()))
    }

    /// The address of the wall that fell back: a path of this server, and no address of another's.
    fn wall(&self) -> Option<&str> {
        let is_own =
            |path: &&str| path.starts_with('/') && !path.starts_with("//") && !path.contains('\\');
        self.get("wall").filter(is_own)
    }

    /// What is asked for once more, or the wall after [`LOOKS`].
    pub(super) fn next_page(&self) -> String {
        let Some(wall) = self.wall() else {
            return page(self.kept(&["screen", "views", "space", "lang"]));
        };
        let looks = self.get("looks").and_then(|looks| looks.parse::<u64>().ok()).unwrap_or(0) + 1;
        if looks >= LOOKS {
            return wall.to_owned();
        }
        let looks = looks.to_string();
        let mut pairs = self.kept(&["screen", "views", "space", "lang"]);
        pairs.extend([("wall", wall), ("looks", looks.as_str())]);
        page(pairs)
    }

    /// Another page of the same space, in a language.
    pub(super) fn other_page(&self, of: &[(&str, &str)]) -> String {
        let space = self.own_or_of_wall("space");
        page(of.iter().copied().chain(space.as_deref().map(|space| ("space", space))))
    }

    fn kept<'a>(&'a self, names: &[&'a str]) -> Vec<(&'a str, &'a str)> {
        names.iter().filter_map(|name| Some((*name, self.get(name)?))).collect()
    }
}

fn page<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    match form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish() {
        query if query.is_empty() => "/lite".to_owned(),
        query => format!("/lite?{query}"),
    }
}

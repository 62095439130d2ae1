//! Roles, what each may do, and which right each endpoint needs. What is not listed is for admins.

use std::collections::BTreeSet;

use axum::http::Method;

/// What a person or program is to this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Looks at walls.
    Viewer,
    /// Asks questions in SQL.
    Analyst,
    /// Reads figures with their papers, to publish them.
    Media,
    /// Feeds streams and keeps them well.
    Operator,
    /// Everything.
    Admin,
}

/// What someone may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// See the figures of views.
    Look,
    /// Ask in SQL, and read the ledgers, which hold raw records.
    Query,
    /// Read a figure with its papers.
    Headline,
    /// Write records.
    Feed,
    /// Read metrics, reload, deal with dead letters.
    Operate,
    /// Pair walls and revoke them.
    Pair,
    /// What no other right is about.
    Administer,
}

impl Role {
    /// All roles, by the words of the configuration.
    pub const ALL: [(&'static str, Self); 5] = [
        ("viewer", Self::Viewer),
        ("analyst", Self::Analyst),
        ("media", Self::Media),
        ("operator", Self::Operator),
        ("admin", Self::Admin),
    ];

    /// The role of this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(name, _)| *name == word).map(|(_, role)| role)
    }

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, role)| *role == self).map_or("", |(name, _)| name)
    }

    /// Whether the role has a right.
    #[must_use]
    pub fn may(self, right: Right) -> bool {
        match self {
            Self::Viewer => right == Right::Look,
            Self::Analyst => matches!(right, Right::Look | Right::Query | Right::Headline),
            Self::Media => matches!(right, Right::Look | Right::Headline),
            Self::Operator => {
                matches!(right, Right::Look | Right::Query | Right::Feed | Right::Operate)
            }
            Self::Admin => true,
        }
    }
}

impl Right {
    /// What it allows, for messages.
    #[must_use]
    pub fn told(self) -> &'static str {
        match self {
            Self::Look => "seeing figures",
            Self::Query => "SQL and the ledgers",
            Self::Headline => "figures with their papers",
            Self::Feed => "writing records",
            Self::Operate => "operating the server",
            Self::Pair => "pairing walls",
            Self::Administer => "administering the server",
        }
    }
}

/// The right that a request needs; `None` for what holds no figure: the page itself, its way in, and what
/// probes ask. The WebSocket has its ticket.
#[must_use]
pub fn right_of(method: &Method, path: &str) -> Option<Right> {
    const OPEN: [&str; 6] = [
        "/api/ws",
        "/api/session",
        "/api/login",
        "/api/logout",
        "/api/pairing",
        "/api/pairing/claim",
    ];
    if OPEN.contains(&path) {
        return None;
    }
    if path == "/metrics" {
        return Some(Right::Operate);
    }
    if path == "/lite" {
        return Some(Right::Look);
    }
    let Some(resource) = path.strip_prefix("/api/") else { return None };
    let head = resource.split('/').next().unwrap_or("");
    Some(match head {
        "views" | "screens" | "events" | "ws-ticket" => Right::Look,
        "headline" => Right::Headline,
        "sql" | "queries" | "examples" => Right::Query,
        "ledgers" if method == Method::GET => Right::Query,
        "ledgers" | "reload" => Right::Operate,
        "ingest" => Right::Feed,
        "devices" => Right::Pair,
        _ => Right::Administer,
    })
}

/// Which views someone sees.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Views {
    /// All there are and will be.
    #[default]
    All,
    /// Those of these names; a name that ends with `*` stands for all that begin so.
    Only(Vec<String>),
    /// Some of them without those that the role is shown only in part, or not at all: frames have whole views.
    Without {
        /// What the user sees.
        of: Box<Views>,
        /// What the role does not.
        hidden: BTreeSet<String>,
    },
}

impl Views {
    /// Whether a view is among them.
    #[must_use]
    pub fn has(&self, view: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => is_among(names, view),
            Self::Without { of, hidden } => !hidden.contains(view) && of.has(view),
        }
    }

    /// Whether nothing is left out.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::All
    }

    /// Whether the user sees all views that its role may, so that what is about all of them at once, as the ledgers,
    /// may be seen too.
    #[must_use]
    pub fn spans_all(&self) -> bool {
        match self {
            Self::All => true,
            Self::Only(_) => false,
            Self::Without { of, .. } => of.spans_all(),
        }
    }

    /// What the user sees, whatever its role is shown of that.
    #[must_use]
    pub fn of_user(&self) -> &Self {
        match self {
            Self::Without { of, .. } => of.of_user(),
            other => other,
        }
    }

    /// These without some.
    #[must_use]
    pub fn without(self, hidden: &BTreeSet<String>) -> Self {
        if hidden.is_empty() {
            return self;
        }
        Self::Without { of: Box::new(self), hidden: hidden.clone() }
    }
}

/// Whether a name is in a list of names and beginnings of names (`gmv_*`).
#[must_use]
pub fn is_among(names: &[String], name: &str) -> bool {
    names.iter().any(|known| match known.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => known == name,
    })
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Name of the user.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// What it sees.
    pub views: Views,
    /// Screens it shows, with the views that these need; all when not given. A wall is paired for some.
    pub screens: Option<Vec<String>>,
    /// Whether it is a paired wall and no person.
    pub is_device: bool,
}

impl Principal {
    /// Whether a request with this right may go on to a path. Raw records are of all views at once, so
    /// whoever sees only some of them does not read those; nor does it pair a wall that would see more.
    #[must_use]
    pub fn may(&self, right: Right, path: &str) -> bool {
        let of_all = path.starts_with("/api/ledgers") || right == Right::Pair;
        self.role.may(right) && (self.views.spans_all() || !of_all)
    }

    /// Whoever reaches a server without users: it listens on this machine only.
    #[must_use]
    pub fn anyone() -> Self {
        Self {
            name: String::new(),
            role: Role::Admin,
            views: Views::All,
            screens: None,
            is_device: false,
        }
    }

    /// Whether it may have a screen.
    #[must_use]
    pub fn shows(&self, screen: &str) -> bool {
        self.screens.as_ref().is_none_or(|screens| screens.iter().any(|name| name == screen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_do_what_it_is_for_and_nothing_else() {
        let all = [
            (Method::GET, "/api/views/gmv_day"),
            (Method::POST, "/api/ws-ticket"),
            (Method::GET, "/lite"),
            (Method::GET, "/api/headline/gmv_day"),
            (Method::POST, "/api/sql"),
            (Method::GET, "/api/ledgers/dead_letters"),
            (Method::POST, "/api/ledgers/dead_letters/remove"),
            (Method::POST, "/api/reload"),
            (Method::GET, "/metrics"),
            (Method::POST, "/api/ingest/orders"),
            (Method::GET, "/api/devices"),
            (Method::POST, "/api/devices/a/revoke"),
            (Method::POST, "/api/something/new"),
        ];
        let allowed = |role: Role| -> String {
            let may = |(method, path): &(Method, &str)| {
                right_of(method, path).is_none_or(|right| role.may(right))
            };
            all.iter().map(|asked| if may(asked) { 'x' } else { '.' }).collect()
        };
        assert_eq!(allowed(Role::Viewer), "xxx..........");
        assert_eq!(allowed(Role::Media), "xxxx.........");
        assert_eq!(allowed(Role::Analyst), "xxxxxx.......");
        assert_eq!(allowed(Role::Operator), "xxx.xxxxxx...");
        assert_eq!(allowed(Role::Admin), "xxxxxxxxxxxxx");
    }

    #[test]
    fn the_page_and_its_way_in_need_no_right() {
        for path in [
            "/",
            "/screens/overview",
            "/assets/x.js",
            "/api/login",
            "/api/session",
            "/api/pairing",
            "/devices",
            "/healthz",
        ] {
            assert_eq!(right_of(&Method::GET, path), None, "{path}");
        }
    }

    #[test]
    fn views_are_named_whole_or_by_their_beginning() {
        let views = Views::Only(vec!["gmv_day".to_owned(), "brand_*".to_owned()]);
        assert!(views.has("gmv_day") && views.has("brand_ranks"));
        assert!(!views.has("gmv_day_by_shop") && !views.has("late_orders"));
        assert!(Views::All.has("late_orders"));
    }

    #[test]
    fn what_a_role_does_not_see_is_taken_from_what_its_user_sees() {
        let hidden = BTreeSet::from(["gmv_by_buyer".to_owned()]);
        let all = Views::All.without(&hidden);
        assert!(all.has("gmv_day") && !all.has("gmv_by_buyer"));
        assert!(all.spans_all() && !all.is_all(), "the ledgers are for who sees all its role may");
        let some = Views::Only(vec!["gmv_by_*".to_owned()]).without(&hidden);
        assert!(some.has("gmv_by_city") && !some.has("gmv_by_buyer") && !some.spans_all());
        assert_eq!(Views::All.without(&BTreeSet::new()), Views::All);
    }
}

//! The few words of the plain page, in both languages.

use axum::http::{HeaderMap, header};
use serde_json::Value;
use tidemark_pipeline::model::Space;
use tidemark_pipeline::results::{Mode, State};

use super::asked::Asked;

/// A language of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    /// Chinese, as the walls are unless they say otherwise.
    Zh,
    /// English.
    En,
}

impl Language {
    /// `lang` of the address, or else of the wall that fell back, or else what the browser would like.
    pub(super) fn wanted(asked: &Asked, headers: &HeaderMap) -> Self {
        let own = asked.own_or_of_wall("lang");
        let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        let said = own.as_deref().or(accepted).unwrap_or("zh");
        match said.get(..2) {
            Some("en") => Self::En,
            _ => Self::Zh,
        }
    }

    /// As HTML names it, and as the texts of a screen do.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Zh => "zh",
            Self::En => "en",
        }
    }

    /// The word of this language.
    pub(super) fn of(self, zh: &'static str, en: &'static str) -> &'static str {
        match self {
            Self::Zh => zh,
            Self::En => en,
        }
    }

    /// A text of a screen file, which has both; empty where it is none.
    pub(super) fn text(self, words: Option<&Value>) -> &str {
        words.and_then(|words| words.get(self.code())).and_then(Value::as_str).unwrap_or("")
    }
}

/// What the figures are of.
pub(super) fn mode(mode: Mode, space: Space, language: Language) -> &'static str {
    match mode {
        // Orders of a load test are none, whatever the server is for.
        Mode::Live if space == Space::Shadow => language.of("压测订单", "load-test orders"),
        Mode::Live => language.of("正式数据", "real orders"),
        Mode::Demo => language.of("演示数据", "DEMO"),
        Mode::Replay => language.of("回放", "REPLAY"),
    }
}

/// How fresh the figures are.
pub(super) fn state(state: State, language: Language) -> &'static str {
    match state {
        State::Live => language.of("实时", "LIVE"),
        State::CatchingUp => language.of("追赶中", "CATCHING UP"),
        State::Quiet => language.of("无新订单", "QUIET"),
        State::Paused => language.of("已暂停", "PAUSED"),
        State::Stale => language.of("数据滞后", "STALE"),
    }
}

/// A mark of a window, with what it promises.
pub(super) fn mark(mark: &str, language: Language) -> &str {
    match mark {
        "provisional" => language.of("暂计", "provisional"),
        "settled" => language.of("已定", "settled"),
        "final" => language.of("终值", "final"),
        other => other,
    }
}

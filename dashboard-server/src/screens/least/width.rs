//! How wide a text is before it is drawn, as `web/src/format/width.ts` reckons it: never below what is drawn.

/// A language that the wall is shown in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::screens) enum Language {
    /// Chinese: its typeface has wider letters.
    Zh,
    /// English.
    En,
}

impl Language {
    /// Both: a wall is switched by a key.
    pub(in crate::screens) const BOTH: [Self; 2] = [Self::Zh, Self::En];

    /// As texts of a screen name it.
    pub(in crate::screens) fn code(self) -> &'static str {
        match self {
            Self::Zh => "zh",
            Self::En => "en",
        }
    }

    /// The one of two words, by its width at one em.
    pub(super) fn of(self, zh: f64, en: f64) -> f64 {
        match self {
            Self::Zh => zh,
            Self::En => en,
        }
    }
}

/// What the typeface of Chinese words makes of Latin letters, and of digits and marks.
const IN_CHINESE: (f64, f64) = (1.5, 1.3);

/// Width of words at one em.
pub(in crate::screens) fn word_ems(text: &str, language: Language) -> f64 {
    text.chars().map(|letter| word_em(letter, language)).sum()
}

fn word_em(letter: char, language: Language) -> f64 {
    let is_zh = language == Language::Zh;
    if letter >= '\u{2e80}' || (is_zh && letter >= '\u{2010}') {
        return 1.0;
    }
    let (letters, others) = if is_zh { IN_CHINESE } else { (1.0, 1.0) };
    latin_em(letter) * if letter.is_ascii_alphabetic() { letters } else { others }
}

fn latin_em(letter: char) -> f64 {
    match letter {
        'i' | 'j' | 'l' | '\'' | '.' => 0.22,
        'I' => 0.23,
        ' ' => 0.2,
        ':' => 0.26,
        '-' => 0.33,
        't' => 0.29,
        'f' => 0.3,
        'r' => 0.32,
        '*' => 0.37,
        'z' => 0.38,
        's' => 0.4,
        'm' | 'W' => 0.67,
        'w' => 0.6,
        'M' => 0.54,
        '&' => 0.59,
        '%' => 0.78,
        '¥' => 0.53,
        'A'..='Z' => 0.51,
        '0'..='9' => 0.475,
        _ => 0.45,
    }
}

/// Width of a figure at one em, in the typeface of figures.
pub(in crate::screens) fn figure_ems(text: &str) -> f64 {
    text.chars().map(figure_em).sum()
}

fn figure_em(letter: char) -> f64 {
    match letter {
        '0'..='9' => 0.475,
        '%' => 0.78,
        'm' | 'w' | 'W' => 0.7,
        ',' | ' ' => 0.2,
        '.' => 0.22,
        '-' => 0.3,
        ':' => 0.26,
        letter if letter < '\u{2e80}' => 0.54,
        _ => 1.0,
    }
}

//! What may stand in a screen file, as tables: the one place that knows the keys.
//!
//! The walk reads a file along these shapes, so that an unknown key, a missing language and a
//! column of the wrong type are found in every panel alike. `sql/screens/README.md` says the same
//! in words; a test compares the two.

/// What a value must be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Of {
    /// `{ zh = "…", en = "…" }`, both there and neither empty.
    Words,
    /// A text that is not empty.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number within bounds.
    Number(i64, i64),
    /// A number between 0 and 1.
    Part,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// The name of a view in the catalogue. Columns beside and below it are looked up there.
    View,
    /// The same of a view of which every row counts, whatever its window.
    WholeView,
    /// The name of a view with one row a window: what shows one figure would show any of several.
    OneRowView,
    /// A column of the nearest view.
    Column(Needs),
    /// The name of a map pack.
    MapPack,
    /// What keys are called: `"map:PACK"`, or a list of `[names.LIST]`.
    Names,
    /// Numbers of scenes, from 1.
    Scenes,
    /// A table of a shape.
    Table(Shape),
    /// At least one and at most so many tables of a shape.
    List(Shape, usize),
}

/// What a column must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// Integers or decimals.
    Figure,
    /// Instants.
    Time,
    /// Anything.
    Any,
}

/// A key of a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) of: Of,
    pub(super) needed: bool,
}

/// The keys of a table.
pub(super) type Shape = &'static [Field];

const fn must(name: &'static str, of: Of) -> Field {
    Field { name, of, needed: true }
}

const fn may(name: &'static str, of: Of) -> Field {
    Field { name, of, needed: false }
}

/// Panels of a screen.
pub(super) const PANELS_MAX: usize = 40;
/// Windows asked for of a view: a day of minutes twice over.
const LAST_MAX: i64 = 2_880;

/// The whole file, apart from `panel`, `layout` and `names`, which have rules of their own.
pub(super) const SCREEN: Shape = &[
    must("version", Of::Number(1, 1)),
    must("title", Of::Words),
    may("subtitle", Of::Words),
    must("time-zone", Of::Table(TIME_ZONE)),
    must("currency", Of::Table(CURRENCY)),
    may("window", Of::Table(WINDOW)),
    may("last", Of::Number(1, LAST_MAX)),
    may("rising", Of::Choice(&["locale", "red", "blue"])),
    must("footer", Of::Table(FOOTER)),
    may("scene", Of::List(SCENE, 9)),
    may("campaign", Of::Table(CALENDAR)),
];

const TIME_ZONE: Shape = &[must("offset-minutes", Of::Number(-840, 840)), must("label", Of::Words)];
const CURRENCY: Shape =
    &[must("code", Of::Text), must("symbol", Of::Text), must("name", Of::Words)];
const WINDOW: Shape = &[may("start", Of::Text), may("end", Of::Text)];
const FOOTER: Shape =
    &[must("scope", Of::Words), must("source", Of::Words), may("map-approval", Of::Text)];
const SCENE: Shape = &[must("title", Of::Words), must("seconds", Of::Number(5, 86_400))];

/// What every panel has.
pub(super) const PANEL: Shape = &[
    must("name", Of::Text),
    must("kind", Of::Choice(&[])),
    must("title", Of::Words),
    may("stale-after-ms", Of::Number(2_000, 86_400_000)),
    may("scenes", Of::Scenes),
];

const VALUE: Shape = &[
    must("column", Of::Column(Needs::Figure)),
    must("unit", Of::Choice(&["money", "count", "percent", "milliseconds"])),
    may("style", Of::Choice(&["compact", "plain"])),
    may("label", Of::Words),
];
/// What the same figure came to in each window of a view with short ones.
const SPARK: Shape = &[must("view", Of::OneRowView), must("column", Of::Column(Needs::Figure))];
const FIGURE: Shape = &[
    must("label", Of::Words),
    must("view", Of::OneRowView),
    must("value", Of::Table(VALUE)),
    may("pick", Of::Choice(&["newest", "complete"])),
    may("spark", Of::Table(SPARK)),
    may("change", Of::Flag),
];
/// The same figure last year, at the same time of its campaign, from a view with one row.
const AGAINST: Shape = &[
    must("view", Of::OneRowView),
    must("growth", Of::Column(Needs::Figure)),
    must("label-zh", Of::Column(Needs::Any)),
    must("label-en", Of::Column(Needs::Any)),
    may("target", Of::Column(Needs::Figure)),
    may("forecast", Of::Column(Needs::Figure)),
    may("forecast-low", Of::Column(Needs::Figure)),
    may("forecast-high", Of::Column(Needs::Figure)),
];
const CURVE: Shape = &[
    must("view", Of::OneRowView),
    must("value", Of::Table(VALUE)),
    must("label-zh", Of::Column(Needs::Any)),
    must("label-en", Of::Column(Needs::Any)),
    may("target", Of::Column(Needs::Figure)),
];
const CALENDAR: Shape = &[
    must("view", Of::WholeView),
    must("starts", Of::Column(Needs::Time)),
    must("ends", Of::Column(Needs::Time)),
    must("title-zh", Of::Column(Needs::Any)),
    must("title-en", Of::Column(Needs::Any)),
];
/// Milestones that are no level of the total, each with a name.
const MILESTONE: Shape = &[
    must("view", Of::View),
    must("reached", Of::Column(Needs::Time)),
    may("step", Of::Column(Needs::Figure)),
    must("label-zh", Of::Column(Needs::Any)),
    must("label-en", Of::Column(Needs::Any)),
];
const COUNT: Shape = &[must("column", Of::Column(Needs::Figure)), must("label", Of::Words)];
const SINGLE: Shape = &[must("view", Of::OneRowView), must("value", Of::Table(VALUE))];
const RATE: Shape = &[
    must("view", Of::OneRowView),
    must("value", Of::Table(VALUE)),
    may("pick", Of::Choice(&["newest", "complete"])),
];
const CITIES: Shape = &[
    must("view", Of::View),
    must("key", Of::Column(Needs::Any)),
    may("region", Of::Column(Needs::Any)),
    must("value", Of::Table(VALUE)),
];
const FLOWS: Shape = &[
    must("view", Of::View),
    must("from", Of::Column(Needs::Any)),
    must("to", Of::Column(Needs::Any)),
    must("value", Of::Table(VALUE)),
];
const COLUMN: Shape = &[
    must("column", Of::Column(Needs::Any)),
    must("format", Of::Choice(&["text", "money", "count", "clock"])),
    may("names", Of::Names),
    may("weight", Of::Number(1, 100)),
];
const CHECK: Shape = &[
    must("label", Of::Words),
    must("view", Of::View),
    must("part", Of::Column(Needs::Figure)),
    must("whole", Of::Column(Needs::Figure)),
    must("warn-above", Of::Part),
    must("bad-above", Of::Part),
];
const NAMED: Shape = &[
    must("view", Of::View),
    must("key", Of::Column(Needs::Any)),
    must("value", Of::Table(VALUE)),
    may("limit", Of::Number(1, 100)),
    may("names", Of::Names),
];

/// Kinds of panels, in the order of the README, with the keys each has beside [`PANEL`].
pub(super) const KINDS: &[(&str, &[Shape])] = &[
    (
        "odometer",
        &[
            SINGLE,
            &[
                may("notes", Of::List(FIGURE, 6)),
                may("speed", Of::Words),
                may("against", Of::Table(AGAINST)),
            ],
        ],
    ),
    ("kpi", &[&[must("figures", Of::List(FIGURE, 8))]]),
    (
        "trend",
        &[
            SINGLE,
            &[may("scale", Of::Choice(&["linear", "root"])), may("reference", Of::Table(CURVE))],
        ],
    ),
    (
        "rank",
        &[
            NAMED,
            &[
                may("within", Of::Column(Needs::Any)),
                may("label-zh", Of::Column(Needs::Any)),
                may("label-en", Of::Column(Needs::Any)),
                may("share", Of::Flag),
            ],
        ],
    ),
    ("share", &[NAMED]),
    (
        "map",
        &[&[
            must("view", Of::View),
            must("map", Of::MapPack),
            must("key", Of::Column(Needs::Any)),
            must("value", Of::Table(VALUE)),
            may("cities", Of::Table(CITIES)),
            may("flows", Of::Table(FLOWS)),
        ]],
    ),
    (
        "globe",
        &[&[
            must("view", Of::View),
            must("map", Of::MapPack),
            must("home", Of::Text),
            must("key", Of::Column(Needs::Any)),
            must("value", Of::Table(VALUE)),
        ]],
    ),
    (
        "ticker",
        &[&[
            must("view", Of::WholeView),
            must("time", Of::Column(Needs::Time)),
            must("columns", Of::List(COLUMN, 6)),
            may("rate", Of::Table(RATE)),
        ]],
    ),
    (
        "milestones",
        &[&[
            must("view", Of::View),
            must("level", Of::Column(Needs::Figure)),
            must("reached", Of::Column(Needs::Time)),
            may("step", Of::Column(Needs::Figure)),
            may("label-zh", Of::Column(Needs::Any)),
            may("label-en", Of::Column(Needs::Any)),
            may("before", Of::Column(Needs::Figure)),
            must("total", Of::Table(SINGLE)),
            may("named", Of::Table(MILESTONE)),
        ]],
    ),
    (
        "accounting",
        &[&[
            must("view", Of::View),
            must("total", Of::Table(COUNT)),
            must("parts", Of::List(COUNT, 12)),
        ]],
    ),
    ("scorecard", &[&[must("checks", Of::List(CHECK, 12))]]),
    ("text", &[&[must("words", Of::Words)]]),
];

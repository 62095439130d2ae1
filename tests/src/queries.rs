//! The queries that are compared: each as SQL for the engine and as plain numbers for the reference.

use std::fmt::Write as _;

use crate::orders::Shape;

/// Windows of a query, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `TUMBLE`.
    Tumble {
        /// Length.
        size: i64,
    },
    /// `HOP`.
    Hop {
        /// From one start to the next.
        slide: i64,
        /// Length.
        size: i64,
    },
    /// `CUMULATE`.
    Cumulate {
        /// From one end to the next.
        step: i64,
        /// Longest length.
        size: i64,
    },
    /// `SESSION` by shop.
    Session {
        /// Silence that ends it.
        gap: i64,
    },
    /// No window.
    Ever,
}

/// What a query asks of the orders of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// Counts, exact sums, extremes, means, distinct buyers.
    Money,
    /// Percentiles by the sketch.
    Spread,
    /// What depends on the order of the log: first, last, lists.
    Arrivals,
    /// Sums of doubles.
    Weight,
    /// The two kinds of a shop with the most orders, by ROW_NUMBER. Its columns are not in the order of the keys,
    /// in which rows come: where ties were not broken by column, the rows would be others.
    Top,
    /// The same by ORDER BY and LIMIT.
    Limit,
    /// Money by region, which a reference table knows of most shops, at the table's rates.
    Region {
        /// Whether orders of shops without a region stay.
        is_left: bool,
    },
    /// Of windows of this length over the windows: how many there are with orders, and the most orders of one.
    Windows {
        /// Length.
        size: i64,
    },
}

impl Asks {
    /// The kind of query in a word, for counts.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Money => "money",
            Self::Spread => "percentiles",
            Self::Arrivals => "first, last, lists",
            Self::Weight => "sums of doubles",
            Self::Top => "top-N",
            Self::Limit => "LIMIT",
            Self::Region { .. } => "reference joins",
            Self::Windows { .. } => "windows over windows",
        }
    }
}

/// Region and rate, in hundredths, of the shops that the reference table knows, by number.
pub const REGIONS: [(u8, &str, i64); 3] = [(0, "north", 100), (1, "south", 785), (2, "north", 91)];

/// One query.
#[derive(Debug, Clone)]
pub struct Query {
    /// Its name.
    pub name: &'static str,
    /// Its windows.
    pub kind: Kind,
    /// The window's offset in milliseconds.
    pub offset_ms: i64,
    /// Only orders of three pieces and more.
    pub is_filtered: bool,
    /// Grouping sets over (shop, kind): which of the two are keys.
    pub sets: &'static [(bool, bool)],
    /// `allowed-lateness` in milliseconds.
    pub allowed_ms: i64,
    /// What it asks of a window.
    pub asks: Asks,
}

const NO_KEY: &[(bool, bool)] = &[(false, false)];
const BY_SHOP: &[(bool, bool)] = &[(true, false)];
const CUBE: &[(bool, bool)] = &[(true, true), (true, false), (false, true), (false, false)];
const DAY_MS: i64 = 86_400_000;

/// The queries for logs of this shape.
#[must_use]
pub fn queries(shape: Shape) -> Vec<Query> {
    let unit = shape.unit_ms;
    let plain = Query {
        name: "",
        kind: Kind::Ever,
        offset_ms: 0,
        is_filtered: false,
        sets: BY_SHOP,
        allowed_ms: 0,
        asks: Asks::Money,
    };
    let hop = Kind::Hop { slide: 2 * unit, size: 6 * unit };
    let cumulate = Kind::Cumulate { step: 2 * unit, size: 10 * unit };
    let mut all = vec![
        Query { name: "running_total", ..plain.clone() },
        Query {
            name: "tumble_all",
            kind: Kind::Tumble { size: 5 * unit },
            sets: NO_KEY,
            ..plain.clone()
        },
        Query {
            name: "tumble_shop",
            kind: Kind::Tumble { size: 3 * unit },
            offset_ms: unit,
            ..plain.clone()
        },
        Query {
            name: "tumble_cube",
            kind: Kind::Tumble { size: 5 * unit },
            is_filtered: true,
            sets: CUBE,
            ..plain.clone()
        },
        Query {
            name: "tumble_patient",
            kind: Kind::Tumble { size: 4 * unit },
            allowed_ms: 6 * unit,
            ..plain.clone()
        },
        Query { name: "hop_shop", kind: hop, ..plain.clone() },
        Query {
            name: "hop_patient",
            kind: hop,
            is_filtered: true,
            allowed_ms: 3 * unit,
            ..plain.clone()
        },
        Query { name: "cumulate_shop", kind: cumulate, ..plain.clone() },
        Query {
            name: "cumulate_cube",
            kind: cumulate,
            is_filtered: true,
            sets: CUBE,
            offset_ms: 2 * unit,
            ..plain.clone()
        },
        Query {
            name: "cumulate_patient",
            kind: cumulate,
            sets: NO_KEY,
            allowed_ms: 5 * unit,
            ..plain.clone()
        },
    ];
    all.extend(asking(&plain, unit));
    if unit == 3_600_000 {
        all.push(Query {
            name: "tumble_day",
            kind: Kind::Tumble { size: DAY_MS },
            ..plain.clone()
        });
        all.push(Query {
            name: "cumulate_day",
            kind: Kind::Cumulate { step: unit, size: DAY_MS },
            sets: NO_KEY,
            ..plain.clone()
        });
    }
    all.push(Query {
        name: "session_shop",
        kind: Kind::Session { gap: 2 * unit },
        ..plain.clone()
    });
    all.push(Query {
        name: "session_filtered",
        kind: Kind::Session { gap: 4 * unit },
        is_filtered: true,
        ..plain
    });
    all.sort_by_key(|query| query.name);
    all
}

/// Queries that ask for something else than money.
fn asking(plain: &Query, unit: i64) -> Vec<Query> {
    let tumble = |units: i64| Kind::Tumble { size: units * unit };
    let hop = Kind::Hop { slide: 2 * unit, size: 4 * unit };
    let cumulate = Kind::Cumulate { step: 2 * unit, size: 6 * unit };
    let ask =
        |name: &'static str, asks: Asks, kind: Kind| Query { name, asks, kind, ..plain.clone() };
    let joined =
        |name: &'static str, is_left: bool, kind: Kind| ask(name, Asks::Region { is_left }, kind);
    vec![
        ask("spread_ever", Asks::Spread, Kind::Ever),
        Query { allowed_ms: 3 * unit, ..ask("spread_hop", Asks::Spread, hop) },
        Query { sets: NO_KEY, ..ask("spread_cumulate", Asks::Spread, cumulate) },
        Query { allowed_ms: 4 * unit, ..ask("arrivals_tumble", Asks::Arrivals, tumble(5)) },
        Query { sets: NO_KEY, ..ask("arrivals_hop", Asks::Arrivals, hop) },
        ask("arrivals_session", Asks::Arrivals, Kind::Session { gap: 3 * unit }),
        ask("weight_hop", Asks::Weight, hop),
        Query { sets: NO_KEY, ..ask("weight_cumulate", Asks::Weight, cumulate) },
        ask("weight_ever", Asks::Weight, Kind::Ever),
        Query { allowed_ms: 2 * unit, ..ask("top_tumble", Asks::Top, tumble(4)) },
        ask("top_cumulate", Asks::Top, cumulate),
        Query { is_filtered: true, ..ask("limit_hop", Asks::Limit, hop) },
        ask("limit_tumble", Asks::Limit, tumble(6)),
        joined("region_tumble", false, tumble(4)),
        Query { allowed_ms: 3 * unit, ..joined("region_hop", true, hop) },
        ask("windows_tumble", Asks::Windows { size: 4 * unit }, tumble(1)),
        Query {
            is_filtered: true,
            ..ask("windows_day", Asks::Windows { size: 12 * unit }, tumble(3))
        },
    ]
}

impl Query {
    /// The statement that creates the view.
    #[must_use]
    pub fn sql(&self, shape: Shape) -> String {
        format!(
            "CREATE MATERIALIZED VIEW {} WITH ('allowed-lateness' = '{} ms', 'result.retention' = '40000 d',\n  \
             'state.groups' = '20', 'state.values' = '1000') AS\n{};\n",
            self.name,
            self.allowed_ms,
            self.select(shape)
        )
    }

    /// Its query.
    fn select(&self, shape: Shape) -> String {
        match self.asks {
            Asks::Top => format!(
                "SELECT window_start, window_end, rank, kind, shop, n FROM (\n  \
                 SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY n DESC) AS rank\n  \
                 FROM ({}))\nWHERE rank <= 2",
                self.grouped(shape)
            ),
            Asks::Limit => format!("{}\nORDER BY n DESC LIMIT 2", self.grouped(shape)),
            Asks::Windows { size } => format!(
                "WITH inside AS (\n{})\n\
                 SELECT window_start, window_end, shop, COUNT(*) AS windows, SUM(n) AS n, MAX(n) AS most\n\
                 FROM TABLE(TUMBLE(TABLE inside, DESCRIPTOR(ts), {}))\nGROUP BY window_start, window_end, shop",
                self.grouped(shape),
                interval(shape, size)
            ),
            _ => self.grouped(shape),
        }
    }

    fn measures(&self) -> &'static str {
        match self.asks {
            Asks::Money => {
                "COUNT(*) AS n, COUNT(amount) AS amounts, SUM(amount) AS gmv, MIN(amount) AS low,\n  \
                 MAX(amount) AS high, AVG(amount) AS mean, COUNT(DISTINCT buyer) AS buyers,\n  \
                 COUNT(*) FILTER (WHERE quantity > 5) AS large, SUM(quantity) AS pieces"
            }
            Asks::Spread => {
                "APPROX_PERCENTILE_CONT(amount, 0.5) AS middle,\n  \
                 APPROX_PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY amount) AS high, APPROX_MEDIAN(amount) AS median"
            }
            Asks::Arrivals => {
                "FIRST_VALUE(id) AS first, LAST_VALUE(quantity) AS last, STRING_AGG(id, ',') AS ids,\n  \
                 ARRAY_AGG(kind) AS kinds, ARRAY_AGG(DISTINCT buyer) AS buyers"
            }
            Asks::Weight => "SUM(weight) AS weight, COUNT(weight) AS n",
            Asks::Top | Asks::Limit | Asks::Windows { .. } => "COUNT(*) AS n",
            Asks::Region { .. } => "COUNT(*) AS n, SUM(amount * rate) AS gmv",
        }
    }

    /// What is asked of each group of each window.
    fn grouped(&self, shape: Shape) -> String {
        let (table, is_windowed) = self.table(shape);
        let (columns, mut groups) = if is_windowed {
            ("window_start, window_end, ", vec!["window_start".to_owned(), "window_end".to_owned()])
        } else {
            ("", Vec::new())
        };
        let keys = match self.sets {
            [(false, false)] => "",
            [(true, false)] => {
                groups.push("shop".to_owned());
                "shop, "
            }
            _ => {
                groups.push("CUBE(shop, kind)".to_owned());
                "shop, kind, "
            }
        };
        let (mut table, mut keys, mut columns) = (table, keys, columns);
        match self.asks {
            Asks::Region { is_left } => {
                let join = if is_left { "LEFT JOIN" } else { "JOIN" };
                let _infallible =
                    write!(table, " AS orders\n{join} regions ON regions.shop = orders.shop");
                groups.pop();
                groups.push("region".to_owned());
                keys = "region, ";
            }
            Asks::Top | Asks::Limit => {
                groups.push("kind".to_owned());
                keys = "kind, shop, ";
            }
            Asks::Windows { .. } => {
                columns = "window_time AS ts, ";
                groups.push("window_time".to_owned());
            }
            _ => {}
        }
        format!(
            "SELECT {columns}{keys}{}\nFROM {table}{}\nGROUP BY {}",
            self.measures(),
            if self.is_filtered { " WHERE quantity >= 3" } else { "" },
            groups.join(", "),
        )
    }

    fn table(&self, shape: Shape) -> (String, bool) {
        let interval = |ms: i64| interval(shape, ms);
        let offset = match self.offset_ms {
            0 => String::new(),
            ms => format!(", {}", interval(ms)),
        };
        let of = "TABLE orders, DESCRIPTOR(event_time)";
        let table = match self.kind {
            Kind::Ever => return ("orders".to_owned(), false),
            Kind::Tumble { size } => format!("TABLE(TUMBLE({of}, {}{offset}))", interval(size)),
            Kind::Hop { slide, size } => {
                format!("TABLE(HOP({of}, {}, {}{offset}))", interval(slide), interval(size))
            }
            Kind::Cumulate { step, size } => {
                format!("TABLE(CUMULATE({of}, {}, {}{offset}))", interval(step), interval(size))
            }
            Kind::Session { gap } => {
                format!(
                    "TABLE(SESSION(TABLE orders PARTITION BY shop, DESCRIPTOR(event_time), {}))",
                    interval(gap)
                )
            }
        };
        (table, true)
    }
}

fn interval(shape: Shape, ms: i64) -> String {
    match shape.unit_ms {
        _ if ms == DAY_MS => "INTERVAL '1' DAY".to_owned(),
        1_000 => format!("INTERVAL '{}' SECOND", ms / 1_000),
        _ => format!("INTERVAL '{}' HOUR", ms / 3_600_000),
    }
}

/// The statement that declares the reference table, and its file.
#[must_use]
pub fn regions() -> (&'static str, String) {
    let sql = "CREATE TABLE regions (shop STRING NOT NULL, region STRING NOT NULL, rate DECIMAL(6, 2) NOT NULL)\n\
        WITH ('connector' = 'filesystem', 'path' = 'regions.csv', 'format' = 'csv', 'csv.header' = 'true');\n";
    let mut lines = "shop,region,rate\n".to_owned();
    for (shop, region, rate) in REGIONS {
        let _infallible =
            writeln!(lines, "shop {shop},{region},{}", crate::orders::hundredths(rate));
    }
    (sql, lines)
}

/// The statement that declares the stream.
#[must_use]
pub fn stream_sql(shape: Shape) -> String {
    format!(
        "CREATE TABLE orders (\n  id STRING NOT NULL,\n  shop STRING,\n  kind STRING,\n  buyer BIGINT,\n  \
         amount DECIMAL(12, 2),\n  quantity INT,\n  weight DOUBLE,\n  event_time TIMESTAMP(3) NOT NULL,\n  \
         WATERMARK FOR event_time AS event_time - INTERVAL '{}' SECOND\n) WITH (\n  \
         'connector' = 'embedded', 'format' = 'json', 'time-zone' = '{}', 'dedup.key' = 'id',\n  \
         'dedup.horizon' = '{} ms', 'max-future-skew' = '{} ms', 'record.bytes-max' = '{}'{}\n);\n",
        shape.delay_ms / 1_000,
        if shape.zone_ms == 0 { "UTC" } else { "Asia/Shanghai" },
        shape.horizon_ms,
        shape.skew_ms,
        crate::orders::RECORD_BYTES_MAX,
        if shape.is_keyed { ", 'partition.key' = 'shop'" } else { "" },
    )
}

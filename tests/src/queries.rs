//! The queries that are compared: each as SQL for the engine and as plain numbers for the reference.

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

/// One query.
#[derive(Debug, Clone)]
pub struct Query {
    /// Its name.
    pub name: &'static str,
    /// Its windows.
    pub kind: Kind,
    /// The window's offset in milliseconds.
    pub offset_ms: i64,
    /// Whether window arithmetic is done on the wall clock of the stream's zone.
    pub follows_zone: bool,
    /// Only orders of three pieces and more.
    pub is_filtered: bool,
    /// Grouping sets over (shop, kind): which of the two are keys.
    pub sets: &'static [(bool, bool)],
    /// `allowed-lateness` in milliseconds.
    pub allowed_ms: i64,
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
        follows_zone: false,
        is_filtered: false,
        sets: BY_SHOP,
        allowed_ms: 0,
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
    if unit == 3_600_000 {
        let day = Query { follows_zone: true, ..plain.clone() };
        all.push(Query { name: "tumble_day", kind: Kind::Tumble { size: DAY_MS }, ..day.clone() });
        all.push(Query {
            name: "cumulate_day",
            kind: Kind::Cumulate { step: unit, size: DAY_MS },
            sets: NO_KEY,
            ..day
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

impl Query {
    /// The statement that creates the view.
    #[must_use]
    pub fn sql(&self, shape: Shape) -> String {
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
        format!(
            "CREATE MATERIALIZED VIEW {} WITH ('allowed-lateness' = '{} ms', 'result.retention' = '40000 d') AS\n\
             SELECT {columns}{keys}COUNT(*) AS n, COUNT(amount) AS amounts, SUM(amount) AS gmv, MIN(amount) AS low,\n  \
             MAX(amount) AS high, AVG(amount) AS mean, COUNT(DISTINCT buyer) AS buyers,\n  \
             COUNT(*) FILTER (WHERE quantity > 5) AS large, SUM(quantity) AS pieces\n\
             FROM {table}{}\nGROUP BY {};\n",
            self.name,
            self.allowed_ms,
            if self.is_filtered { " WHERE quantity >= 3" } else { "" },
            groups.join(", "),
        )
    }

    fn table(&self, shape: Shape) -> (String, bool) {
        let interval = |ms: i64| match shape.unit_ms {
            _ if ms == DAY_MS => "INTERVAL '1' DAY".to_owned(),
            1_000 => format!("INTERVAL '{}' SECOND", ms / 1_000),
            _ => format!("INTERVAL '{}' HOUR", ms / 3_600_000),
        };
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

/// The statement that declares the stream.
#[must_use]
pub fn stream_sql(shape: Shape) -> String {
    format!(
        "CREATE TABLE orders (\n  id STRING NOT NULL,\n  shop STRING,\n  kind STRING,\n  buyer BIGINT,\n  \
         amount DECIMAL(12, 2),\n  quantity INT,\n  event_time TIMESTAMP(3) NOT NULL,\n  \
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

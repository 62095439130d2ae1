//! What is sold, through what, and by whom: authored tables. Brands are invented.

/// A category, its weight among orders, and its mean basket in yuan before scaling.
pub(super) type Category = (&'static str, u32, f64);

/// Categories of goods.
pub(super) const CATEGORIES: [Category; 14] = [
    ("服饰", 220, 170.0),
    ("美妆", 130, 230.0),
    ("食品", 130, 90.0),
    ("家居", 100, 160.0),
    ("母婴", 80, 190.0),
    ("鞋包", 80, 210.0),
    ("数码", 60, 620.0),
    ("家电", 50, 780.0),
    ("运动户外", 50, 240.0),
    ("医药健康", 35, 130.0),
    ("宠物", 25, 120.0),
    ("图书文具", 20, 60.0),
    ("汽车用品", 12, 180.0),
    ("珠宝", 8, 900.0),
];

/// Mean basket of all orders, yuan: that of 2017 and 2019.
pub(super) const BASKET_MEAN_YUAN: f64 = 208.0;

/// Brands of each category; the first is the largest (the n-th has 1/n of its orders).
pub(super) const BRANDS_A_CATEGORY: usize = 15;

const BRAND_STARTS: [&str; 14] = [
    "青禾",
    "云岭",
    "星澜",
    "墨川",
    "拾光",
    "南屿",
    "北辰屋",
    "沐野",
    "锦年",
    "安渡",
    "晴朗",
    "白鹭湾",
    "山外",
    "听潮",
];

const BRAND_ENDS: [&str; BRANDS_A_CATEGORY] = [
    "坊",
    "社",
    "记",
    "集",
    "造物",
    "物语",
    "实验室",
    "制造",
    "之家",
    "号",
    "工房",
    "小铺",
    "生活",
    "优选",
    "研究所",
];

/// Names of a category's brands, the largest first.
pub(super) fn brands(category: usize) -> impl Iterator<Item = String> {
    let start = BRAND_STARTS.iter().cycle().nth(category).copied().unwrap_or_default();
    BRAND_ENDS.iter().map(move |end| format!("{start}{end}"))
}

/// A way to buy: its weight, the prefix of its sources' names and how many there are.
pub(super) type Channel = (&'static str, u32, &'static str, u16);

/// Channels, each with the gateways or shops that send its events.
pub(super) const CHANNELS: [Channel; 5] = [
    ("app", 560, "gw-app", 16),
    ("live", 200, "gw-live", 8),
    ("mini-program", 110, "gw-mini", 8),
    ("web", 60, "gw-web", 4),
    ("store", 70, "store", 200),
];

/// Platforms of the counting rule, with weights. A shop's orders stand under `offline`.
pub(super) const PLATFORMS: [(&str, u32); 5] =
    [("tmall", 560), ("taobao", 330), ("juhuasuan", 60), ("aliexpress", 30), ("lazada", 20)];

/// Platform of the channel `store`.
pub(super) const OFFLINE: &str = "offline";

/// Platforms whose buyers are abroad.
pub(super) const ABROAD: [&str; 2] = ["aliexpress", "lazada"];

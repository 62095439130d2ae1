//! One order and everything about it that does not change.

use super::catalogue::{
    self, ABROAD, BASKET_MEAN_YUAN, BRANDS_A_CATEGORY, CATEGORIES, CHANNELS, OFFLINE, PLATFORMS,
};
use super::dice::{Dice, Weights, float, whole};
use super::places::{COUNTRIES, ELSEWHERE, PROVINCES, SELLERS};

/// How far baskets spread around their category's mean.
const BASKET_SIGMA: f64 = 0.8;

/// The largest basket, in fen: two hundred thousand yuan.
const BASKET_FEN_MAX: i64 = 20_000_000;

/// One order. Small and copied, since thousands of them wait for what happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) number: u64,
    pub(super) placed_ms: i64,
    pub(super) buyer: u32,
    pub(super) amount_fen: i64,
    pub(super) province: u16,
    pub(super) city: u16,
    pub(super) category: u16,
    pub(super) brand: u16,
    pub(super) channel: u16,
    pub(super) platform: u16,
    pub(super) source: u16,
    pub(super) is_shadow: bool,
}

/// Draws orders, and knows the names of what it draws.
#[derive(Debug)]
pub(super) struct Market {
    provinces: Weights,
    cities: Vec<Weights>,
    categories: Weights,
    brands: Weights,
    channels: Weights,
    platforms: Weights,
    countries: Weights,
    sellers: Weights,
    brand_names: Vec<String>,
    source_names: Vec<String>,
    source_starts: Vec<u16>,
    basket_scale: f64,
    buyers: u64,
}

impl Market {
    /// A market with twice as many orders a day as buyers.
    pub(super) fn new(orders_a_day: u64) -> Self {
        let weight: f64 = CATEGORIES.iter().map(|one| f64::from(one.1)).sum();
        let mean = CATEGORIES.iter().map(|one| f64::from(one.1) * one.2).sum::<f64>() / weight;
        let (source_starts, source_names) = sources();
        Self {
            provinces: Weights::new(PROVINCES.iter().map(|one| one.1)),
            cities: PROVINCES.iter().map(|one| first_heaviest(one.2.len())).collect(),
            categories: Weights::new(CATEGORIES.iter().map(|one| one.1)),
            brands: Weights::new((1..).take(BRANDS_A_CATEGORY).map(|rank: u32| 720_720 / rank)),
            channels: Weights::new(CHANNELS.iter().map(|one| one.1)),
            platforms: Weights::new(PLATFORMS.iter().map(|one| one.1)),
            countries: Weights::new(COUNTRIES.iter().map(|one| one.1)),
            sellers: Weights::new(SELLERS.iter().map(|one| one.1)),
            brand_names: (0..CATEGORIES.len()).flat_map(catalogue::brands).collect(),
            source_names,
            source_starts,
            basket_scale: BASKET_MEAN_YUAN / mean,
            buyers: (orders_a_day / 2).clamp(1_000, 900_000_000),
        }
    }

    /// Draws an order.
    pub(super) fn draw(&self, dice: &mut Dice, number: u64, placed_ms: i64) -> Order {
        let province = self.provinces.draw(dice);
        let category = self.categories.draw(dice);
        let channel = self.channels.draw(dice);
        let sources = CHANNELS.get(usize::from(channel)).map_or(1, |one| one.3);
        let source = u16::try_from(dice.below(u64::from(sources))).unwrap_or(0);
        let start = self.source_starts.get(usize::from(channel)).copied().unwrap_or(0);
        // Squared, so that some buyers come again and again.
        let buyer = whole(dice.unit().powi(2) * float(self.buyers));
        Order {
            number,
            placed_ms,
            buyer: u32::try_from(buyer).unwrap_or(0),
            amount_fen: self.basket(dice, category),
            province,
            city: self.cities.get(usize::from(province)).map_or(0, |cities| cities.draw(dice)),
            category,
            brand: self.brands.draw(dice),
            channel,
            platform: self.platforms.draw(dice),
            source: start + source,
            is_shadow: false,
        }
    }

    fn basket(&self, dice: &mut Dice, category: u16) -> i64 {
        let mean = CATEGORIES.get(usize::from(category)).map_or(BASKET_MEAN_YUAN, |one| one.2);
        let fen = mean * self.basket_scale * 100.0 * dice.spread(BASKET_SIGMA);
        whole(fen.round()).clamp(100, BASKET_FEN_MAX)
    }

    pub(super) fn province(&self, order: &Order) -> &'static str {
        if self.country(order).is_some() {
            return ELSEWHERE;
        }
        PROVINCES.get(usize::from(order.province)).map_or("", |one| one.0)
    }

    /// Country of the buyer; `None` at home. It follows from the order's number, not from the dice.
    pub(super) fn country(&self, order: &Order) -> Option<&'static str> {
        if !ABROAD.contains(&self.platform(order)) {
            return None;
        }
        COUNTRIES.get(usize::from(self.countries.at(order.number))).map(|one| one.0)
    }

    /// City the goods come from.
    pub(super) fn seller_city(&self, order: &Order) -> &'static str {
        SELLERS.get(usize::from(self.sellers.at(order.number / 7))).map_or("", |one| one.0)
    }

    pub(super) fn city(&self, order: &Order) -> &'static str {
        let cities = PROVINCES.get(usize::from(order.province)).map_or(&[][..], |one| one.2);
        cities.get(usize::from(order.city)).copied().unwrap_or_default()
    }

    pub(super) fn category(&self, order: &Order) -> &'static str {
        CATEGORIES.get(usize::from(order.category)).map_or("", |one| one.0)
    }

    pub(super) fn brand(&self, order: &Order) -> &str {
        let place = usize::from(order.category) * BRANDS_A_CATEGORY + usize::from(order.brand);
        self.brand_names.get(place).map_or("", String::as_str)
    }

    pub(super) fn channel(&self, order: &Order) -> &'static str {
        CHANNELS.get(usize::from(order.channel)).map_or("", |one| one.0)
    }

    pub(super) fn platform(&self, order: &Order) -> &'static str {
        if self.channel(order) == "store" {
            return OFFLINE;
        }
        PLATFORMS.get(usize::from(order.platform)).map_or("", |one| one.0)
    }

    pub(super) fn source(&self, order: &Order) -> &str {
        self.source_names.get(usize::from(order.source)).map_or("", String::as_str)
    }

    /// How many sources there are.
    pub(super) fn sources(&self) -> usize {
        self.source_names.len()
    }
}

/// The first as heavy as all others together, those alike.
fn first_heaviest(count: usize) -> Weights {
    let others = u32::try_from(count).unwrap_or(1).saturating_sub(1).max(1);
    Weights::new(std::iter::once(others).chain(std::iter::repeat_n(1, count.saturating_sub(1))))
}

/// For every channel the place of its first source, and the names of all.
fn sources() -> (Vec<u16>, Vec<String>) {
    let (mut starts, mut names) = (Vec::new(), Vec::new());
    for (_, _, prefix, count) in CHANNELS {
        starts.push(u16::try_from(names.len()).unwrap_or(0));
        names.extend((1..=count).map(|number| format!("{prefix}-{number:03}")));
    }
    (starts, names)
}

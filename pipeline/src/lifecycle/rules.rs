//! What each kind of event does to an order, as the SQL declares it.

/// What a kind of event does; several may be joined, as `open pay` for a deposit that begins an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Action {
    /// The order begins; its amount is what was placed.
    pub opens: bool,
    /// Its amount is paid.
    pub pays: bool,
    /// What was placed is taken back.
    pub cancels: bool,
    /// Its amount, or without an amount all there is, goes back to the buyer.
    pub refunds: bool,
    /// Whether several events of the kind add up; otherwise the earliest counts and the others repeat it.
    pub each: bool,
}

/// The words an action is written with.
const WORDS: [&str; 6] = ["open", "pay", "cancel", "refund", "each", "once"];

impl Action {
    /// Reads `pay`, `open pay`, `pay each`, `cancel refund`… Refunds add up unless `once` is said,
    /// everything else counts once unless `each` is said.
    ///
    /// # Errors
    /// When a word is unknown or the words contradict one another.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut action = Self::default();
        let mut often = None;
        for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
            match word.to_ascii_lowercase().as_str() {
                "open" => action.opens = true,
                "pay" => action.pays = true,
                "cancel" => action.cancels = true,
                "refund" => action.refunds = true,
                "each" if often != Some(false) => often = Some(true),
                "once" if often != Some(true) => often = Some(false),
                "each" | "once" => {
                    return Err("'each' and 'once' contradict one another".to_owned());
                }
                other => {
                    return Err(format!(
                        "'{other}' is no action; write one or more of {}",
                        WORDS.join(", ")
                    ));
                }
            }
        }
        if !(action.opens || action.pays || action.cancels || action.refunds) {
            return Err("it does nothing; write open, pay, cancel or refund".to_owned());
        }
        if (action.opens || action.pays) && (action.cancels || action.refunds) {
            return Err("one event cannot both bring money in and take it back".to_owned());
        }
        action.each = often.unwrap_or(action.refunds && !action.cancels);
        if action.each && (action.opens || action.cancels) {
            return Err(
                "an order is opened and cancelled once; 'each' is for pay and refund".to_owned()
            );
        }
        Ok(action)
    }

    /// Whether an event of this kind must carry an amount.
    #[must_use]
    pub fn needs_amount(self) -> bool {
        self.pays
    }
}

/// One declared kind of event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// Its name in the records.
    pub name: String,
    /// What it does.
    pub action: Action,
}

/// Everything an operator goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The kinds in the order of their names; records of other kinds are counted as ignored.
    pub kinds: Vec<Kind>,
    /// An order is forgotten when the watermark passes its newest event by this, in milliseconds.
    pub horizon_ms: i64,
    /// Orders kept a partition, at least 1; beyond it the one longest without an event is forgotten early.
    pub orders_max: usize,
    /// Events kept an order, at least 1; further ones are refused.
    pub events_max: usize,
    /// Which of the carried columns says what currency an amount is in; `None` where all are in one.
    pub currency: Option<usize>,
    /// The currency of an order whose opening says none; where it is `None`, that of its earliest payment that says one.
    pub currency_default: Option<Vec<u8>>,
}

impl Rules {
    /// Number of a kind by its name; `None` for one that is not declared.
    #[must_use]
    pub fn kind(&self, name: &str) -> Option<u16> {
        // A handful of kinds: looking at each is quicker than hashing.
        let found = self.kinds.iter().position(|kind| kind.name == name)?;
        u16::try_from(found).ok()
    }

    /// What a kind does; nothing for a number that is no kind's.
    #[must_use]
    pub fn action(&self, kind: u16) -> Action {
        self.kinds.get(usize::from(kind)).map(|kind| kind.action).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_read_as_they_are_written() {
        let deposit = Action::read("open pay").expect("an action");
        assert!(deposit.opens && deposit.pays && !deposit.each);
        assert!(Action::read("refund").expect("an action").each);
        assert!(!Action::read("refund once").expect("an action").each);
        assert!(Action::read("PAY, each").expect("an action").each);
        assert!(!Action::read("cancel refund").expect("an action").each);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_reason() {
        let told = |text: &str| Action::read(text).expect_err("refused");
        assert!(told("ship").contains("'ship' is no action"));
        assert!(told("pay refund").contains("cannot both"));
        assert!(told("once").contains("does nothing"));
        assert!(told("pay each once").contains("contradict"));
        assert!(told("cancel each").contains("once"));
    }
}

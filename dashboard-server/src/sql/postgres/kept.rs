//! What a client has left with its connection: prepared statements, and portals with their values. Each has a name and nothing
//! ends it but the client, so their number and their bytes have a bound.

use std::collections::BTreeMap;

use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use parking_lot::Mutex;

/// Names of one kind. Drivers keep a hundred or two (`max_prepared_statements`, `preparedStatementCacheQueries`).
const NAMES_MAX: usize = 1_000;

/// Statements and portals of one connection, by name.
#[derive(Debug)]
pub(super) struct Kept {
    bytes_max: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    statements: BTreeMap<String, usize>,
    portals: BTreeMap<String, usize>,
}

impl Kept {
    /// Nothing yet, and never more than `bytes_max` of texts, or of values.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, inner: Mutex::default() }
    }

    /// Enters a statement of so many bytes.
    ///
    /// # Errors
    /// When there are too many, or they are too large together.
    pub(super) fn statement(&self, name: &str, bytes: usize) -> PgWireResult<()> {
        let told = "statements are prepared; close or DEALLOCATE some";
        enter(&mut self.inner.lock().statements, (name, bytes), self.bytes_max, told)
    }

    /// Enters a portal with so many bytes of values.
    ///
    /// # Errors
    /// When there are too many, or they are too large together.
    pub(super) fn portal(&self, name: &str, bytes: usize) -> PgWireResult<()> {
        let told = "portals are bound; close some, or end the transaction";
        enter(&mut self.inner.lock().portals, (name, bytes), self.bytes_max, told)
    }

    /// Forgets a statement.
    pub(super) fn forget_statement(&self, name: &str) {
        self.inner.lock().statements.remove(name);
    }

    /// Forgets all statements, and answers what they were.
    pub(super) fn forget_statements(&self) -> Vec<String> {
        std::mem::take(&mut self.inner.lock().statements).into_keys().collect()
    }

    /// Forgets a portal.
    pub(super) fn forget_portal(&self, name: &str) {
        self.inner.lock().portals.remove(name);
    }

    /// Forgets all portals.
    pub(super) fn forget_portals(&self) {
        self.inner.lock().portals.clear();
    }
}

fn enter(
    kept: &mut BTreeMap<String, usize>,
    (name, bytes): (&str, usize),
    bytes_max: usize,
    told: &str,
) -> PgWireResult<()> {
    let others = kept.iter().filter(|(other, _)| *other != name).map(|(_, bytes)| *bytes);
    let (count, before) = others.fold((0, 0_usize), |(count, sum), bytes| (count + 1, sum + bytes));
    if count < NAMES_MAX && before.saturating_add(bytes) <= bytes_max {
        kept.insert(name.to_owned(), bytes);
        return Ok(());
    }
    let told = format!(
        "{count} {told}: {NAMES_MAX} may be, and {bytes_max} bytes of them (eight times sql.statement-bytes-max)"
    );
    let info = ErrorInfo::new("ERROR".to_owned(), "53000".to_owned(), told);
    Err(PgWireError::UserError(Box::new(info)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once_and_there_is_an_end_to_them() {
        let kept = Kept::new(100);
        for _ in 0..5 {
            kept.statement("s", 60).expect("replaces itself");
        }
        let refused = kept.statement("t", 60).expect_err("is too large").to_string();
        assert!(refused.contains("DEALLOCATE"), "{refused}");
        kept.portal("p", 60).expect("portals are counted apart");
        kept.forget_statement("s");
        kept.statement("t", 60).expect("fits");
        assert_eq!(kept.forget_statements(), ["t"]);
        for nth in 0..NAMES_MAX {
            kept.statement(&nth.to_string(), 0).expect("fits");
        }
        assert!(kept.statement("one more", 0).is_err());
    }
}

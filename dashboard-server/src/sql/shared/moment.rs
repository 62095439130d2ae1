//! The moment of which a shared query is: one cut, with every history that is read committed up to it.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arrow::compute::concat_batches;
use datafusion::prelude::SessionContext;
use tidemark_pipeline::history::{HistoryAt, Wanted};
use tidemark_pipeline::results::{Cut, Snapshot};

use super::store::{PinnedCut, SharedError};
use crate::sql::error::SqlError;
use crate::sql::past::{self, Kind, PastPaper, PastTable};
use crate::sql::session::SqlService;
use crate::sql::tables::Pin;

/// How long sharing waits for a commit: a checkpoint, what the writer of the history is busy with, and the commit itself.
const COMMIT_MAX: Duration = Duration::from_secs(20);

/// Tables as they are at one cut.
pub(super) struct Moment {
    cut: Arc<Cut>,
    asked_cut: u64,
    /// By stream, the version of its history.
    versions: BTreeMap<String, u64>,
}

impl Moment {
    /// What is told of it.
    pub(super) fn pinned(&self, epoch: &str) -> PinnedCut {
        let overall = self.cut.overall();
        PinnedCut {
            epoch: epoch.to_owned(),
            cut: self.cut.cut,
            asked_cut: self.asked_cut,
            as_of: overall.as_of,
            watermark: overall.watermark,
        }
    }
}

impl SqlService {
    /// The pinned cut, or a later one, up to which the histories among some tables are committed.
    ///
    /// # Errors
    /// When they cannot be committed.
    pub(super) async fn moment(
        &self,
        pin: &Pin,
        names: &BTreeSet<String>,
    ) -> Result<Moment, SharedError> {
        let cut = pin.cut();
        let asked_cut = cut.cut;
        if asked_cut == 0 && !names.is_empty() {
            let reason = "nothing has been published yet; ask again in a second".to_owned();
            return Err(SharedError::NotFixed { reason });
        }
        let is_history = |name: &&String| matches!(past::kind_of(pin, name), Some(Kind::History));
        let histories: BTreeSet<String> = names.iter().filter(is_history).cloned().collect();
        let committed = |name: &String| {
            let table: &dyn Any = cut.histories.get(name)?.as_ref();
            let kept = table.downcast_ref::<HistoryAt>()?;
            (kept.tail_rows() == 0).then(|| (name.clone(), kept.version()))
        };
        if let Some(versions) = histories.iter().map(committed).collect::<Option<_>>() {
            return Ok(Moment { cut, asked_cut, versions });
        }
        let commits = self.results().past().and_then(|past| past.commits.clone());
        let commits = commits.ok_or_else(|| SharedError::NotFixed {
            reason: "records wait for their commit to a history that this server does not write"
                .to_owned(),
        })?;
        let committed = commits.committed(histories, COMMIT_MAX).await?;
        Ok(Moment { cut: committed.cut, asked_cut, versions: committed.versions })
    }

    /// A table that a statement names, as it is at a moment; `None` where it is none of ours.
    ///
    /// # Errors
    /// When it is another at every moment, or cannot be had.
    pub(super) async fn as_it_is(
        &self,
        (pin, moment): (&Pin, &Moment),
        name: &str,
    ) -> Result<Option<PastTable>, SharedError> {
        let not_fixed = |reason: String| SharedError::NotFixed { reason };
        match past::kind_of(pin, name) {
            // Rows of another definition are not under the masks of this one.
            Some(Kind::View) if !pin.rules().shows_made(name, &moment.cut) => {
                Err(not_fixed(past::not_shown(name)))
            }
            Some(Kind::View) => match moment.cut.views.get(name) {
                Some(snapshot) => self.shown(&moment.cut, snapshot).map(Some),
                None => Err(not_fixed(format!(
                    "there is no view {name} any more; ask for it FOR SYSTEM_TIME AS OF a time"
                ))),
            },
            Some(Kind::History) => {
                let version = moment
                    .versions
                    .get(name)
                    .copied()
                    .ok_or_else(|| not_fixed(format!("{name} was not committed")))?;
                let wanted = Wanted::Version(version);
                let past = past::history(pin, name, wanted).await.map_err(not_fixed)?;
                let past = past.map_err(|error| not_fixed(error.to_string()))?;
                let table = PastTable::of_history(name, past, wanted);
                Ok(Some(table.at_cut(self.epoch(), &moment.cut)))
            }
            Some(Kind::NoPast) => Err(not_fixed(format!(
                "{name} is another at every moment; only views, histories and reference tables can be shared"
            ))),
            None => self.reference_rows(name).await,
        }
    }

    fn shown(&self, cut: &Cut, snapshot: &Snapshot) -> Result<PastTable, SharedError> {
        let info = &snapshot.info;
        let rows = concat_batches(&info.schema, &snapshot.batches());
        let rows = rows.map_err(|error| SqlError::Run { message: error.to_string() })?;
        let paper = PastPaper {
            epoch: Some(self.epoch().to_owned()),
            cut: Some(cut.cut),
            at: Some(cut.published_at),
            as_of: cut.progress(info).as_of,
            ..PastPaper::of_no_time(&info.name)
        };
        Ok(PastTable::held(paper, Arc::clone(&info.schema), vec![rows]))
    }

    async fn reference_rows(&self, name: &str) -> Result<Option<PastTable>, SharedError> {
        let Some(table) = self.reference().get(name) else { return Ok(None) };
        let failed = |error| SharedError::Sql(SqlError::of_planning(&error));
        let rows = SessionContext::new().read_table(Arc::clone(table)).map_err(failed)?;
        let rows = rows.collect().await.map_err(failed)?;
        Ok(Some(PastTable::held(PastPaper::of_no_time(name), table.schema(), rows)))
    }
}

//! The past of histories and views: versions, times, what is held, and what is switched off.

use arrow::array::AsArray as _;
use arrow::datatypes::Int64Type;
use datafusion::prelude::SessionContext;

use super::history::{accepted, assert_whole, keeping};
use super::*;
use crate::history::{
    HashKey, HistoryAt, HistoryLayout, HistoryPlace, HistoryTable, OfCut, PastError, Pins, Wanted,
};

/// A history that is written by hand, a day a commit, with nothing that tidies up by itself.
struct ByHand {
    ground: Ground,
    layout: Arc<HistoryLayout>,
    table: HistoryTable,
    pins: Arc<Pins>,
}

impl ByHand {
    async fn new() -> Self {
        let ground = keeping(1);
        let catalog = ground.catalog();
        let key = HashKey::new([7; 32]);
        let layout = HistoryLayout::of(&catalog.streams["orders"].definition, key).expect("fits");
        let place = HistoryPlace {
            url: ground.dir.path().join("history").display().to_string(),
            s3: Default::default(),
        };
        let pins = Pins::open(ground.dir.path()).expect("opens");
        let table = HistoryTable::open(&place, &layout, Arc::clone(&pins)).await.expect("opens");
        Self { ground, layout: Arc::new(layout), table, pins }
    }

    /// Adds one order, whose number is its offset too.
    async fn add(&mut self, id: i64) {
        let names = self.layout.shown.fields()[..4].iter().map(|field| field.name().as_str());
        let columns: Vec<arrow::array::ArrayRef> = vec![
            Arc::new(arrow::array::Int64Array::from(vec![id])),
            Arc::new(arrow::array::StringArray::from(vec!["s"])),
            Arc::new(arrow::array::Int64Array::from(vec![1])),
            arrow::compute::cast(
                &arrow::array::Int64Array::from(vec![START_MS + id]),
                self.layout.shown.field_with_name("at").expect("a column").data_type(),
            )
            .expect("a time"),
        ];
        let rows = arrow::array::RecordBatch::try_from_iter(names.zip(columns)).expect("fits");
        let rows = self.layout.rows(&rows, 0, (&[id], &[START_MS + id], &[0])).expect("laid out");
        let of = OfCut {
            epoch: "e".to_owned(),
            cut: 10 + u64::try_from(id).expect("small"),
            published_at: START_MS + 5_000 + id,
            as_of: Some(START_MS + id),
            offsets: BTreeMap::from([(0, id + 1)]),
        };
        let next = of.offsets.clone();
        self.table.append(vec![rows], &next, Some(of)).await.expect("added");
    }

    fn now(&self) -> HistoryAt {
        HistoryAt::new(&self.layout, self.table.clone(), Vec::new())
    }

    async fn past(&self, wanted: Wanted) -> Result<(u64, Vec<i64>), PastError> {
        let past = self.now().past(wanted).await?;
        let session = SessionContext::new();
        session.register_table("orders", Arc::new(past.rows)).expect("registered");
        let asked = session.sql("SELECT id FROM orders ORDER BY id").await.expect("plans");
        let rows = asked.collect().await.expect("runs");
        let ids = rows
            .iter()
            .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().iter().copied());
        Ok((past.version, ids.collect()))
    }

    /// Sets the time of a commit, as if it had been made then.
    fn commit_at(&self, version: u64, seconds: u64) {
        let log = self.ground.dir.path().join("history/orders/_delta_log");
        let file =
            std::fs::File::options().append(true).open(log.join(format!("{version:020}.json")));
        let at = std::time::UNIX_EPOCH + Duration::from_secs(seconds);
        file.expect("a commit").set_modified(at).expect("set");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_as_of_a_version_or_a_time_has_the_rows_of_then() {
    let mut history = ByHand::new().await;
    for id in 0..4 {
        history.add(id).await;
    }
    for version in 0..=4 {
        history.commit_at(version, 100 * (version + 1));
    }
    for version in 0..=4_u64 {
        let ids: Vec<i64> = (0..i64::try_from(version).expect("small")).collect();
        let told = history.past(Wanted::Version(version)).await.expect("there");
        assert_eq!(told, (version, ids.clone()));
        let at = i64::try_from(100_000 * (version + 1)).expect("small");
        for ms in [at, at + 1, at + 99_999] {
            assert_eq!(
                history.past(Wanted::Time(ms)).await.expect("there"),
                (version, ids.clone())
            );
        }
    }
    assert_eq!(history.past(Wanted::Time(i64::MAX)).await.expect("there").0, 4);
    assert!(matches!(history.past(Wanted::Time(99_999)).await, Err(PastError::Before { .. })));
    assert!(matches!(
        history.past(Wanted::Version(5)).await,
        Err(PastError::NotYet { version: 5, newest: 4, .. })
    ));
    // Another who has the table open commits: what a time means does not depend on who has heard of it.
    let before = history.table.clone();
    history.add(4).await;
    history.table = before;
    assert_eq!(history.past(Wanted::Version(5)).await.expect("there").1, [0, 1, 2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_held_outlives_the_files_of_all_others() {
    let mut history = ByHand::new().await;
    for id in 0..3 {
        history.add(id).await;
    }
    let held = BTreeMap::from([("orders".to_owned(), std::collections::BTreeSet::from([2]))]);
    history.pins.hold("a", held).expect("held");
    history.table.compact().await.expect("put together");
    history.table.forget(Duration::ZERO).await.expect("deleted");
    assert_eq!(history.past(Wanted::Version(2)).await.expect("held").1, [0, 1]);
    let forgotten = history.past(Wanted::Version(3)).await.expect_err("deleted").to_string();
    assert!(forgotten.contains("version 3 of orders is no longer kept"), "{forgotten}");
    history.pins.release("a").expect("released");
    history.add(3).await;
    history.table.compact().await.expect("put together");
    history.table.forget(Duration::ZERO).await.expect("deleted");
    assert!(matches!(
        history.past(Wanted::Version(2)).await,
        Err(PastError::Forgotten { version: 2, .. })
    ));
    assert_eq!(history.past(Wanted::Time(i64::MAX)).await.expect("the newest").1, [0, 1, 2, 3]);
}

#[test]
fn a_history_that_is_switched_off_is_not_kept_and_switched_on_again_has_what_is_in_the_log() {
    let ground = keeping(2);
    ground.write("orders", 0..100);
    let pipeline = ground.running("data");
    assert_whole(&wait(&pipeline, "the orders", |cut| at_end(&ground, cut, "orders")));
    pipeline.stop();
    let mut config = ground.config("data");
    config.history.is_on = false;
    ground.write("orders", 100..200);
    let off = ground.start_with(&config).map_err(|error| error.to_string()).expect("starts");
    let cut = wait(&off, "more orders", |cut| at_end(&ground, cut, "orders"));
    assert!(cut.histories.is_empty() && accepted(&cut) == 200, "{}", accepted(&cut));
    off.stop();
    ground.write("orders", 200..300);
    let again = ground.running("data");
    let cut = wait(&again, "all orders", |cut| at_end(&ground, cut, "orders"));
    assert_whole(&cut);
    assert_eq!(accepted(&cut), 300);
    again.stop();
}

#[test]
fn what_views_showed_is_told_of_any_instant_over_restarts() {
    let ground = Ground::new(1);
    let mut config = ground.config("data");
    config.view_history.every = Duration::from_millis(20);
    let mut moments: Vec<(i64, String)> = Vec::new();
    for life in 0..3_i64 {
        let pipeline =
            ground.start_with(&config).map_err(|error| error.to_string()).expect("starts");
        let views = pipeline.results().past().and_then(|past| past.views.clone()).expect("kept");
        for part in 0..3 {
            let first = life * 300 + part * 100;
            ground.write("orders", first..first + 100);
            let cut = wait(&pipeline, "the orders", |cut| at_end(&ground, cut, "orders"));
            let begun = Instant::now();
            while views.looked_at().is_none_or(|at| at < cut.published_at) {
                assert!(begun.elapsed() < WAIT_MAX, "nobody looked");
                std::thread::yield_now();
            }
            let shown = sum_of(&cut.views["sums"].batches());
            moments.push((views.looked_at().expect("looked"), shown));
        }
        pipeline.stop();
        for (at, shown) in &moments {
            assert_eq!(sum_of(&[views.at("sums", *at).expect("kept").rows]), *shown, "at {at}");
        }
        drop(views);
    }
    assert_eq!(moments.len(), 9);
    let distinct: std::collections::BTreeSet<&String> =
        moments.iter().map(|(_, shown)| shown).collect();
    assert_eq!(distinct.len(), 9, "each moment had other rows: {moments:?}");
}

fn sum_of(batches: &[arrow::array::RecordBatch]) -> String {
    let all = batches.iter().filter_map(|batch| {
        let sums = arrow::compute::cast(
            batch.column_by_name("n").expect("a column"),
            &arrow::datatypes::DataType::Int64,
        );
        arrow::compute::sum(sums.expect("numbers").as_primitive::<Int64Type>())
    });
    all.sum::<i64>().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_says_of_which_cut_its_rows_are_also_where_files_were_put_together() {
    let mut history = ByHand::new().await;
    for id in 0..3 {
        history.add(id).await;
    }
    history.table.compact().await.expect("put together");
    for (version, cut) in [(0, None), (1, Some(10)), (3, Some(12)), (4, Some(12))] {
        let of = history.now().past(Wanted::Version(version)).await.expect("there").of;
        assert_eq!(of.as_ref().map(|of| of.cut), cut, "version {version}");
        if let Some(of) = of {
            let last = i64::try_from(of.cut).expect("small") - 10;
            let told = (of.as_of, of.published_at, of.offsets);
            let offsets = BTreeMap::from([(0, last + 1)]);
            assert_eq!(told, (Some(START_MS + last), START_MS + 5_000 + last, offsets));
        }
    }
}

/// The orders of a version of the history of a cut.
fn orders_of(cut: &Cut, version: u64) -> (Vec<i64>, crate::history::PastHistory) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        let table: &dyn std::any::Any = cut.histories["orders"].as_ref();
        let table = table.downcast_ref::<HistoryAt>().expect("a history");
        let past = table.past(Wanted::Version(version)).await.expect("there");
        let session = SessionContext::new();
        session.register_table("orders", Arc::new(past.rows.clone())).expect("registered");
        let asked = session.sql("SELECT id FROM orders ORDER BY id").await.expect("plans");
        let rows = asked.collect().await.expect("runs");
        let ids = rows
            .iter()
            .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().iter().copied());
        (ids.collect(), past)
    })
}

#[test]
fn a_commit_that_is_asked_for_has_every_order_of_its_cut_and_no_other_while_orders_come_in() {
    let ground = keeping(2);
    let mut config = ground.config("data");
    // Nothing is committed and nothing saved by itself.
    config.history.commit_every = Duration::from_secs(86_400);
    config.checkpoint_every = Duration::from_secs(86_400);
    let pipeline = ground.start_with(&config).map_err(|error| error.to_string()).expect("starts");
    ground.write("orders", 0..200);
    let seen = wait(&pipeline, "the orders", |cut| at_end(&ground, cut, "orders"));
    let commits = pipeline.results().past().and_then(|past| past.commits.clone()).expect("asks");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("one");
    let asked =
        || commits.committed(std::collections::BTreeSet::from(["orders".to_owned()]), WAIT_MAX);
    let mut before = seen;
    for round in 0..4 {
        // More come in while it is asked for.
        let first = 200 + round * 100;
        ground.write("orders", first..first + 100);
        let committed = runtime.block_on(asked()).expect("committed");
        let (cut, version) = (committed.cut, committed.versions["orders"]);
        assert!(cut.cut >= before.cut, "it is of no cut before it was asked for");
        let (ids, past) = orders_of(&pipeline.results().latest(), version);
        assert_eq!(i64::try_from(ids.len()).expect("few"), accepted(&cut), "round {round}");
        let of = past.of.expect("says so");
        assert_eq!((of.cut, &of.offsets), (cut.cut, &cut.offsets["orders"]));
        assert_eq!(of.as_of, cut.streams["orders"].as_of);
        let least = cut.cut;
        before =
            wait(&pipeline, "the rest", |cut| cut.cut > least && at_end(&ground, cut, "orders"));
    }
    // Where nothing waits the newest version is the answer, and two who ask at once are both answered.
    let (one, other) = runtime.block_on(async { tokio::join!(asked(), asked()) });
    let (one, other) = (one.expect("committed"), other.expect("committed"));
    assert_eq!((one.versions, accepted(&one.cut)), (other.versions, 600));
    let results = Arc::clone(pipeline.results());
    pipeline.stop();
    let late = runtime.block_on(asked()).expect_err("nobody commits");
    assert!(late.to_string().contains("has stopped"), "{late}");
    drop(results);
}

//! Several workers and the server that merges them, over the embedded log, with the group played by hand.

use parking_lot::Mutex;

use super::*;
use crate::model::Space;
use crate::model::record::SHADOW_HEADER;
use crate::run::workers::{self, Member, Worker, WorkersError};
use crate::source::kafka_group::{Listener, Told};

const STREAMS: [&str; 2] = ["orders", "parcels"];

/// Two streams of four partitions and a view of every kind that keeps its state otherwise.
fn ground() -> Ground {
    let ground = Ground::new(4);
    ground.log.create_stream("parcels", 4, Retention::default()).expect("made");
    let options = ", 'partition.key' = 'id', 'shadow.header' = 'tidemark-shadow', \
                   'accounted.by' = 'shop', 'sequence.column' = 'id'";
    ground.sql("streams/orders.sql", &stream_sql("orders", options));
    ground.sql("streams/parcels.sql", &stream_sql("parcels", options));
    let view = |name: &str, query: &str| {
        let text = format!("CREATE MATERIALIZED VIEW {name} AS {query};");
        ground.sql(&format!("views/{name}.sql"), &text);
    };
    view(
        "steps",
        "SELECT window_start, window_end, shop, SUM(amount) AS n, COUNT(DISTINCT id) AS ids \
         FROM TABLE(CUMULATE(TABLE orders, DESCRIPTOR(at), INTERVAL '10' SECOND, INTERVAL '2' MINUTE)) \
         GROUP BY window_start, window_end, shop",
    );
    view(
        "visits",
        "SELECT window_start, window_end, shop, COUNT(*) AS n, MAX(amount) AS most \
         FROM TABLE(SESSION(TABLE orders PARTITION BY shop, DESCRIPTOR(at), INTERVAL '2' SECOND)) \
         GROUP BY window_start, window_end, shop",
    );
    view("total", "SELECT shop, COUNT(*) AS n, MAX(amount) AS most FROM orders GROUP BY shop");
    view(
        "pairs",
        "SELECT a.window_start, a.window_end, a.shop, SUM(a.amount) AS n \
         FROM (SELECT * FROM TUMBLE(orders, at, INTERVAL '1' MINUTE)) AS a \
         JOIN (SELECT * FROM TUMBLE(parcels, at, INTERVAL '1' MINUTE)) AS b \
         ON a.window_start = b.window_start AND a.window_end = b.window_end AND a.id = b.id \
         GROUP BY a.window_start, a.window_end, a.shop",
    );
    ground
}

/// A worker with what plays its consumer group.
struct Played {
    worker: Worker,
    listeners: Arc<Mutex<BTreeMap<String, Listener>>>,
}

impl Played {
    fn start(ground: &Ground, data: &str) -> Self {
        let listeners: Arc<Mutex<BTreeMap<String, Listener>>> = Arc::default();
        let heard = Arc::clone(&listeners);
        let mut join = move |stream: &str, listener: Listener| -> Result<Member, WorkersError> {
            heard.lock().insert(stream.to_owned(), listener);
            let member: Member = Box::new(());
            Ok(member)
        };
        let inputs = STREAMS.map(|stream| ground.input(stream));
        let worker = workers::start(ground.catalog(), &config(ground, data), &inputs, &mut join);
        let worker = worker.map_err(|error| error.to_string()).expect("starts");
        Self { worker, listeners }
    }

    fn assign(&self, partitions: &[PartitionId]) {
        for (stream, listener) in &*self.listeners.lock() {
            let partitions = partitions.to_vec();
            assert!(listener(Told::Assigned { stream: stream.clone(), partitions }));
        }
    }

    /// Takes partitions away and waits until they have been let go of.
    fn revoke(&self, partitions: &[PartitionId]) {
        for (stream, listener) in &*self.listeners.lock() {
            let (done, is_done) = bounded(1);
            let (stream, partitions) = (stream.clone(), partitions.to_vec());
            assert!(listener(Told::Revoked { stream, partitions, is_lost: false, done }));
            is_done.recv_timeout(WAIT_MAX).expect("let go of");
        }
    }
}

fn config(ground: &Ground, data: &str) -> PipelineConfig {
    let mut config = ground.config(data);
    config.checkpoint_store = ground.dir.path().join("shared").display().to_string();
    config.workers.session_timeout = Duration::from_millis(300);
    config
}

fn server(ground: &Ground) -> Pipeline {
    let inputs = STREAMS.map(|stream| ground.input(stream)).to_vec();
    let server = start_merging(ground.catalog(), &config(ground, "server"), Mode::Live, inputs);
    server.map_err(|error| error.to_string()).expect("starts")
}

/// Everything that may be asked of a cut, as text without order.
fn told(pipeline: &Pipeline, cut: &Arc<Cut>) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::new();
    for space in [Space::Live, Space::Shadow] {
        let at = cut.space(space);
        for view in at.views.keys() {
            all.insert(format!("{space:?} {view}"), rows(&at, view));
        }
        for (name, table) in &at.tables {
            let text = arrow::util::pretty::pretty_format_batches(std::slice::from_ref(table));
            let text = text.expect("formats").to_string();
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            all.insert(format!("{space:?} table {name}"), lines);
        }
        let ledgers = pipeline.results().ledgers().expect("ledgers");
        for ledger in LedgerKind::ALL {
            let entries = ledgers.scan(space.as_str(), ledger).expect("readable");
            let mut entries: Vec<String> = entries.map(|entry| format!("{entry:?}")).collect();
            entries.sort();
            all.insert(format!("{space:?} ledger {}", ledger.table()), entries);
        }
    }
    all
}

/// Ends every partition of both streams in both spaces and waits for it.
fn closed_all(ground: &Ground, pipeline: &Pipeline) -> Arc<Cut> {
    for stream in STREAMS {
        for space in [Space::Live, Space::Shadow] {
            let mut writer = ground.log.writer(stream).expect("writer");
            writer.close(space, EventTime(END_MS), END_MS).expect("closed");
        }
    }
    all_closed(ground, pipeline)
}

fn all_closed(ground: &Ground, pipeline: &Pipeline) -> Arc<Cut> {
    let is_closed = |cut: &Cut, stream: &str| {
        cut.streams.get(stream).is_some_and(|at| at.watermark == Some(END_MS))
    };
    wait(pipeline, "both spaces closed", |cut| {
        STREAMS.iter().all(|stream| {
            let is_shadow_closed =
                cut.shadow.as_ref().is_some_and(|shadow| is_closed(shadow, stream));
            at_end(ground, cut, stream) && is_closed(cut, stream) && is_shadow_closed
        })
    })
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + WAIT_MAX;
    while !holds() {
        assert!(Instant::now() < end, "{what}: not in {WAIT_MAX:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The generation of a partition's last claim.
fn generation(ground: &Ground, stream: &str, partition: PartitionId) -> u64 {
    let owner = ground.dir.path().join(format!("shared/partitions/{stream}/{partition}/owner"));
    let Ok(bytes) = std::fs::read(owner) else { return 0 };
    let owner: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
    owner["generation"].as_u64().expect("a number")
}

/// Orders and parcels of these numbers, some of them late, some shadow ones and one that cannot be read.
fn write(ground: &Ground, numbers: std::ops::Range<i64>) {
    let mark: &[Header<'_>] = &[(SHADOW_HEADER, b"1")];
    for stream in STREAMS {
        ground.write(stream, numbers.clone());
        ground.write_with(stream, numbers.start..numbers.start + 40, mark);
        // Long past: late for its windows.
        ground.write(stream, numbers.start / 4..numbers.start / 4 + 9);
        let mut writer = ground.log.writer(stream).expect("writer");
        let record = NewRecord {
            partition: Some(1),
            key: None,
            timestamp_ms: START_MS,
            headers: &[],
            payload: b"{\"id\":",
        };
        writer.write(&record).expect("written");
        writer.flush().expect("flushed");
    }
}

#[test]
fn what_workers_fold_and_a_server_merges_is_what_one_process_shows_through_moves_and_zombies() {
    let ground = ground();
    write(&ground, 100..500);
    let (one, two) = (Played::start(&ground, "one"), Played::start(&ground, "two"));
    one.assign(&[0, 1]);
    two.assign(&[2, 3]);
    let pipeline = server(&ground);
    let at_ends = |cut: &Cut| STREAMS.iter().all(|stream| at_end(&ground, cut, stream));
    wait(&pipeline, "the first orders", at_ends);
    // A partition moves whole, and its last checkpoint with it.
    write(&ground, 500..900);
    one.revoke(&[1]);
    two.assign(&[1]);
    wait(&pipeline, "orders after the move", at_ends);
    assert_eq!(generation(&ground, "orders", 1), 2);
    // The server begins again in the middle of it.
    write(&ground, 900..1_300);
    pipeline.stop();
    write(&ground, 1_300..1_500);
    let pipeline = server(&ground);
    wait(&pipeline, "orders after a restart", at_ends);
    // One takes a partition that the other still believes to be its own: the other is refused and drops it.
    one.assign(&[2]);
    until("the claims", || STREAMS.iter().all(|stream| generation(&ground, stream, 2) >= 2));
    write(&ground, 1_500..1_900);
    // The group of the one who was refused says still that the partition is its own, so it claims it again; the
    // first one is the zombie then, until its group tells it so.
    until("the claims again", || generation(&ground, "orders", 2) >= 3);
    one.revoke(&[2]);
    write(&ground, 1_900..2_000);
    let cut = closed_all(&ground, &pipeline);
    let status = pipeline.results().status();
    assert_eq!(status.alarms, Vec::<String>::new());
    assert!(one.worker.problem().is_none() && two.worker.problem().is_none());
    let merged = told(&pipeline, &cut);
    one.worker.stop();
    two.worker.stop();
    pipeline.stop();

    let whole = ground.running("whole");
    let cut = all_closed(&ground, &whole);
    let expected = told(&whole, &cut);
    whole.stop();
    assert_eq!(merged.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, rows) in &expected {
        assert_eq!(merged[name], *rows, "{name}");
        let may_be_empty = name.contains("unmatched") || name.contains("Shadow");
        assert!(may_be_empty || !rows.is_empty(), "{name} has nothing to compare");
    }
}

#[test]
fn checkpoints_that_the_server_has_read_go_and_those_it_has_not_stay() {
    let ground = ground();
    let worker = Played::start(&ground, "one");
    worker.assign(&[0, 1, 2, 3]);
    let kept = || {
        let folder = ground.dir.path().join("shared/partitions/orders/0");
        let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let is_one = |name: &str| name.ends_with(".checkpoint");
        names.filter(|entry| is_one(&entry.file_name().to_string_lossy())).count()
    };
    // Without a server all of them stay: each holds what no other does.
    for round in 1..=8 {
        ground.write("orders", round * 20..round * 20 + 20);
        until("a checkpoint each", || kept() >= usize::try_from(round).expect("small"));
    }
    let pipeline = server(&ground);
    wait(&pipeline, "all of them merged", |cut| at_end(&ground, cut, "orders"));
    let mut round = 9;
    until("old ones gone", || {
        round += 1;
        ground.write("orders", round * 20..round * 20 + 20);
        std::thread::sleep(Duration::from_millis(150));
        kept() <= 5
    });
    wait(&pipeline, "the rest merged", |cut| at_end(&ground, cut, "orders"));
    worker.worker.stop();
    pipeline.stop();
}

#[test]
fn a_place_of_workers_and_one_of_a_whole_process_are_not_mixed_up_nor_other_definitions() {
    let ground = ground();
    let inputs = || STREAMS.map(|stream| ground.input(stream)).to_vec();
    let mut nobody = |_: &str, _: Listener| -> Result<Member, WorkersError> {
        let member: Member = Box::new(());
        Ok(member)
    };
    let own = workers::start(ground.catalog(), &ground.config("one"), &inputs(), &mut nobody);
    let said = own.err().expect("is its own place").to_string();
    assert!(said.contains("pipeline.checkpoint-store"), "{said}");
    let worker = Played::start(&ground, "one");
    worker.assign(&[0]);
    write(&ground, 100..200);
    let folder = ground.dir.path().join("shared/partitions/orders/0/000000000001.checkpoint");
    until("a checkpoint", || folder.exists());
    worker.worker.stop();
    let whole = ground.start_with(&config(&ground, "whole"));
    let said = whole.err().expect("is of workers").to_string();
    assert!(said.contains("tidemark pipeline") && said.contains("of its own"), "{said}");
    ground.sql("views/more.sql", &minute_view("more", "orders", "COUNT(*)"));
    let other = start_merging(ground.catalog(), &config(&ground, "server"), Mode::Live, inputs());
    let said = other.err().expect("differs").to_string();
    assert!(said.contains("view more is new"), "{said}");
    let mut config = ground.config("alone");
    config.checkpoint_store = ground.dir.path().join("alone").display().to_string();
    ground.start_with(&config).map_err(|error| error.to_string()).expect("starts").stop();
    let worker = workers::start(ground.catalog(), &config, &inputs(), &mut nobody);
    let said = worker.err().expect("is of one process").to_string();
    assert!(said.contains("tidemark serve"), "{said}");
}

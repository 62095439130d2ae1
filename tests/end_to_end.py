#!/usr/bin/env python3
"""The whole path as its users run it: real orders, a real Kafka, the real binary.

    end_to_end.py [--only SUBSTRING] [--keep]

Every check is a function whose docstring is the sentence it proves. Checks that need Kafka, the whole
recording or a browser are skipped, with the reason, where those cannot be had. TIDEMARK names the
binary, TIDEMARK_SHARED the folder with the whole recording, KAFKA_BOOTSTRAP a broker to be used.
The last line is `N passed, N failed, N skipped`.
"""
import argparse
import csv
import datetime
import decimal
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.error
import urllib.request

import admission
import checkpoints
import doctor
import kafka_as_it_is
import life_cycle
import result_topics
import workers
from kafka_tools import BROKER, LIBS as KAFKA_LIBS, kafka
from process import BINARY, ROOT, Server

SHARED = pathlib.Path(os.environ.get("TIDEMARK_SHARED", ROOT.parent / "shared"))
RECORDING = SHARED / "data/online_retail_2010-12_2011-06.csv.gz"
EXTRACT = ROOT / "tests/data/online_retail_2010-12-01.csv"
RETAIL = ROOT / "sql/examples/online_retail"
BROWSER = "/usr/bin/chromium"
PARTITIONS = 4
COMMAND_SECONDS_MAX = 180
# British summer time within the recording: from 2011-03-27T01:00Z to its end.
SUMMER_FROM_MS = 1_301_187_600_000
HOUR_MS = 3_600_000


class Skip(Exception):
    """Why a check cannot run here."""


class Ground:
    """What the checks stand on: a folder each, and one broker for all."""

    def __init__(self, folder):
        self.folder = folder
        self.number = 0
        self.started_broker = False
        self._bootstrap = None
        self.broker_pid = None
        self._no_broker = None

    def fresh(self):
        """A new empty folder."""
        self.number += 1
        folder = self.folder / str(self.number)
        folder.mkdir()
        return folder

    @property
    def bootstrap(self):
        """Address of the broker, started at the first call."""
        if self._no_broker:
            raise Skip(self._no_broker)
        if self._bootstrap is None:
            runs = subprocess.run([BROKER, "status"], capture_output=True, text=True).returncode == 0
            done = subprocess.run([BROKER, "start"], capture_output=True, text=True, timeout=300)
            if done.returncode == 77:
                self._no_broker = done.stderr.strip().removeprefix("skipped: ")
                raise Skip(self._no_broker)
            assert done.returncode == 0, done.stderr
            self.started_broker = not runs
            self._bootstrap = done.stdout.split("bootstrap=")[1].split()[0]
            self.found(done.stdout)
        return self._bootstrap

    def found(self, told):
        """Takes note of the process of our own broker, which is another after each start."""
        if "pid_file=" in told:
            self.broker_pid = int(pathlib.Path(told.split("pid_file=")[1].split()[0]).read_text())

    @staticmethod
    def skip(reason):
        """Why a check cannot run here, to be raised."""
        return Skip(reason)

    def close(self):
        if self.started_broker:
            subprocess.run([BROKER, "stop"], timeout=60)

    def topic(self, name):
        """A topic name no other run has."""
        return f"{name}-{os.getpid()}-{self.number}"


def tidemark(*arguments, expect=0):
    """Runs the binary; answers stdout and stderr. `expect` None: any exit but 0."""
    done = subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, cwd=ROOT,
                          timeout=COMMAND_SECONDS_MAX, errors="replace")
    good = done.returncode != 0 if expect is None else done.returncode == expect
    assert good, f"tidemark {arguments[0]}: exit {done.returncode}\n{done.stderr[-2000:]}"
    return done.stdout, done.stderr


def whole_recording():
    if not RECORDING.exists():
        raise Skip(f"the whole recording is not at {RECORDING}")
    return RECORDING


# --- truth --------------------------------------------------------------------------------------

def truth(recording):
    """Totals by day and by hour: label -> (lines, invoices, net, gross)."""
    folder = ROOT / "tests/data" if recording == EXTRACT else SHARED / "data"
    prefix = "" if recording == EXTRACT else "online_retail_"
    return tuple(read_totals(open(folder / f"{prefix}truth_by_{span}.csv")) for span in ("day", "hour"))


def read_totals(lines):
    rows = csv.reader(lines)
    next(rows)
    return {row[0]: (int(row[1]), int(row[2]), decimal.Decimal(row[3]), decimal.Decimal(row[4])) for row in rows}


def same(got, want, what):
    assert len(want) > 0
    wrong = [(key, got.get(key), want.get(key)) for key in sorted(got.keys() | want.keys()) if got.get(key) != want.get(key)]
    assert not wrong, f"{what}: {len(wrong)} of {len(want)} differ (label, got, want): {wrong[:3]}"


def london(ms, form):
    """Epoch milliseconds as the shop's wall clock says it."""
    local = ms + (HOUR_MS if ms >= SUMMER_FROM_MS else 0)
    return (datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=local)).strftime(form)


def with_path(script, recording, folder):
    """A copy of a shipped script that reads another recording."""
    text = (RETAIL / script).read_text()
    shipped = "'../../../tests/data/online_retail_2010-12-01.csv'"
    assert shipped in text
    target = folder / script
    target.write_text(text.replace(shipped, f"'{recording}'"))
    return target


# --- files --------------------------------------------------------------------------------------

def totals_of_the_extract(ground):
    """`tidemark run` gives the true totals of one day, by day and by hour, to the last digit"""
    by_day, by_hour = truth(EXTRACT)
    same(read_totals(tidemark("run", RETAIL / "totals.sql", "--format", "csv")[0].splitlines()), by_day, "days")
    same(read_totals(tidemark("run", RETAIL / "totals_by_hour.sql", "--format", "csv")[0].splitlines()), by_hour, "hours")


def totals_of_the_recording(ground):
    """`tidemark run` gives the true totals of all 245,903 lines, by day and by hour"""
    folder = ground.fresh()
    for script, want in zip(("totals.sql", "totals_by_hour.sql"), truth(whole_recording())):
        job = with_path(script, RECORDING, folder)
        got = read_totals(tidemark("run", job, "--format", "csv")[0].splitlines())
        same(got, want, script)
        assert sum(row[0] for row in got.values()) == 245_903
        assert sum(row[2] for row in got.values()) == decimal.Decimal("4397950.761")
        assert sum(row[3] for row in got.values()) == decimal.Decimal("4826466.491")


# --- bad input ----------------------------------------------------------------------------------

def order(number, **changes):
    """A good paid order, some fields replaced; None leaves a field out."""
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
    fields = {"event_id": f"e{number}", "order_id": f"o{number}", "event_type": "paid", "event_time": now,
              "province": "CN-GD", "category": "phones", "channel": "app", "amount": "10.00", **changes}
    return json.dumps({name: value for name, value in fields.items() if value is not None})


# Each record with a word its reason must hold; None for one that counts.
RECORDS = [
    (order(0), None),
    ('{"event_id":"e1","order_id":', "not valid json"),
    (order(2, amount=["ten"]), "amount"),
    (order(3, order_id=None), "order_id"),
    (order(4).replace('"10.00"', "NaN"), ""),
    (order(5, amount="123456789012345678901234.00"), "amount"),
    (order(6, event_time="1970-01-01T00:00:00Z"), "event-time.min"),
    (order(8, event_type="\u3000" * 1_750_000), "record.bytes-max"),
    (order(9, amount="-4.00"), None),
    (order(10, unheard_of={"of": [1]}), None),
    (order(11, event_time="tomorrow"), "event_time"),
    ("", "not valid json"),
    (order(12), None),
]
# Only where the log has timestamps of its own.
FUTURE = (order(7, event_time="2099-01-01T00:00:00Z"), "ahead of the log")
GOOD_AMOUNT = decimal.Decimal("26.00")


def bad_lines_of_a_file(ground):
    """A bad line of a file is a dead letter with file, line and reason, and no other line is lost"""
    folder = ground.fresh()
    records = [(record, reason) for record, reason in RECORDS if record]
    (folder / "orders.jsonl").write_text("".join(record + "\n" for record, _ in records))
    table = (ROOT / "sql/streams/orders.sql").read_text().split("WITH (")[0]
    job = folder / "job.sql"
    job.write_text(table + "WITH ('connector' = 'filesystem', 'path' = 'orders.jsonl', 'format' = 'json');\n"
                   "SELECT COUNT(*) AS n, SUM(amount) AS amount FROM orders;\n")
    out, err = tidemark("run", job, "--format", "csv")
    assert out.split() == ["n,amount", f"4,{GOOD_AMOUNT}"], out
    for line, (_, reason) in enumerate(records, start=1):
        said = [text for text in err.splitlines() if f"orders.jsonl line {line}:" in text]
        assert (reason is None) == (not said), f"line {line}: {said}"
        assert reason is None or reason in said[0], f"line {line}: {said}"


def bad_records_of_a_topic(ground):
    """A bad record of a topic is a dead letter with topic, partition, offset and reason; nothing else is lost"""
    folder, bootstrap = ground.fresh(), ground.bootstrap
    if not KAFKA_LIBS.exists():
        raise Skip(f"no Kafka tools at {KAFKA_LIBS} to write the records with")
    topic = ground.topic("bad")
    kafka("TopicCommand", "--create", "--topic", topic, "--partitions", "1",
          "--config", "max.message.bytes=30000000", bootstrap=bootstrap)
    records = [*RECORDS, FUTURE]
    records = [(record, reason) for record, reason in records if record]
    kafka("ConsoleProducer", "--topic", topic, "--producer-property", "max.request.size=30000000",
          "--producer-property", "buffer.memory=60000000",
          bootstrap=bootstrap, lines="".join(record + "\n" for record, _ in records))
    config = config_for(folder, "orders", topic, bootstrap)
    with Server(["serve"], folder, config=config) as server:
        accounted(server, read=len(records), accepted=4, rejected=len(records) - 4, duplicate=0, shadow=0)
        letters = {row["offset"]: row for row in server.sql('SELECT * FROM dead_letters')}
        bad = {offset: reason for offset, (_, reason) in enumerate(records) if reason is not None}
        assert letters.keys() == bad.keys(), f"{sorted(letters)} for {sorted(bad)}"
        for offset, reason in bad.items():
            assert reason in letters[offset]["reason"], f"offset {offset}: {letters[offset]['reason']}"
            assert letters[offset]["partition"] == 0
        rows = server.wait(lambda: server.view("gmv_by_channel")["rows"], 20, "the good orders")
        assert sum(decimal.Decimal(row["gmv"]) for row in rows) == GOOD_AMOUNT, rows
        # The pipeline goes on behind a bad record.
        kafka("ConsoleProducer", "--topic", topic, bootstrap=bootstrap, lines=order(13) + "\n")
        accounted(server, read=len(records) + 1, accepted=5)


def bad_start(ground, wanted, *arguments):
    """Starts a server that must refuse, soon, with all of these words."""
    folder = ground.fresh()
    _, err = tidemark("serve", "--listen", "127.0.0.1:0", "--postgres", "127.0.0.1:0", "--flight", "127.0.0.1:0",
                      "--data-dir", folder / "data", *arguments, expect=None)
    missing = [word for word in wanted if word not in err]
    assert not missing, f"{missing} not in: {err}"


def a_config_with_unknown_keys(ground):
    """A config with unknown keys is refused: every key with its file, all mistakes together"""
    config = ground.fresh() / "tidemark.toml"
    config.write_text('[server]\nlisten = "127.0.0.1:0"\nport = 8080\n\n[pipeline]\nthreads = 2\npublish-every-ms = 0\n')
    bad_start(ground, ["tidemark.toml", "port", "threads"], "--config", config)


def a_view_with_an_error(ground):
    """Views with errors are refused: file, line and column of each, all together, nothing is created"""
    folder = ground.fresh()
    shutil.copytree(RETAIL, folder / "sql")
    view = (folder / "sql/views/net_by_day.sql").read_text()
    (folder / "sql/views/first.sql").write_text(
        view.replace("net_by_day", "first").replace("SUM(gmv)", "SUM(gvm)"))
    (folder / "sql/views/second.sql").write_text(
        view.replace("net_by_day", "second").replace("'result.retention'", "'result.retantion'"))
    (folder / "sql/views/third.sql").write_text("CREATE MATERIALIZED VIEW third AS\nSELECT FROM WHERE;\n")
    bad_start(ground, ["first.sql:6:", "gvm", "second.sql:", "result.retantion", "result.retention", "third.sql:2:"],
              "--sql-dir", folder / "sql")


def an_unreachable_broker(ground):
    """An unreachable broker is named with its address, and the command ends with another code than 0"""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    bad_start(ground, [address, "cannot reach"], "--config", config_for(ground.fresh(), "orders", "orders", address))


def a_missing_topic(ground):
    """A missing topic is named, and reading does not create it"""
    bootstrap = ground.bootstrap
    topic = ground.topic("missing")
    config = config_for(ground.fresh(), "orders", topic, bootstrap)
    for _ in range(2):
        bad_start(ground, [topic, "does not exist", bootstrap], "--config", config)


def an_empty_topic(ground):
    """An empty topic is served: no rows, no error, and the first order appears when it comes"""
    folder, bootstrap = ground.fresh(), ground.bootstrap
    if not KAFKA_LIBS.exists():
        raise Skip(f"no Kafka tools at {KAFKA_LIBS} to make the topic with")
    topic = ground.topic("empty")
    kafka("TopicCommand", "--create", "--topic", topic, "--partitions", str(PARTITIONS), bootstrap=bootstrap)
    with Server(["serve"], folder, config=config_for(folder, "orders", topic, bootstrap)) as server:
        server.wait(lambda: server.view("gmv_day")["cut"] > 0, 20, "a first cut")
        assert server.view("gmv_day")["rows"] == []
        kafka("ConsoleProducer", "--topic", topic, bootstrap=bootstrap, lines=order(0) + "\n")
        server.wait(lambda: server.view("gmv_day")["rows"], 20, "the first order")
        ends_well(server)


# --- Kafka --------------------------------------------------------------------------------------

def config_for(folder, stream, topic, bootstrap):
    config = folder / "tidemark.toml"
    config.write_text(f'[streams.{stream}]\nconnector = "kafka"\ntopic = "{topic}"\n'
                      f'"properties.bootstrap.servers" = "{bootstrap}"\n')
    return config


def accounted(server, seconds=60, **wanted):
    """Waits until the record accounting holds these counts, and checks that it balances at every look."""
    def holds():
        rows = server.view("record_accounting")["rows"]
        for row in rows:
            parts = [int(row[name]) for name in ("accepted", "duplicate", "rejected", "shadow", "control")]
            assert int(row["read"]) == sum(parts), f"records have disappeared: {row}"
        # The shipped SQL has streams of services beside the orders.
        found.update(next((row for row in rows if row["stream"] == "orders"), rows[0] if rows else {}))
        return rows and all(int(found[name]) == count for name, count in wanted.items())

    found = {}
    try:
        server.wait(holds, seconds, f"accounting of {wanted}")
    except AssertionError as error:
        raise AssertionError(f"{error}; found {found}") from error


def ends_well(server):
    code = server.stop(signal.SIGTERM)
    assert code == 0, f"SIGTERM ended it with {code}:\n" + "".join(server.said)


def replay_arguments(ground, folder, recording, destination):
    return ["replay", with_path("replay.sql", recording, folder), "--sql-dir", RETAIL, "--quiet",
            "--partitions", PARTITIONS, *destination]


def equals_truth(server, recording, seconds):
    """Waits until every window is final and compares all views."""
    by_day, by_hour = truth(recording)
    lines = sum(row[0] for row in by_day.values())
    # Each partition ends with the control record that closes the day.
    accounted(server, seconds, read=lines + PARTITIONS, accepted=lines, control=PARTITIONS)

    def is_final():
        rows = server.view("net_by_day")["rows"]
        return rows and all(row["_mark"] == "final" for row in rows)

    server.wait(is_final, 20, "final days")
    for span, form, want in (("day", "%Y-%m-%d", by_day), ("hour", "%Y-%m-%d %H:%M:%S", by_hour)):
        for scope, place in (("net", 2), ("gross", 3)):
            view = server.view(f"{scope}_by_{span}")
            got = {london(row["window_start"], form): decimal.Decimal(row["gmv"]) for row in view["rows"]}
            # A day or hour with cancellations only has no gross row.
            has_rows = {key: row[place] for key, row in want.items() if key in got or row[place] != 0}
            same(got, has_rows, view["view"])
        net = server.view(f"net_by_{span}")["rows"]
        counts = {london(row["window_start"], form): (int(row["lines"]), int(row["invoices"])) for row in net}
        same(counts, {key: row[:2] for key, row in want.items()}, f"lines and invoices by {span}")
    for scope, place in (("net", 2), ("gross", 3)):
        [total] = server.view(f"{scope}_total")["rows"]
        assert decimal.Decimal(total["gmv"]) == sum(row[place] for row in by_day.values()), total
    late = server.sql("SELECT SUM(late) AS late, SUM(accepted - counted - filtered - late) AS lost FROM views_accounted")
    assert [int(late[0]["late"]), int(late[0]["lost"])] == [0, 0], late


def the_extract_through_kafka(ground):
    """A day through a four-partition topic equals the truth in every view, on the wall, and after a restart"""
    folder, bootstrap = ground.fresh(), ground.bootstrap
    topic = ground.topic("retail")
    to = ["--to", "kafka", "--bootstrap", bootstrap, "--topic", topic]
    tidemark(*replay_arguments(ground, folder, EXTRACT, to))
    config = config_for(folder, "retail", topic, bootstrap)
    with Server(["serve"], folder, RETAIL, config) as server:
        equals_truth(server, EXTRACT, 30)
        unseen = on_the_wall(server, "58635.56", folder / "wall.png")
        ends_well(server)
    with Server(["serve"], folder, RETAIL, config) as server:
        equals_truth(server, EXTRACT, 10)
        # A second replay sends the same line numbers. The days are closed, so not one of them counts.
        tidemark(*replay_arguments(ground, folder, EXTRACT, to))
        lines = sum(row[0] for row in truth(EXTRACT)[0].values())
        accounted(server, 30, read=2 * (lines + PARTITIONS), accepted=lines)
        ends_well(server)
    if unseen:
        raise Skip(unseen)


def on_the_wall(server, figure, shot):
    """The page in a real browser shows the figure; or why nobody looked, for the check to end as skipped."""
    if not os.path.exists(BROWSER) or shutil.which("node") is None:
        return f"all but the wall: there is no browser at {BROWSER}, or no node"
    done = subprocess.run(
        ["node", ROOT / "tests/page/wall.mjs", "--url", server.url, "--shot", shot, "--expect-gmv", figure,
         "--view", "net_total", "--column", "gmv"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr + done.stdout[-1500:]


def killed_in_the_middle(recording, at_lines, config, folder):
    """Kills the server twice while the recording streams in; what it then shows is the truth."""
    def lines_read(server):
        rows = server.view("record_accounting")["rows"]
        return int(rows[0]["read"]) if rows else 0

    total = sum(row[0] for row in truth(recording)[0].values())
    for part in at_lines:
        with Server(["serve"], folder, RETAIL, config) as server:
            server.wait(lambda: lines_read(server) > total * part, 120, f"{part:.0%} of the lines")
            assert lines_read(server) < total, "it was over before the kill; replay slower"
            assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    with Server(["serve"], folder, RETAIL, config) as server:
        equals_truth(server, recording, 180)
        ends_well(server)
    with Server(["serve"], folder, RETAIL, config) as server:
        equals_truth(server, recording, 10)


def the_recording_through_kafka(ground):
    """All 245,903 lines paced through Kafka equal the truth although the server is killed twice on the way"""
    # Half a year in half a minute, so that the kills come in the middle.
    paced_with_kills(ground, whole_recording(), 600_000)


def the_extract_paced_through_kafka(ground):
    """A day paced through Kafka equals the truth although the server is killed twice on the way"""
    # Ten hours of trading in twelve seconds.
    paced_with_kills(ground, EXTRACT, 3_000)


def paced_with_kills(ground, recording, speed):
    """Replays at `speed` times its own and kills the server in the middle; every wait has an end, so that a
    player that cannot keep its pace fails as well as a figure that is wrong."""
    folder, bootstrap = ground.fresh(), ground.bootstrap
    topic = ground.topic("retail-paced")
    to = ["--to", "kafka", "--bootstrap", bootstrap, "--topic", topic]
    arguments = replay_arguments(ground, folder, recording, [*to, "--speed", str(speed)])
    replay = subprocess.Popen([BINARY, *map(str, arguments)], cwd=ROOT, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True)
    try:
        config = config_for(folder, "retail", topic, bootstrap)
        wait_for_topic(replay, folder, config, topic)
        killed_in_the_middle(recording, (0.2, 0.6), config, folder)
        assert replay.wait(60) == 0, replay.stderr.read()
    finally:
        replay.kill()
        replay.wait()


def wait_for_topic(replay, folder, config, topic):
    """The replay makes the topic; until then a server rightly refuses."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert replay.poll() is None, replay.stderr.read()
        try:
            with Server(["serve"], folder, RETAIL, config) as server:
                server.wait(lambda: server.view("record_accounting")["rows"], 10, "a first record")
                return
        except AssertionError as error:
            if topic not in str(error):
                raise
    raise AssertionError(f"the replay made no topic {topic} in 60 s")


# --- the embedded log ---------------------------------------------------------------------------

def the_extract_through_the_embedded_log(ground):
    """A day through the embedded log equals the truth, also after a kill -9 and a restart"""
    folder = ground.fresh()
    config = folder / "tidemark.toml"
    config.write_text(f'[streams.retail]\nconnector = "embedded"\npartitions = "{PARTITIONS}"\n')
    tidemark(*replay_arguments(ground, folder, EXTRACT, ["--to", "local", "--data-dir", folder / "data", "--config", config]))
    with Server(["serve"], folder, RETAIL, config) as server:
        equals_truth(server, EXTRACT, 30)
        server.stop(signal.SIGKILL)
    with Server(["serve"], folder, RETAIL, config) as server:
        equals_truth(server, EXTRACT, 30)
        ends_well(server)


def the_analysts_questions(ground):
    """Every query in sql/examples runs over the demo's views, and records and totals add up"""
    folder = ground.fresh()
    with Server(["demo"], folder) as server:
        days = lambda name: {row["window_start"] for row in server.view(name)["rows"]}
        server.wait(lambda: server.view("top_brands")["rows"], 40, "the first brands")
        # Deposits of the evening before come first; some queries compare views of one day.
        server.wait(lambda: days("placed_gmv_day") & days("net_gmv_day"), 40, "orders of the day itself")
        for file in sorted((ROOT / "sql/examples").glob("*.sql")):
            text = file.read_text()
            # Its note says where an answer may be without rows; some things happen some time after midnight.
            rows = server.sql(text)
            if not rows and "no rows" not in text.lower():
                rows = server.wait(lambda: server.sql(text), 60, f"rows of {file.name}")
            if file.stem == "nothing_disappears":
                assert "orders" in {row["stream"] for row in rows}, rows
                for row in rows:
                    unexplained = {name: row[name] for name in row if name not in ("stream", "read")}
                    assert all(decimal.Decimal(value) == 0 for value in unexplained.values()), row
        ends_well(server)


# --- the life cycle of orders -------------------------------------------------------------------

def in_cents(row, names):
    return {name: round(decimal.Decimal(row[name]) * 100) for name in names}


def orders_in_any_order_of_a_file(ground):
    """`tidemark run` gives the same sums of placed, paid, refunded, cancelled and excess however the events lie"""
    folder = ground.fresh()
    events = life_cycle.events(7, 400)
    want, waiting = life_cycle.totals(events)
    assert all(want.values()) and waiting, want
    sums = ", ".join(f"SUM({name}) AS {name}" for name in life_cycle.MEASURES)
    job = folder / "job.sql"
    job.write_text(life_cycle.local_script(ROOT / "sql/streams", folder / "orders.jsonl")
                   + f"SELECT {sums} FROM order_flow;\n")
    for turn in (events, events[::-1], sorted(events, key=lambda event: event["event_time"])):
        (folder / "orders.jsonl").write_text(life_cycle.lines(turn))
        out, err = tidemark("run", job, "--format", "jsonl")
        got = in_cents(json.loads(out), life_cycle.MEASURES)
        assert got == want, f"{got} for {want}"
        assert f"{len(events)} taken, {waiting} wait for their order" in err, err


def orders_through_kills(ground):
    """Events of orders come in over HTTP while the server is killed -9 three times: no cent and no event is lost"""
    folder = ground.fresh()
    config = folder / "tidemark.toml"
    config.write_text('[pipeline]\ncheckpoint-every-ms = 100\n'
                      '[streams.orders]\nconnector = "embedded"\npartitions = "3"\n'
                      'max-future-skew = "9999 d"\ndedup.horizon = "9 d"\n')
    # Days close, a running total does not: so what comes late is in it too.
    shutil.copytree(ROOT / "sql", folder / "sql")
    sums = ", ".join(f"SUM({name}) AS {name}" for name in life_cycle.MEASURES)
    (folder / "sql/views/order_flow_total.sql").write_text(
        f"CREATE MATERIALIZED VIEW order_flow_total AS SELECT {sums} FROM order_flow;\n")
    events = life_cycle.events(11, 900)
    parts = [events[at::4] for at in range(4)]
    told = []
    for part in parts:
        with Server(["serve"], folder, folder / "sql", config) as server:
            life_cycle.ingest(server, "orders", part[:-20])
            told += part
            orders_add_up(server, told[:-20])
            # Some of it is in a checkpoint, the last of it surely not.
            time.sleep(0.5)
            life_cycle.ingest(server, "orders", part[-20:])
            assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    with Server(["serve"], folder, folder / "sql", config) as server:
        orders_add_up(server, told)
        days = {row["window_start"]: row["net_gmv"] for row in server.view("net_gmv_order_day")["rows"]}
        shown = {shanghai_day(start): round(decimal.Decimal(net) * 100) for start, net in days.items()}
        assert shown == dict(life_cycle.net_by_order_day(told)), shown
        ends_well(server)


def shanghai_day(ms):
    zone = datetime.timezone(datetime.timedelta(hours=8))
    return datetime.datetime.fromtimestamp(int(ms) / 1000, zone).date().isoformat()


def orders_add_up(server, told):
    """Waits until everything is taken in; then the totals are the truth and every event has one fate."""
    def counts():
        if not server.get("/api/views/order_accounting")["rows"]:
            return None
        rows = server.sql("SELECT * FROM lifecycle_accounted WHERE stream = 'order_flow'")
        return rows if sum(int(row["taken"]) for row in rows) >= len(told) else None
    fates = ("applied", "capped", "repeated", "waiting", "expired", "refused", "ignored")
    rows = server.wait(counts, 30, f"{len(told)} events taken in")
    for row in rows:
        assert int(row["taken"]) == sum(int(row[name]) for name in fates), row
    want, waiting = life_cycle.totals(told)
    assert sum(int(row["taken"]) for row in rows) == len(told), rows
    assert sum(int(row["waiting"]) for row in rows) == waiting, rows
    [got] = server.view("order_flow_total")["rows"]
    assert in_cents(got, life_cycle.MEASURES) == want, f"{got} for {want}"
    for row in server.sql("SELECT * FROM views_accounted"):
        assert int(row["accepted"]) == int(row["counted"]) + int(row["filtered"]) + int(row["late"]), row


def the_scorecard_of_sources(ground):
    """Each source's lag, gaps, rejects and late records are those it was made with, whatever order they came in"""
    folder = ground.fresh()
    config = folder / "tidemark.toml"
    config.write_text('[streams.orders]\nconnector = "embedded"\npartitions = "1"\n')
    now = datetime.datetime.now(datetime.timezone.utc)

    def made(source, seq, seconds_ago, **changes):
        time_ = (now - datetime.timedelta(seconds=seconds_ago)).isoformat(timespec="milliseconds")
        return {"event_id": f"{source}-{seq}", "order_id": f"{source}-{seq}", "event_type": "placed", "event_time": time_,
                "amount": "1.00", "source": source, "source_seq": seq, **changes}

    till = [made("till-001", seq, 3) for seq in range(1, 51) if seq not in (7, 8, 30)]
    till = till[::2][::-1] + till[1::2]
    shop = [made("shop-002", seq, 2) for seq in range(1, 41)]
    shop += [shop[3], shop[9]]
    shop[20] = made("shop-002", 21, 0, event_time="1999-12-31T00:00:00Z")
    shop[30] = made("shop-002", 31, 2, amount="a lot")
    old = [made("platform-003", seq, 3600) for seq in range(1, 4)]
    with Server(["serve"], folder, config=config) as server:
        life_cycle.ingest(server, "orders", till + shop + old)
        def counted():
            rows = {row["source"]: row for row in server.view("source_quality")["rows"]}
            return rows if sum(int(row["records"]) for row in rows.values()) >= len(till + shop + old) else None
        rows = server.wait(counted, 30, "all sources")
        share = lambda row, name: float(row[name] or 0)
        assert [int(rows[name]["missing"]) for name in ("till-001", "shop-002")] == [3, 2], rows
        assert share(rows["shop-002"], "rejected_share") == round(2 / 42, 6), rows["shop-002"]
        assert share(rows["till-001"], "rejected_share") == share(rows["till-001"], "late_share") == 0, rows["till-001"]
        assert share(rows["platform-003"], "late_share") == 1, rows["platform-003"]
        ago = (datetime.datetime.now(datetime.timezone.utc) - now).total_seconds() * 1000
        for name in ("lag_ms_p50", "lag_ms_p99", "lag_ms_max"):
            assert 3000 * 0.98 <= float(rows["till-001"][name]) <= (3000 + ago) * 1.02, rows["till-001"]


def a_life_cycle_with_mistakes(ground):
    """A life cycle declared with mistakes is refused: file, line and column of each, all together, with a hint"""
    folder = ground.fresh()
    shutil.copytree(ROOT / "sql", folder / "sql")
    flow = folder / "sql/streams/order_flow.sql"
    text = flow.read_text()
    text = text.replace("'on.paid' = 'pay'", "'on.paid' = 'spend'").replace("'horizon'", "'horizom'")
    text = text.replace("  province STRING,", "  provinse STRING,").replace("net DECIMAL(18, 2) NOT NULL METADATA", "net BIGINT METADATA")
    flow.write_text(text)
    line = lambda word: next(nth for nth, line in enumerate(text.splitlines(), 1) if word in line)
    done = subprocess.run([BINARY, "serve", "--sql-dir", folder / "sql", "--data-dir", folder / "data", "--listen",
                           "127.0.0.1:0"], capture_output=True, text=True, timeout=60, cwd=ROOT)
    said = done.stdout + done.stderr
    assert done.returncode != 0, said
    for words in (f"order_flow.sql:{line('spend')}:3: 'on.paid' = 'spend': 'spend' is no action",
                  f"order_flow.sql:{line('horizom')}:3: unknown option 'horizom'; did you mean 'horizon'?",
                  f"order_flow.sql:{line('provinse')}:3: `provinse` is no column of orders; did you mean 'province'?",
                  f"order_flow.sql:{line('net BIGINT')}:3: METADATA FROM 'net' is a DECIMAL(18, 2) or longer, not a BIGINT"):
        assert words in said, f"{words}\nnot in\n{said}"


# --- several streams, days that are closed, views that come and go ------------------------------

SHOP_STREAM = """CREATE TABLE {name} (
  id STRING NOT NULL,
  shop STRING,
  amount DECIMAL(12, 2),
  event_time TIMESTAMP(3) NOT NULL,
  WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND
) WITH ('connector' = 'embedded', 'format' = 'json', 'partitions' = '2', 'time-zone' = 'Asia/Shanghai',
        'dedup.key' = 'id', 'dedup.horizon' = '3 h', 'partition.key' = 'id');
"""
DAY_VIEW = """CREATE MATERIALIZED VIEW {name} AS
SELECT window_start, window_end, COUNT(*) AS records, {measure} AS amount
FROM TUMBLE({stream}, event_time, INTERVAL '1' DAY)
GROUP BY window_start, window_end;
"""
DAY = datetime.datetime(2020, 11, 11, tzinfo=datetime.timezone(datetime.timedelta(hours=8)))


def milliseconds(time_of):
    return int(time_of.timestamp() * 1000)


def shop_sql(folder, streams):
    """A folder with these streams and one view of a day over each."""
    for name in streams:
        for path, text in ((f"streams/{name}.sql", SHOP_STREAM.format(name=name)),
                           (f"views/{name}_day.sql", DAY_VIEW.format(name=f"{name}_day", stream=name, measure="SUM(amount)"))):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
    return folder


def ingest(server, stream, numbers, minutes=0):
    """Sends records of one yuan each, a second apart; answers after they are durable."""
    start = DAY + datetime.timedelta(minutes=minutes)
    lines = "".join(json.dumps({"id": f"{stream}-{number}", "shop": "a", "amount": "1.00",
                                "event_time": (start + datetime.timedelta(seconds=number)).isoformat()}) + "\n"
                    for number in numbers)
    ask = urllib.request.Request(f"{server.url}/api/ingest/{stream}", lines.encode())
    with urllib.request.urlopen(ask, timeout=30) as answer:
        return json.load(answer)


def day_of(server, view):
    rows = server.view(view)["rows"]
    assert len(rows) <= 1, rows
    return (int(rows[0]["records"]), rows[0]["_mark"]) if rows else (0, None)


def several_streams(ground):
    """Two streams run side by side: each with its own as-of and marks, both in one cut, also after a kill -9"""
    folder = ground.fresh()
    sql = shop_sql(folder / "sql", ["orders", "parcels"])
    with Server(["serve"], folder, sql) as server:
        assert all("offset" in line for line in ingest(server, "orders", range(300)))
        ingest(server, "parcels", range(50), minutes=60)
        try:
            ingest(server, "letters", range(1))
            raise AssertionError("a stream that is not declared was taken")
        except urllib.error.HTTPError as error:
            assert error.code == 404, error
        server.wait(lambda: day_of(server, "orders_day")[0] == 300, 20, "300 orders")
        server.wait(lambda: day_of(server, "parcels_day")[0] == 50, 20, "50 parcels")
        orders, parcels = server.view("orders_day"), server.view("parcels_day")
        assert orders["asOf"] == milliseconds(DAY) + 299_000, orders
        assert parcels["asOf"] == milliseconds(DAY) + 3_600_000 + 49_000, parcels
        told = {row["stream"]: row for row in server.sql("SELECT * FROM current_streams")}
        assert told.keys() == {"orders", "parcels"}, told
        closed, _ = tidemark("close-day", "--sql-dir", sql, "--date", "2020-11-11", "--stream", "orders", "--yes",
                             "--server", server.url)
        assert "2 control records" in closed, closed
        server.wait(lambda: day_of(server, "orders_day") == (300, "final"), 20, "the closed day")
        assert day_of(server, "parcels_day") == (50, "provisional")
        time.sleep(1.5)
        server.stop(signal.SIGKILL)
    with Server(["serve"], folder, sql) as server:
        server.wait(lambda: day_of(server, "orders_day") == (300, "final"), 20, "the closed day again")
        ingest(server, "parcels", range(50, 60), minutes=60)
        server.wait(lambda: day_of(server, "parcels_day")[0] == 60, 20, "60 parcels")
        ends_well(server)


def a_day_is_not_closed_by_mistake(ground):
    """`close-day` says what it will close and asks; a day to come, a wrong stream or nobody to ask stop it"""
    folder = ground.fresh()
    sql = shop_sql(folder / "sql", ["orders", "parcels"])
    refused = [
        # Where none is named it is `orders`.
        (["--date", "2020-11-11"], ["nobody to ask", "--yes"]),
        (["--date", "2020-11-11", "--stream", "letters"], ["no such stream", "orders, parcels"]),
        (["--date", "2020-13-01", "--stream", "orders"], ["2020-13-01"]),
        (["--until", "noon", "--stream", "orders"], ["--until noon", "2020-11-12T00:00:00+08:00"]),
        (["--date", "2999-01-01", "--stream", "orders"], ["still to come", "--ahead"]),
        (["--date", "2020-11-11", "--stream", "orders"], ["nobody to ask", "--yes"]),
        (["--date", "2020-11-11", "--stream", "orders", "--yes", "--server", "http://127.0.0.1:1"], ["cannot reach"]),
    ]
    for arguments, words in refused:
        done = subprocess.run([BINARY, "close-day", "--sql-dir", str(sql), *arguments], capture_output=True, text=True,
                              cwd=ROOT, timeout=60, stdin=subprocess.DEVNULL)
        assert done.returncode != 0, f"{arguments} was taken: {done.stdout}"
        missing = [word for word in words if word not in done.stderr]
        assert not missing, f"{arguments}: {missing} not in: {done.stderr}"


def views_change_on_a_running_server(ground):
    """A view added, changed and removed by reload or SIGHUP fills from the log while the others go on; a mistake changes nothing"""
    folder = ground.fresh()
    sql = shop_sql(folder / "sql", ["orders"])
    with Server(["serve"], folder, sql) as server:
        ingest(server, "orders", range(3000))
        server.wait(lambda: day_of(server, "orders_day")[0] == 3000, 30, "3,000 orders")
        epoch = server.view("orders_day")["epoch"]
        double = DAY_VIEW.format(name="double_day", stream="orders", measure="SUM(amount) * 2")
        (sql / "views/double_day.sql").write_text(double)
        out, _ = tidemark("reload", "--server", server.url)
        assert "added: double_day" in out and "unchanged: 1" in out, out
        ingest(server, "orders", range(3000, 3100))
        for view, amount in (("orders_day", "3100.00"), ("double_day", "6200.00")):
            server.wait(lambda: [row["amount"] for row in server.view(view)["rows"]] == [amount], 20, view)
        assert server.view("orders_day")["epoch"] == epoch, "it was restarted"
        states = {view["name"]: view["state"] for view in server.get("/api/views")}
        assert states["double_day"] == states["orders_day"] == "live", states
        # A mistake is told with its place, and everything stays.
        (sql / "views/double_day.sql").write_text(double.replace("SUM(amount) * 2", "SUM(amuont) * 2"))
        _, err = tidemark("reload", "--server", server.url, expect=1)
        assert "double_day.sql:2:" in err and "amuont" in err, err
        assert [row["amount"] for row in server.view("double_day")["rows"]] == ["6200.00"]
        # SIGHUP is the same.
        (sql / "views/double_day.sql").write_text(double.replace("* 2", "* 3"))
        server.process.send_signal(signal.SIGHUP)
        server.wait(lambda: [row["amount"] for row in server.view("double_day")["rows"]] == ["9300.00"], 20, "SIGHUP")
        (sql / "views/orders_day.sql").unlink()
        out, _ = tidemark("reload", "--server", server.url)
        assert "removed: orders_day" in out, out
        server.wait(lambda: "orders_day" not in {view["name"] for view in server.get("/api/views")}, 20, "its end")
        time.sleep(1.5)
        server.stop(signal.SIGKILL)
    # Over a restart only what is new is computed.
    shop_sql(sql, ["orders"])
    with Server(["serve"], folder, sql) as server:
        server.wait(lambda: [row["amount"] for row in server.view("double_day")["rows"]] == ["9300.00"], 20, "what was kept")
        server.wait(lambda: day_of(server, "orders_day")[0] == 3100, 20, "what is new again")
        accounted_rows = server.sql("SELECT SUM(read) AS read FROM records_accounted")
        assert int(accounted_rows[0]["read"]) == 3100, accounted_rows
        ends_well(server)


def a_topic_that_grows(ground):
    """A topic with more partitions stops a running server and a start, unless the stream accepts it; then the cut says since when"""
    folder, bootstrap = ground.fresh(), ground.bootstrap
    if not KAFKA_LIBS.exists():
        raise Skip(f"no Kafka tools at {KAFKA_LIBS} to change the topic with")
    topic = ground.topic("grows")
    kafka("TopicCommand", "--create", "--topic", topic, "--partitions", "2", bootstrap=bootstrap)
    config = config_for(folder, "orders", topic, bootstrap)
    config.write_text(config.read_text() + "[pipeline]\npartitions-every-ms = 500\n")
    with Server(["serve"], folder, config=config) as server:
        kafka("ConsoleProducer", "--topic", topic, bootstrap=bootstrap, lines=order(0) + "\n")
        accounted(server, read=1)
        time.sleep(1.5)
        kafka("TopicCommand", "--alter", "--topic", topic, "--partitions", "3", bootstrap=bootstrap)

        def is_stopped():
            try:
                server.get("/readyz")
            except urllib.error.HTTPError as error:
                return error.code == 503 and "had 2 partitions and has 3" in error.read().decode()
            return False

        server.wait(is_stopped, 30, "the stop")
        ends_well(server)
    _, err = tidemark("serve", "--listen", "127.0.0.1:0", "--postgres", "127.0.0.1:0", "--flight", "127.0.0.1:0", "--data-dir", folder / "data",
                      "--config", config, expect=None)
    assert "had 2 partitions" in err and "on-partition-added" in err, err
    config.write_text(config.read_text().replace("[pipeline]", '"on-partition-added" = "accept"\n[pipeline]'))
    with Server(["serve"], folder, config=config) as server:
        accounted(server, read=1)
        kafka("TopicCommand", "--alter", "--topic", topic, "--partitions", "4", bootstrap=bootstrap)

        def partitions():
            return {int(row["partition"]) for row in server.sql("SELECT partition FROM records_accounted WHERE stream = 'orders'")}

        server.wait(lambda: partitions() == {0, 1, 2, 3}, 30, "the fourth partition")
        kafka("ConsoleProducer", "--topic", topic, bootstrap=bootstrap,
              lines="".join(order(number) + "\n" for number in range(1, 40)))
        accounted(server, read=40, accepted=40)
        papers = server.get("/api/headline/gmv_day?column=gmv")
        assert papers["partitionsAdded"].keys() == {"2", "3"}, papers
        ends_well(server)


def an_embedded_log_that_grows(ground):
    """More partitions of an embedded stream are refused at start, unless the stream accepts them; then the cut says so"""
    folder = ground.fresh()
    config = folder / "tidemark.toml"

    def declared(partitions, more=""):
        config.write_text(f'[streams.orders]\nconnector = "embedded"\npartitions = "{partitions}"\n{more}')

    def refused():
        _, err = tidemark("serve", "--listen", "127.0.0.1:0", "--postgres", "127.0.0.1:0", "--flight", "127.0.0.1:0", "--data-dir", folder / "data",
                          "--config", config, expect=None)
        return err

    declared(2)
    with Server(["serve"], folder, config=config) as server:
        admission.ingest(server, [admission.order(number) for number in range(20)])
        accounted(server, read=20, accepted=20)
        ends_well(server)
    declared(3)
    err = refused()
    assert "has 2 partitions in the embedded log" in err and "on-partition-added" in err, err
    declared(1, '"on-partition-added" = "accept"\n')
    assert "none can be taken away" in refused(), refused()
    declared(3, '"on-partition-added" = "accept"\n')
    with Server(["serve"], folder, config=config) as server:
        admission.ingest(server, [admission.order(number) for number in range(20, 60)])
        accounted(server, read=60, accepted=60)
        rows = server.sql("SELECT partition, read FROM records_accounted WHERE stream = 'orders'")
        assert {int(row["partition"]) for row in rows if int(row["read"]) > 0} == {0, 1, 2}, rows
        papers = server.get("/api/headline/gmv_day?column=gmv")
        assert papers["partitionsAdded"].keys() == {"2"}, papers
        ends_well(server)


CHECKS = [
    *admission.CHECKS,
    *checkpoints.CHECKS,
    *doctor.CHECKS,
    *result_topics.CHECKS,
    *kafka_as_it_is.CHECKS,
    *workers.CHECKS,
    several_streams,
    a_day_is_not_closed_by_mistake,
    views_change_on_a_running_server,
    a_topic_that_grows,
    an_embedded_log_that_grows,
    orders_in_any_order_of_a_file,
    orders_through_kills,
    a_life_cycle_with_mistakes,
    the_scorecard_of_sources,
    totals_of_the_extract,
    totals_of_the_recording,
    bad_lines_of_a_file,
    a_config_with_unknown_keys,
    a_view_with_an_error,
    an_unreachable_broker,
    the_extract_through_the_embedded_log,
    the_analysts_questions,
    a_missing_topic,
    an_empty_topic,
    bad_records_of_a_topic,
    the_extract_through_kafka,
    the_extract_paced_through_kafka,
    the_recording_through_kafka,
]


def main(checks, words):
    ask = argparse.ArgumentParser(description=words.splitlines()[0])
    ask.add_argument("--only", default="")
    ask.add_argument("--keep", action="store_true", help="leave the folder with data and pictures")
    args = ask.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tidemark-end-to-end-"))
    ground = Ground(folder)
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    try:
        for check in checks:
            if args.only not in check.__name__:
                continue
            began = time.monotonic()
            outcome, words = run_check(check, ground)
            counts[outcome] += 1
            print(f"{outcome:8}{time.monotonic() - began:6.1f} s  {check.__doc__}", flush=True)
            if words:
                print(words, flush=True)
    finally:
        ground.close()
        if args.keep:
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**counts))
    sys.exit(1 if counts["failed"] else 0)


def run_check(check, ground):
    try:
        check(ground)
    except Skip as reason:
        return "skipped", f"skipped: {check.__name__}: {reason}"
    except Exception as error:  # noqa: BLE001 — one failing check must not hide the others
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = str(error) if isinstance(error, AssertionError) and str(error) else traceback.format_exc()
        return "failed", f"    {check.__name__}, line {where.lineno}: {text.strip()[:3000]}"
    return "passed", ""


if __name__ == "__main__":
    main(CHECKS, __doc__)

"""Views as Kafka topics, written by the real binary to a real broker, read by Kafka's own consumer."""
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request

import kafka_tools
from admission import ingest, order
from process import BINARY, ROOT, Server

CONTROL = '{"_control":"cut"}'
PAPERS = ("_cut", "_epoch", "_as_of", "_watermark", "_window_start", "_window_end")
# One total and two ways to split it, a view of many rows that go and come, one over a life cycle.
VIEWS = ("gmv_day", "gmv_by_province", "gmv_by_category", "top_brands", "net_gmv_day")
KILLS = int(os.environ.get("TIDEMARK_KILLS", "3"))
# Where the process ends itself, as a power cut would: with a checkpoint written and no transaction begun, with all
# records of a transaction sent, and with one committed and the next not begun.
POINTS = ("checkpoint-renamed", "transaction-commit", "transaction-begin")


def sql_folder(folder):
    """The shipped SQL with only the views that are looked at here."""
    target = folder / "sql"
    shutil.copytree(ROOT / "sql", target)
    shutil.rmtree(target / "screens")
    (target / "screens").mkdir()
    for file in (target / "views").glob("*.sql"):
        if file.stem not in VIEWS:
            file.unlink()
    return target


def config(folder, bootstrap, prefix, stream, name="tidemark.toml", **topics):
    file = folder / name
    keys = "".join(f'{key.replace("_", "-")} = "{value}"\n' for key, value in topics.items())
    options = "".join(f'"{key}" = "{value}"\n' for key, value in stream.items())
    file.write_text(
        f'[pipeline]\ncheckpoint-every-ms = 300\n[streams.orders]\n{options}[result-topics]\n'
        f'topic = "{prefix}.{{view}}"\nproperties.bootstrap.servers = "{bootstrap}"\n{keys}')
    return file


def kafka_stream(topic, bootstrap):
    return {"connector": "kafka", "topic": topic, "properties.bootstrap.servers": bootstrap}


def cuts_of(topic, records):
    """The cuts of a topic; each is whole, and they follow one another without gap or repeat."""
    cuts, rows = [], []
    for offset, key, value, sequence in records:
        assert sequence == len(cuts) + 1, f"{topic} offset {offset}: sequence {sequence} after {len(cuts)} cuts"
        if key != CONTROL:
            rows.append((key, value))
            continue
        told = [value["upserts"], value["deletes"]]
        found = [sum(row is not None for _, row in rows), sum(row is None for _, row in rows)]
        assert told == found, f"{topic} offset {offset}: the cut says {told} rows and deletions, there are {found}"
        assert value["sequence"] == sequence, (topic, offset, value)
        of_cut = {(row["_epoch"], row["_cut"]) for _, row in rows if row is not None}
        assert of_cut <= {(value["epoch"], value["cut"])}, f"{topic} offset {offset}: rows of {of_cut} in {value}"
        cuts.append((value, rows))
        rows = []
    assert not rows, f"{topic}: {len(rows)} records behind the last cut"
    for (before, _), (after, _) in zip(cuts, cuts[1:]):
        for stream, partitions in before["offsets"].items():
            for partition, next_offset in partitions.items():
                assert after["offsets"][stream][partition] >= next_offset, f"{topic} went back: {before} {after}"
    return cuts


def without_papers(row):
    return {name: value for name, value in row.items() if name not in PAPERS}


def check_topics(prefix, bootstrap, shown):
    """Every topic is right at every cut, and at last holds the rows that were shown; answers the control records."""
    records = kafka_tools.committed([f"{prefix}.{view}" for view in VIEWS], bootstrap)
    cuts = {view: cuts_of(view, records[f"{prefix}.{view}"]) for view in VIEWS}
    names = {view: [(control["epoch"], control["cut"]) for control, _ in cuts[view]] for view in VIEWS}
    assert len({tuple(names[view]) for view in VIEWS}) == 1, {view: len(names[view]) for view in VIEWS}
    state = {view: {} for view in VIEWS}
    for nth in range(len(names["gmv_day"])):
        for view in VIEWS:
            for key, row in cuts[view][nth][1]:
                if row is None:
                    assert state[view].pop(key, None) is not None, f"{view}: {key} went and was not there"
                else:
                    state[view][key] = row
        adds_up(state, names["gmv_day"][nth])
    for view in VIEWS:
        got = sorted(json.dumps(without_papers(row), sort_keys=True) for row in state[view].values())
        want = sorted(json.dumps(row, sort_keys=True) for row in shown[view])
        assert got == want, f"{view}: the topic holds {len(got)} rows, the server showed {len(want)}; " \
            f"{[row for row in got if row not in want][:2]} {[row for row in want if row not in got][:2]}"
    return [control for control, _ in cuts["gmv_day"]]


def adds_up(state, cut):
    """In every cut provinces and categories, which are topics of their own, are the same totals a day."""
    def totals(view):
        found = {}
        for row in state[view].values():
            gmv, orders = found.get(row["window_start"], (0, 0))
            found[row["window_start"]] = gmv + round(float(row["gmv"]) * 100), orders + row["payments"]
        return found

    got, want = totals("gmv_by_category"), totals("gmv_by_province")
    assert got == want, f"cut {cut}: the categories add up to {got}, the provinces to {want}"


@contextlib.contextmanager
def crashing_at(place):
    """Processes started meanwhile end themselves there."""
    os.environ["TIDEMARK_CRASH_AT"] = place
    try:
        yield
    finally:
        del os.environ["TIDEMARK_CRASH_AT"]


@contextlib.contextmanager
def loading(topic, bootstrap, orders, seconds):
    """A day of generated orders on its way into a topic of two partitions."""
    kafka_tools.kafka("TopicCommand", "--create", "--topic", topic, "--partitions", "2", bootstrap=bootstrap)
    load = subprocess.Popen(
        [BINARY, "load", "--bootstrap", bootstrap, "--topic", topic, "--orders", str(orders), "--speed",
         str(86_400 // seconds), "--partitions", "2", "--quiet"], cwd=ROOT, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True)
    try:
        yield load
    finally:
        load.kill()
        load.wait()


def drained(server, records):
    """Waits until so many records are read, and answers the rows of every view at one cut."""
    def is_read():
        [row] = server.sql("SELECT SUM(read) AS read FROM records_accounted")
        return int(row["read"] or 0) == records

    server.wait(lambda: server.view("gmv_day")["cut"], 90, "a first cut")
    server.wait(is_read, 120, f"{records} records")
    return {view: server.view(view)["rows"] for view in VIEWS}


def end_of(topic, bootstrap):
    """Records ever written to a topic without transactions."""
    told = kafka_tools.kafka("GetOffsetShell", "--topic", topic, bootstrap=bootstrap)
    return sum(int(line.rsplit(":", 1)[1]) for line in told.split())


def metric(server, name):
    """A metric of the result topics; 0 before it is told."""
    with urllib.request.urlopen(server.url + "/metrics", timeout=20) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith(f"tidemark_result_topics_{name} "):
                return float(line.split()[1])
    return 0


def says(server, word):
    """Whether one of the alarms has the word; what they are goes into the message of the wait."""
    return any(word in alarm for alarm in server.get("/healthz")["alarms"])


def whole_cuts_through_kills(ground):
    """Result topics hold each cut whole and once, and at last the rows shown, although the server is killed on the way"""
    folder, bootstrap = ground.fresh(), ground.bootstrap
    topic = ground.topic("cuts")
    prefix, sql = ground.topic("result"), sql_folder(folder)
    file = config(folder, bootstrap, prefix, kafka_stream(topic, bootstrap))
    seed = int(os.environ.get("TIDEMARK_SEED", time.time_ns() % 1_000_000))
    dice = random.Random(seed)
    print(f"  seed {seed} (TIDEMARK_SEED)", flush=True)
    with loading(topic, bootstrap, 300_000, 200) as load:
        for point in dice.sample(POINTS * 2, 2 * len(POINTS)):
            # Every life writes at least one cut, so that the next one has something to go on from.
            with crashing_at(f"{point}:{dice.randint(2, 4)}"), Server(["serve"], folder, sql, file, may_end=True) as server:
                assert server.process.wait(60) == -signal.SIGABRT, "".join(server.said)
        for _ in range(KILLS):
            with Server(["serve"], folder, sql, file) as server:
                server.wait(lambda: metric(server, "cuts_total"), 90, "a cut in the topics")
                time.sleep(dice.uniform(0.0, 1.5))
                assert server.stop(signal.SIGKILL) == -signal.SIGKILL
        assert load.poll() is None, "the load was over before the kills were"
    with Server(["serve"], folder, sql, file) as server:
        shown = drained(server, end_of(topic, bootstrap))
        assert not server.get("/healthz")["alarms"], server.get("/healthz")
        assert server.stop(signal.SIGTERM) == 0
    controls = check_topics(prefix, bootstrap, shown)
    epochs = {control["epoch"] for control in controls}
    hits = ", ".join(f"{point} 2" for point in POINTS)
    print(f"  {len(controls)} cuts of {len(epochs)} lives; killed at: {hits}, at random {KILLS}", flush=True)
    assert len(epochs) >= KILLS + 4, f"cuts of only {len(epochs)} lives: the kills came too early"


def a_dead_result_broker(ground):
    """A result broker that hangs costs the figures nothing, is an alarm, and the topics are right again once it is back"""
    folder, bootstrap = ground.fresh(), ground.bootstrap
    if ground.broker_pid is None:
        raise ground.skip("the broker is not ours to be stopped")
    prefix, sql = ground.topic("result"), sql_folder(folder)
    file = config(folder, bootstrap, prefix, {"connector": "embedded"}, properties_message_timeout_ms="3000",
                  properties_transaction_timeout_ms="10000")
    file.write_text(file.read_text().replace("properties-message-timeout-ms", "properties.message.timeout.ms")
                    .replace("properties-transaction-timeout-ms", "properties.transaction.timeout.ms"))
    with Server(["serve"], folder, sql, file) as server:
        ingest(server, [order(number) for number in range(500)])
        server.wait(lambda: total(server) == 500, 60, "the first orders")
        topic_holds(prefix, bootstrap, 500)
        os.kill(ground.broker_pid, signal.SIGSTOP)
        try:
            slowest = 0
            for number in range(500, 3_500, 500):
                before = server.view("gmv_day")["cut"]
                ingest(server, [order(number + nth) for nth in range(500)])
                began = time.monotonic()
                server.wait(lambda: total(server) == number + 500, 5, "orders while the result broker hangs")
                slowest = max(slowest, time.monotonic() - began)
                assert server.view("gmv_day")["cut"] > before
            server.wait(lambda: says(server, "result topics"), 90, "an alarm")
            assert server.get("/readyz")["status"] == "ready"
        finally:
            os.kill(ground.broker_pid, signal.SIGCONT)
        server.wait(lambda: not server.get("/healthz")["alarms"], 60, "that it heals")
        ingest(server, [order(number) for number in range(3_500, 4_000)])
        shown = drained(server, 4_000)
        assert server.stop(signal.SIGTERM) == 0
    check_topics(prefix, bootstrap, shown)
    print(f"  slowest 500 orders while it hung: {slowest:.2f} s", flush=True)


def total(server):
    return sum(row["payments"] for row in server.view("gmv_by_province")["rows"])


def topic_holds(prefix, bootstrap, orders):
    """Waits until the topic of the provinces holds so many orders."""
    end = time.monotonic() + 90
    while time.monotonic() < end:
        with contextlib.suppress(AssertionError):
            found = kafka_tools.committed([f"{prefix}.gmv_by_province"], bootstrap)
            rows = {}
            for _, key, value, _ in next(iter(found.values())):
                rows[key] = value
            if sum(row["payments"] for key, row in rows.items() if key != CONTROL and row) == orders:
                return
    raise AssertionError(f"the topic does not hold {orders} orders")


def a_zombie_is_shut_out(ground):
    """A stopped process that wakes after another took over its transactional id writes nothing and says so"""
    folder, bootstrap = ground.fresh(), ground.bootstrap
    topic = ground.topic("zombie")
    prefix, sql = ground.topic("result"), sql_folder(folder)
    file = config(folder, bootstrap, prefix, kafka_stream(topic, bootstrap), transactional_id=prefix)
    with loading(topic, bootstrap, 300_000, 200) as load, Server(["serve"], folder, sql, file) as zombie:
        zombie.wait(lambda: metric(zombie, "cuts_total") >= 2, 90, "cuts in the topics")
        zombie.process.send_signal(signal.SIGSTOP)
        other = folder / "other"
        other.mkdir()
        with Server(["serve"], other, sql, file) as server:
            server.wait(lambda: metric(server, "cuts_total") >= 2, 90, "cuts of the second")
            zombie.process.send_signal(signal.SIGCONT)
            zombie.wait(lambda: says(zombie, "shut this one out"), 90,
                        "that the zombie says so")
            load.kill()
            load.wait()
            shown = drained(server, end_of(topic, bootstrap))
            assert not server.get("/healthz")["alarms"], server.get("/healthz")
            assert server.stop(signal.SIGTERM) == 0
        assert says(zombie, "shut this one out")
    controls = check_topics(prefix, bootstrap, shown)
    lives = [control["epoch"] for control in controls]
    assert len(set(lives)) == 2 and lives == sorted(lives), "the two wrote by turns"


def a_zombie_may_not_write_checkpoints(ground):
    """A stopped process that wakes after another took over its checkpoints writes none, stops and says whose they are"""
    folder, bootstrap = ground.fresh(), ground.bootstrap
    topic, sql = ground.topic("fenced"), sql_folder(folder)
    kafka_tools.kafka("TopicCommand", "--create", "--topic", topic, "--partitions", "1", bootstrap=bootstrap)
    place, other = folder / "shared", folder / "other"
    other.mkdir()
    file = folder / "tidemark.toml"
    options = "".join(f'"{key}" = "{value}"\n' for key, value in kafka_stream(topic, bootstrap).items())
    file.write_text(f'[pipeline]\ncheckpoint-every-ms = 300\ncheckpoint-store = "{place}"\n[streams.orders]\n{options}')

    def produce(numbers):
        kafka_tools.kafka("ConsoleProducer", "--topic", topic, bootstrap=bootstrap,
                          lines="".join(order(number) + "\n" for number in numbers))

    def newest():
        return max((int(file.stem) for file in place.glob("*.checkpoint")), default=0)

    produce(range(100))
    with Server(["serve"], folder, sql, file) as zombie:
        zombie.wait(lambda: total(zombie) == 100, 90, "the first orders")
        before = newest()
        zombie.wait(lambda: newest() > before + 2, 90, "checkpoints of them")
        zombie.process.send_signal(signal.SIGSTOP)
        with Server(["serve"], other, sql, file) as server:
            # The orders are in the checkpoint: the second process goes on from there.
            server.wait(lambda: total(server) == 100, 90, "the orders of the checkpoint")
            produce(range(90, 150))
            server.wait(lambda: total(server) == 150, 90, "more orders")
            zombie.process.send_signal(signal.SIGCONT)
            zombie.wait(lambda: "has taken it over with generation" in not_ready(zombie), 90, "that the zombie stops")
            begun = newest()
            server.wait(lambda: newest() > begun + 2, 90, "checkpoints of the owner")
            assert not server.get("/healthz")["alarms"], server.get("/healthz")
            assert server.stop(signal.SIGTERM) == 0
        assert json.loads((place / "owner").read_text())["generation"] == 2
        zombie.stop(signal.SIGTERM)
    with Server(["serve"], other, sql, file) as server:
        server.wait(lambda: total(server) == 150, 90, "the orders after all")
        assert server.stop(signal.SIGTERM) == 0


def not_ready(server):
    """Why a server is not ready; nothing while it is."""
    try:
        server.get("/readyz")
        return ""
    except urllib.error.HTTPError as error:
        return error.read().decode()


CHECKS = [a_zombie_may_not_write_checkpoints, whole_cuts_through_kills, a_dead_result_broker, a_zombie_is_shut_out]

"""Workers that share the partitions of a consumer group: they come, move, die and wake, and the server that merges
them shows what one process shows that read it all."""
import collections
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import urllib.request

import checkpoints
import figures
import life_cycle
import kafka_tools
from fake_s3 import Bucket
from kafka_tools import kafka
from process import BINARY, ROOT, Server

PARTITIONS = 6
ORDERS = 4_000
# The least that a broker allows where nothing is changed.
SESSION_MS = 6_000
EVENTS_A_SECOND = 400
TAKEOVER_SECONDS_MAX = 60


class Worker:
    """`tidemark pipeline` with what it says; leaves nothing running behind."""

    def __init__(self, folder, name, sql, config):
        self.name = name
        self.said = collections.deque(maxlen=2_000)
        self.process = subprocess.Popen(
            [BINARY, "pipeline", "--sql-dir", str(sql), "--config", str(config), "--data-dir", str(folder / name)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, errors="replace")
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.said.append(line)

    def heard(self, pattern):
        """All that it has said of this form."""
        return [found for line in list(self.said) if (found := re.search(pattern, line))]

    def wait(self, pattern, what, seconds=TAKEOVER_SECONDS_MAX):
        until(lambda: self.heard(pattern), f"{self.name}: {what}", seconds, lambda: "".join(self.said)[-3_000:])

    def end(self, how=signal.SIGKILL):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(how)
            self.process.wait(60)
        return self.process.returncode


class Feeder:
    """Events into the topic, by order, a few at a time and as many as are allowed, so that something is under way."""

    def __init__(self, topic, events, bootstrap):
        keyed = kafka_tools.command(
            "ConsoleProducer", "--topic", topic, "--property", "parse.key=true", "--property", "key.separator=|",
            "--producer-property", "linger.ms=10", bootstrap=bootstrap)
        self.process = subprocess.Popen(keyed, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        self.events, self.fed, self.allowed = events, 0, 0
        threading.Thread(target=self._feed, daemon=True).start()

    def allow(self, share):
        """Lets a share of all events go; answers how many these are."""
        self.allowed = int(len(self.events) * share)
        return self.allowed

    def _feed(self):
        while self.fed < len(self.events):
            for event in self.events[self.fed:min(self.fed + 20, self.allowed)]:
                self.process.stdin.write(f"{event['order_id']}|{json.dumps(event)}\n")
                self.fed += 1
            self.process.stdin.flush()
            time.sleep(20 / EVENTS_A_SECOND)
        self.process.stdin.close()

    def ended(self):
        return self.fed == len(self.events) and self.process.wait(60) == 0


def until(holds, what, seconds, more=str):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"{what}: not in {seconds} s\n{more()}"
        time.sleep(0.1)


def owners(shared):
    """The process that has each partition, and the generation of its claim."""
    found = {}
    for partition in range(PARTITIONS):
        try:
            owner = json.loads((shared / f"partitions/orders/{partition}/owner").read_text())
        except FileNotFoundError:
            continue
        found[partition] = (int(re.search(r"pid (\d+)", owner["name"])[1]), owner["generation"])
    return found


def of(shared, worker):
    return {partition for partition, (pid, _) in owners(shared).items() if pid == worker.process.pid}


def setting(ground):
    """A topic, an SQL folder over it and the configuration of all processes."""
    folder, bootstrap = ground.fresh(), ground.bootstrap
    topic = ground.topic("workers")
    kafka("TopicCommand", "--create", "--topic", topic, "--partitions", str(PARTITIONS), bootstrap=bootstrap)
    sql, shared = folder / "sql", folder / "shared"
    shutil.copytree(ROOT / figures.SQL, sql)
    stream = sql / "streams/orders.sql"
    declared = stream.read_text().replace(
        "  'connector' = 'embedded',\n  'partitions' = '2',\n",
        f"  'connector' = 'kafka',\n  'topic' = '{topic}',\n  'properties.bootstrap.servers' = '{bootstrap}',\n")
    assert topic in declared, declared
    stream.write_text(declared)
    common = ("batch-records-max = 50\npublish-every-ms = 20\ncheckpoint-every-ms = 500\nhistory-commit-every-ms = 500\n"
              f'history-key-file = "{folder}/history.key"\n')
    several, alone = folder / "several.toml", folder / "alone.toml"
    several.write_text(f'[pipeline]\n{common}checkpoint-store = "{shared}"\nworker-group = "{topic}"\n'
                       f'worker-session-timeout-ms = {SESSION_MS}\n[streams.orders]\nhistory = "keep"\n')
    alone.write_text(f'[pipeline]\n{common}[streams.orders]\nhistory = "keep"\n')
    (folder / "history.key").write_text(os.urandom(32).hex())
    return folder, topic, sql, shared, several, alone


def workers_come_and_go(ground):
    """Workers join, are killed and wake as zombies, and the server that merges them shows what one process shows"""
    folder, topic, sql, shared, several, alone = setting(ground)
    events = life_cycle.events(41, ORDERS)
    # Some of them twice, and some that are no orders at all.
    events += events[::10]
    events += [{"event_id": f"b{number}", "order_id": f"b{number}", "event_type": "placed", "event_time": "soon"}
               for number in range(60)]
    alive = []

    def worker(name):
        alive.append(Worker(folder, name, sql, several))
        return alive[-1]

    (folder / "server").mkdir()
    try:
        first, second = worker("first"), worker("second")
        feeder = Feeder(topic, events, ground.bootstrap)
        with Server(["server"], folder / "server", sql, several) as server:
            both_have = lambda: of(shared, first) and of(shared, second) and len(owners(shared)) == PARTITIONS
            until(both_have, "partitions of both", TAKEOVER_SECONDS_MAX, lambda: owners(shared))
            feeder.allow(0.3)
            figures.drained(server, 300)
            third = worker("third")
            until(lambda: of(shared, third), "a partition of the third", TAKEOVER_SECONDS_MAX, lambda: owners(shared))
            before, allowed = figures.read_by(server), feeder.allow(0.6)
            figures.drained(server, before + 300)
            was_of_first = of(shared, first)
            first.end(signal.SIGKILL)
            until(lambda: not of(shared, first), f"{was_of_first} of others", TAKEOVER_SECONDS_MAX, lambda: owners(shared))
            figures.drained(server, allowed)
            # The server dies in between: it goes on from its own checkpoint.
            assert server.stop(signal.SIGKILL) == -signal.SIGKILL
        with Server(["server"], folder / "server", sql, several) as server:
            figures.drained(server, allowed)
            assert of(shared, second), owners(shared)
            feeder.allow(1)
            # In the midst of it, with records folded that are in no checkpoint.
            figures.drained(server, allowed + 300)
            second.process.send_signal(signal.SIGSTOP)
            until(lambda: of(shared, third) == set(range(PARTITIONS)), "all of the third", TAKEOVER_SECONDS_MAX,
                  lambda: (owners(shared), "".join(third.said)[-3_000:]))
            claimed = owners(shared)
            second.process.send_signal(signal.SIGCONT)
            # Its writes are refused with the generation of whoever has the partition.
            second.wait(r"has taken it over with generation \d+", "that its write was refused")
            assert second.heard(rf"pid {third.process.pid}\) has taken it over"), "".join(second.said)[-3_000:]
            # It is a member again after that, with claims of its own.
            until(lambda: of(shared, second), "a partition of the woken one", TAKEOVER_SECONDS_MAX,
                  lambda: (owners(shared), "".join(second.said)[-3_000:]))
            assert all(owners(shared)[partition][1] >= generation for partition, (_, generation) in claimed.items())
            until(feeder.ended, "all events in the topic", 120)
            close = subprocess.run([BINARY, "close-day", "--sql-dir", sql, "--date", "2020-11-11", "--yes"],
                                   capture_output=True, text=True, cwd=ROOT, timeout=60)
            assert close.returncode == 0, close.stderr
            records = len(events) + PARTITIONS
            figures.drained(server, records, 120)
            server.wait(lambda: server.health()["alarms"] == [], 30, "no alarm")
            assert third.end(signal.SIGTERM) == 0, "".join(third.said)[-3_000:]
            assert second.end(signal.SIGTERM) == 0, "".join(second.said)[-3_000:]
            merged = figures.figures(server, ["orders"])
            assert server.stop(signal.SIGTERM) == 0
        # What a server shows after a restart is what it showed before.
        with Server(["server"], folder / "server", sql, several) as server:
            figures.drained(server, records)
            figures.equal(figures.figures(server, ["orders"]), merged, "after a restart")
    finally:
        for one in alive:
            one.end()
    (folder / "twin").mkdir()
    with Server(["serve"], folder / "twin", sql, alone) as server:
        figures.drained(server, records, 120)
        whole = figures.figures(server, ["orders"])
    assert '"_mark": "final"' in whole["day"] and whole["orders"] and whole["dead_letters"], whole
    figures.equal(merged, whole, "several workers")


def a_bucket_is_shared(ground):
    """Over a bucket that refuses for a while and a worker that is killed, a server merges every record once"""
    folder, topic, sql, shared, several, alone = setting(ground)
    events = life_cycle.events(43, 600)
    events += events[::10]
    half = len(events) // 2
    with Bucket() as bucket:
        several.write_text(several.read_text().replace(str(shared), checkpoints.with_bucket(bucket)))
        alive = [Worker(folder, "first", sql, several)]
        (folder / "server").mkdir()
        feeder = Feeder(topic, events, ground.bootstrap)
        try:
            with Server(["server"], folder / "server", sql, several) as server:
                alive[0].wait("is this worker's with generation 1", "its partitions")
                figures.drained(server, feeder.allow(0.5))
                bucket.fails = {"PUT", "GET"}
                feeder.allow(0.8)
                server.wait(lambda: server.health()["alarms"], 60, "an alarm")
                alive[0].wait("the checkpoint was not written", "that it cannot write")
                bucket.fails = set()
                figures.drained(server, half + 50)
                alive[0].end(signal.SIGKILL)
                alive.append(Worker(folder, "second", sql, several))
                feeder.allow(1)
                alive[1].wait("is this worker's with generation 2", "what was the first one's")
                until(feeder.ended, "all events in the topic", 60)
                figures.drained(server, len(events), 120)
                server.wait(lambda: server.health()["alarms"] == [], 60, "no alarm")
                merged = figures.figures(server, ["orders"])
                assert alive[1].end(signal.SIGTERM) == 0, "".join(alive[1].said)[-3_000:]
                assert server.stop(signal.SIGTERM) == 0
        finally:
            for one in alive:
                one.end()
    (folder / "twin").mkdir()
    with Server(["serve"], folder / "twin", sql, alone) as server:
        figures.drained(server, len(events), 120)
        figures.equal(merged, figures.figures(server, ["orders"]), "over a bucket")


def marks_of_transactions(ground):
    """Marks of transactions at the ends of partitions, behind which nothing is to be read, are no lag of the server"""
    folder, topic, sql, _, several, _ = setting(ground)
    events = life_cycle.events(47, 100)
    payload = folder / "payload"
    payload.write_text(life_cycle.lines(events))
    one = Worker(folder, "one", sql, several)
    (folder / "server").mkdir()
    try:
        words = kafka_tools.command(
            "ProducerPerformance", "--topic", topic, "--num-records", 600, "--payload-file", payload, "--throughput", 1_000,
            "--transactional-id", topic, "--transaction-duration-ms", 100, "--producer-props",
            f"bootstrap.servers={ground.bootstrap}", bootstrap=ground.bootstrap)
        words = [word for word in words if word not in ("--bootstrap-server", ground.bootstrap)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        with Server(["server"], folder / "server", sql, several) as server:
            figures.drained(server, 600)
            told = kafka("GetOffsetShell", "--topic", topic, bootstrap=ground.bootstrap)
            ends = sum(int(line.rsplit(":", 1)[1]) for line in told.split())
            assert ends > 600, "there are marks in the log"
            server.wait(lambda: lag(server) == 0, 30, "no lag")
            assert figures.read_by(server) == 600
    finally:
        one.end()


def lag(server):
    """Records in the log that are not read, as the status frame says."""
    with urllib.request.urlopen(server.url + "/api/events?views=of_all", timeout=20) as answer:
        for line in answer:
            if b'"status"' in line:
                return json.loads(line.decode().strip().removeprefix("data:"))["lagRecords"]
    return None


def others_are_refused(ground):
    """A worker with other views, a server of its own place and a whole process in the shared one are refused in words"""
    folder, _, sql, shared, several, alone = setting(ground)
    one = Worker(folder, "one", sql, several)
    try:
        until(lambda: len(owners(shared)) == PARTITIONS, "all partitions", TAKEOVER_SECONDS_MAX,
              lambda: "".join(one.said)[-3_000:])
        other = folder / "other"
        shutil.copytree(sql, other)
        view = next(iter(sorted((other / "views").glob("day.sql"))))
        view.write_text(view.read_text().replace("COUNT(*)", "COUNT(*) + 1"))
        said = refused("pipeline", folder / "x", other, several)
        assert "view day is defined otherwise here" in said and "pipeline.worker-group" in said, said
        said = refused("server", folder / "x", other, several, *DOORS)
        assert "view day is defined otherwise here" in said, said
        said = refused("pipeline", folder / "x", sql, alone)
        assert "pipeline.checkpoint-store" in said, said
        assert one.process.poll() is None
        assert one.end(signal.SIGTERM) == 0, "".join(one.said)
    finally:
        one.end()


DOORS = ["--listen", "127.0.0.1:0", "--postgres", "", "--flight", ""]


def refused(command, data, sql, config, *more):
    done = subprocess.run([BINARY, command, "--sql-dir", sql, "--config", config, "--data-dir", data, *more],
                          capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode != 0, done.stdout
    return done.stderr


CHECKS = [workers_come_and_go, a_bucket_is_shared, marks_of_transactions, others_are_refused]

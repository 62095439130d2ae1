#!/usr/bin/env python3
"""Kills a real server again and again while it drains a log; what it then shows equals what a server shows
that was never interrupted: rows, ledgers, accounting and history, to the byte.

    crashes.py [--kills N] [--seed N] [--on embedded,kafka] [--keep]

A kill is a fail point (TIDEMARK_CRASH_AT, see pipeline/src/fail_points.rs) or SIGKILL at a random instant.
Every fail point has to be hit; the hits are printed. The last line is `N passed, N failed, N skipped`.
"""
import argparse
import collections
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import figures
import life_cycle
from process import ROOT, Server

# How often a place is reached while the log is drained: the kill comes at a random one of these.
PLACES = {"source-read": 400, "fold": 300, "publish": 12, "published": 12, "ledger-write": 8, "ledger-persist": 3,
          "dedup-append": 5, "journal-append": 5, "checkpoint-write": 3, "checkpoint-rename": 3,
          "checkpoint-renamed": 3, "checkpoint-forget": 3, "history-commit": 2, "history-committed": 2}
# Those of result topics are hit by the suite of result topics.
ELSEWHERE = {"transaction-begin", "transaction-commit"}
RANDOM = "any instant"
KILLS_A_LIFE = 3
ORDERS = 3_000
HIT_SECONDS_MAX = 6
# Small batches and frequent checkpoints, so that there is much to be interrupted.
CONFIG = """[pipeline]
batch-records-max = 12
publish-every-ms = 20
checkpoint-every-ms = 100
history-commit-every-ms = 200
history-compact-every = 3
[streams.orders]
history = "keep"
"""


def declared():
    """The places that the program has."""
    text = (ROOT / "pipeline/src/fail_points.rs").read_text()
    listed = re.search(r"pub const PLACES: \[&str; \d+\] = \[(.*?)\];", text, re.S)
    return set(re.findall(r'"([a-z-]+)"', listed[1]))


class Log:
    """A full log, and what an uninterrupted server makes of it."""

    def __init__(self, folder, config, sql):
        self.folder, self.config, self.sql = folder, config, sql
        self.records, self.want, self.lives = 0, None, 0

    def server(self, folder):
        return Server(["serve"], folder, self.sql, self.config)

    def fresh(self):
        """A data folder with nothing but the log."""
        self.lives += 1
        folder = self.folder / f"life-{self.lives}"
        folder.mkdir()
        if (self.folder / "twin/data/log").exists():
            shutil.copytree(self.folder / "twin/data/log", folder / "data/log")
        return folder


def embedded(folder):
    config = folder / "tidemark.toml"
    config.write_text(CONFIG)
    log = Log(folder, config, ROOT / figures.SQL)
    (folder / "twin").mkdir()
    events = life_cycle.events(31, ORDERS)
    # Some of them twice, and some that are no orders at all.
    events += events[::10]
    broken = [{"event_id": f"b{number}", "order_id": f"b{number}", "event_type": "placed", "event_time": "soon"}
              for number in range(40)]
    with log.server(folder / "twin") as server:
        life_cycle.ingest(server, "orders", events + broken)
        close = subprocess.run([os.environ["TIDEMARK"], "close-day", "--sql-dir", log.sql, "--date", "2020-11-11",
                                "--yes", "--server", server.url], capture_output=True, text=True)
        assert close.returncode == 0, close.stderr
        log.records = len(events) + len(broken) + 2
        figures.drained(server, log.records)
        log.want = figures.figures(server, ["orders"])
        assert server.stop(signal.SIGTERM) == 0
    return log


def kafka(folder):
    from end_to_end import Ground, Skip, kafka as tool
    ground = Ground(folder)
    try:
        bootstrap = ground.bootstrap
    except Skip as reason:
        return ground, str(reason)
    topic = f"crashes-{os.getpid()}"
    sql = folder / "sql"
    shutil.copytree(ROOT / figures.SQL, sql)
    stream = sql / "streams/orders.sql"
    stream.write_text(stream.read_text().replace("  'connector' = 'embedded',\n  'partitions' = '2',\n",
                      f"  'connector' = 'kafka',\n  'topic' = '{topic}',\n  'properties.bootstrap.servers' = '{bootstrap}',\n"))
    config = folder / "tidemark.toml"
    config.write_text(CONFIG)
    log = Log(folder, config, sql)
    tool("TopicCommand", "--create", "--topic", topic, "--partitions", "2", bootstrap=bootstrap)
    events = life_cycle.events(37, ORDERS)
    events += events[::10]
    tool("ConsoleProducer", "--topic", topic, bootstrap=bootstrap, lines=life_cycle.lines(events))
    log.records = len(events)
    (folder / "twin").mkdir()
    with log.server(folder / "twin") as server:
        figures.drained(server, log.records)
        log.want = figures.figures(server, ["orders"])
        assert server.stop(signal.SIGTERM) == 0
    return ground, log


class Kills:
    """What is left to be done, and what has been."""

    def __init__(self, number, dice):
        self.dice, self.hits, self.missed = dice, collections.Counter(), collections.Counter()
        # Every place first, then whatever the dice say; a third of all at no place at all.
        self.todo = list(PLACES) + [RANDOM] * (len(PLACES) // 2)
        while len(self.todo) < number:
            self.todo.append(dice.choice([RANDOM, *PLACES]))
        dice.shuffle(self.todo)

    def kill(self, log, folder, is_first):
        """Runs the server until it dies of the next kill; whether it had read the whole log by then."""
        place = self.todo.pop()
        at = self.dice.randrange(1, PLACES[place] + 1) if place != RANDOM else 0
        # A place that was not reached in time is tried again at its first time.
        at = 1 if self.missed[place] and place != RANDOM else at
        os.environ.pop("TIDEMARK_CRASH_AT", None)
        if place != RANDOM:
            os.environ["TIDEMARK_CRASH_AT"] = f"{place}:{at}"
        try:
            server = log.server(folder)
        except AssertionError as error:
            # It may have died before it said where it listens.
            server = None
            assert f"crash at {place}:{at}" in str(error), error
        finally:
            os.environ.pop("TIDEMARK_CRASH_AT", None)
        if server is None:
            self.hits[place] += 1
            return
        with server:
            if place == RANDOM:
                time.sleep(self.dice.random() * 0.6)
                code = server.stop(signal.SIGKILL)
                assert code == -signal.SIGKILL, f"it had ended with {code}:\n" + "".join(server.said)
                self.hits[place] += 1
                return
            try:
                code = server.process.wait(HIT_SECONDS_MAX)
                assert code == -signal.SIGABRT, f"{place}:{at} ended it with {code}:\n" + "".join(server.said)
                self.hits[place] += 1
            except subprocess.TimeoutExpired:
                server.stop(signal.SIGKILL)
                self.missed[place] += 1
                assert self.missed[place] < 8, f"{place} is never reached"
                self.todo.insert(0, place)

    def run(self, log):
        while self.todo:
            folder = log.fresh()
            told = []
            for nth in range(self.dice.randrange(1, KILLS_A_LIFE + 1)):
                if self.todo:
                    told.append(self.todo[-1])
                    self.kill(log, folder, nth == 0)
            with log.server(folder) as server:
                figures.drained(server, log.records)
                figures.equal(figures.figures(server, ["orders"]), log.want, f"after kills at {', '.join(told)}")
                assert server.stop(signal.SIGTERM) == 0
            shutil.rmtree(folder)


def main():
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--kills", type=int, default=20)
    ask.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    ask.add_argument("--on", default="embedded,kafka")
    ask.add_argument("--keep", action="store_true")
    args = ask.parse_args()
    print(f"seed {args.seed}", flush=True)
    assert declared() - ELSEWHERE == PLACES.keys(), "every place is to be hit"
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tidemark-crashes-"))
    counts = collections.Counter()
    try:
        for name in args.on.split(","):
            counts[one(name, folder, args)] += 1
    finally:
        if args.keep:
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    sys.exit(1 if counts["failed"] else 0)


def one(name, folder, args):
    own = folder / name
    own.mkdir()
    ground = None
    # Kafka's share is a third: its client is what differs there, not the checkpoints.
    kills = Kills(args.kills if name == "embedded" else args.kills // 3, random.Random(args.seed))
    try:
        log = None
        if name == "kafka":
            ground, log = kafka(own)
            if isinstance(log, str):
                print(f"skipped: kafka: {log}")
                return "skipped"
        else:
            log = embedded(own)
        began = time.monotonic()
        kills.run(log)
        print(f"{name}: {sum(kills.hits.values())} kills in {time.monotonic() - began:.0f} s over {log.records} records")
        for place in [*PLACES, RANDOM]:
            print(f"  {place:20}{kills.hits[place]:5}")
            assert kills.hits[place] or place == RANDOM, f"{place} was not hit"
    except AssertionError as error:
        print(f"failed: {name}: {error}")
        return "failed"
    finally:
        if ground:
            ground.close()
    return "passed"


if __name__ == "__main__":
    main()

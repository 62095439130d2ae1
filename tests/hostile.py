#!/usr/bin/env python3
"""What somebody might do to the doors, through real sockets, and what comes of it.

    hostile.py [--only TEXT]

A server plays a day of orders while every line of the lists below is tried, one after the other: files, the network,
settings, questions without an end, statements and messages of any size, and bytes that are no protocol at all. Each is
refused with the words that it should be, or stopped by its limit and within its time. Meanwhile somebody else asks over
every door and has to be answered, the cuts go on, and the memory of the process stays within its bounds. The list is
printed with its outcomes; the last line is `N passed, N failed, N skipped`.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

from hostile_bytes import PROTOCOL
from process import Server
from wire import Wire, door

SECONDS_MAX = 2
# What a query may take to notice that its time is over, and a machine of two cores to get to it.
NOTICE_SECONDS_MAX = 4
MEMORY_BYTES_MAX = 64 * 1_048_576
CONCURRENT_MAX = 3
# Three times the memory of each query, once more for what waits to be fetched (config/default.toml), and what the system under
# it takes.
GROWTH_BYTES_MAX = (3 + 1) * CONCURRENT_MAX * MEMORY_BYTES_MAX + 256 * 1_048_576
OTHERS_SECONDS_MAX = 5
# Past this the server itself says that its figures stand still (server.stalled-after-ms).
CUTS_SECONDS_MAX = 10
MEBI = 1_048_576
CONFIG = f"""[sql]
seconds-max = {SECONDS_MAX}
memory-bytes-max = {MEMORY_BYTES_MAX}
concurrent-max = {CONCURRENT_MAX}
threads = 1
"""
REFUSED, SYNTAX, UNKNOWN, TOO_LARGE, TOO_LONG, MEMORY, ROWS, ANSWERED = (
    "42501", "42601", "42000", "54001", "57014", "53200", "54000", "ready")
MILLION = "generate_series(1, 1000000)"


def chain(links):
    """A chain of WITHs that doubles with every link."""
    names = [f"t{nth} AS (SELECT a.x FROM t{nth - 1} a, t{nth - 1} b)" for nth in range(1, links)]
    return f"WITH t0 AS (SELECT 1 AS x), {', '.join(names)} SELECT COUNT(*) FROM t{links - 1}"


# Group, words, statement, and what may come of it over the PostgreSQL wire.
STATEMENTS = [
    ("files", "a table function", "SELECT * FROM read_parquet('/etc/passwd')", [UNKNOWN]),
    ("files", "a path as a table", "SELECT * FROM '/etc/passwd'", [UNKNOWN, SYNTAX]),
    ("files", "a path as a quoted table", 'SELECT * FROM "/etc/passwd.csv"', [UNKNOWN]),
    ("files", "COPY to a file", "COPY gmv_day TO '/tmp/tidemark-hostile'", [REFUSED]),
    ("files", "COPY of a query to a file", "COPY (SELECT 1) TO '/tmp/tidemark-hostile'", [REFUSED]),
    ("files", "COPY from a file", "COPY gmv_day FROM '/etc/passwd'", [REFUSED]),
    ("files", "COPY to a program", "COPY gmv_day TO PROGRAM 'sh -c id'", [REFUSED]),
    ("files", "COPY from the client", "COPY gmv_day FROM STDIN", [REFUSED]),
    ("files", "an external table", "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'", [REFUSED, SYNTAX]),
    ("files", "functions of PostgreSQL", "SELECT pg_read_file('/etc/passwd')", [UNKNOWN]),
    ("files", "large objects", "SELECT lo_import('/etc/passwd')", [UNKNOWN]),
    ("files", "a library", "LOAD '/tmp/x.so'", [REFUSED, SYNTAX]),
    ("network", "an address as a table", "SELECT * FROM 'http://127.0.0.1:1/x.parquet'", [UNKNOWN, SYNTAX]),
    ("network", "a store as a table", "SELECT * FROM \"s3://bucket/x.parquet\"", [UNKNOWN]),
    ("network", "an external table", "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION 's3://bucket/'", [REFUSED, SYNTAX]),
    ("network", "another database", "SELECT * FROM dblink('host=127.0.0.1', 'SELECT 1')", [UNKNOWN]),
    ("settings", "the engine's memory", "SET datafusion.runtime.memory_limit = '1T'", [REFUSED]),
    ("settings", "the engine's memory, shown", "SHOW datafusion.runtime.memory_limit", [REFUSED]),
    ("settings", "all of them", "SHOW ALL", [REFUSED]),
    ("settings", "another role", "SET ROLE admin", [REFUSED]),
    ("settings", "another user", "SET SESSION AUTHORIZATION admin", [REFUSED, SYNTAX]),
    ("settings", "a time without an end", "SET statement_timeout = '1000000s'", [ANSWERED]),
    ("settings", "by a function", "SELECT set_config('datafusion.runtime.memory_limit', '1T', false)", [UNKNOWN]),
    ("changes", "a row", "INSERT INTO gmv_day VALUES (1)", [REFUSED]),
    ("changes", "rows", "DELETE FROM gmv_day", [REFUSED]),
    ("changes", "a row in a WITH", "WITH x AS (DELETE FROM gmv_day RETURNING *) SELECT * FROM x", [REFUSED, UNKNOWN, SYNTAX]),
    ("changes", "a table of a query", "SELECT * INTO t FROM gmv_day", [REFUSED]),
    ("changes", "a view", "DROP VIEW gmv_day", [REFUSED]),
    ("changes", "a function", "CREATE FUNCTION f() RETURNS INT AS 'SELECT 1' LANGUAGE sql", [REFUSED, SYNTAX]),
    ("changes", "what runs", "SELECT pg_terminate_backend(1)", [UNKNOWN]),
    ("changes", "a second statement", "SELECT 1; DROP TABLE gmv_day", [REFUSED]),
    ("endless", "recursion", "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT COUNT(*) FROM r", [UNKNOWN]),
    ("endless", "10^12 pairs of rows", f"SELECT COUNT(*) FROM {MILLION} a(x), {MILLION} b(y) WHERE x % 7 < y % 5", [TOO_LONG]),
    ("endless", "10^18 rows of a join", f"SELECT SUM(x + y + z) FROM {MILLION} a(x), {MILLION} b(y), {MILLION} c(z)", [TOO_LONG, MEMORY]),
    ("endless", "a series", "SELECT SUM(value % 3) FROM generate_series(1, 9000000000000000000)", [TOO_LONG]),
    ("endless", "a series as rows", "SELECT value FROM generate_series(1, 1000000000000)", [ROWS, MEMORY]),
    ("endless", "a cursor over it", "BEGIN; DECLARE c CURSOR FOR SELECT value FROM generate_series(1, 1000000000000)", [ROWS, MEMORY]),
    ("endless", "a copy of it", "COPY (SELECT value FROM generate_series(1, 1000000000000)) TO STDOUT", [ROWS, MEMORY]),
    ("memory", "repeat", "SELECT repeat('x', 1000000000)", [UNKNOWN]),
    ("memory", "padding", "SELECT lpad('x', 1000000000, 'y')", [ROWS]),
    ("memory", "padding, row by row", f"SELECT SUM(length(lpad('x', 100000, x::text))) FROM {MILLION} a(x)", [TOO_LONG, MEMORY, ROWS]),
    ("memory", "replacing within replacing", "SELECT " + "replace(" * 8 + "'aaaaaaaaaa'" + ", 'a', 'aaaaaaaaaa')" * 8, [ROWS]),
    ("memory", "a sort", f"SELECT x, lpad(x::text, 1000, 'x') AS y FROM {MILLION} a(x) ORDER BY y", [MEMORY, TOO_LONG, ROWS]),
    ("memory", "groups", f"SELECT COUNT(*) FROM (SELECT x, y, COUNT(*) FROM {MILLION} a(x), {MILLION} b(y) GROUP BY x, y)", [MEMORY, TOO_LONG]),
    ("memory", "a list of all", f"SELECT array_agg(lpad(x::text, 1000, 'x')) FROM {MILLION} a(x)", [MEMORY, ROWS, TOO_LONG]),
    ("memory", "a text of all", f"SELECT string_agg(lpad(x::text, 1000, 'x'), ',') FROM {MILLION} a(x)", [MEMORY, ROWS, TOO_LONG]),
    ("memory", "distinct values", f"SELECT COUNT(DISTINCT lpad(x::text, 1000, 'x')) FROM {MILLION} a(x)", [MEMORY, TOO_LONG]),
    ("memory", "a list as a range", "SELECT range(0, 10000000000)", [UNKNOWN]),
    ("patterns", "one that grows", "SELECT regexp_like('a', '" + "(" * 8 + "a{100}" + "){100}" * 8 + "')", [UNKNOWN, "22000", MEMORY, ROWS]),
    ("patterns", "one that goes back", f"SELECT COUNT(*) FROM {MILLION} a(x) WHERE regexp_like(lpad('b', 5000, 'a'), '(a*)*(a*)*(a|a)*c')", [TOO_LONG, ANSWERED]),
    ("patterns", "one that captures", "SELECT regexp_replace(lpad('x', 100000, 'x'), '(.*)', repeat('\\\\1', 1000), 'g')", [UNKNOWN, ROWS]),
    ("patterns", "LIKE of many", f"SELECT COUNT(*) FROM {MILLION} a(x) WHERE lpad('b', 5000, 'a') LIKE '{'%a' * 500}%c'", [TOO_LONG, ANSWERED]),
    ("size", "a statement of 10 MB", "SELECT '" + "x" * 10 * MEBI + "'", [TOO_LARGE]),
    ("size", "a statement of 600 KB", "SELECT '" + "x" * 600_000 + "'", [TOO_LARGE]),
    ("size", "50,000 parentheses", "SELECT " + "(" * 50_000 + "1" + ")" * 50_000, [TOO_LARGE]),
    ("size", "100,000 additions", "SELECT 1" + "+1" * 100_000, [TOO_LARGE]),
    ("size", "50,000 NOTs", "SELECT " + "NOT " * 50_000 + "true", [TOO_LARGE]),
    ("size", "1,000 CASEs", "SELECT " + "CASE WHEN true THEN " * 1_000 + "1" + " END" * 1_000, [TOO_LARGE]),
    ("size", "500 subqueries", "SELECT * FROM " + "(SELECT * FROM " * 500 + "gmv_day" + ")" * 500, [TOO_LARGE, SYNTAX]),
    ("size", "a chain of WITHs that doubles", chain(40), [TOO_LARGE]),
    ("size", "5,000 UNIONs", "SELECT 1" + " UNION ALL SELECT 1" * 5_000, [TOO_LARGE]),
    ("size", "an IN list of 15,000", "SELECT COUNT(*) FROM gmv_by_category WHERE payments IN (" + ",".join(map(str, range(15_000))) + ")", [ANSWERED]),
    ("size", "an IN list of 40,000", "SELECT COUNT(*) FROM gmv_by_category WHERE payments IN (" + ",".join(map(str, range(40_000))) + ")", [TOO_LARGE]),
    ("size", "an array of braces", "SELECT 1 WHERE 'a' = ANY('{" + "{" * 1_000 + "}" * 1_000 + "}')", [ANSWERED, UNKNOWN, SYNTAX, "22000"]),
]


class Others:
    """Somebody else, who asks over every door all the while and has to be answered."""

    def __init__(self, server):
        self.server, self.over = server, threading.Event()
        self.slowest, self.failed, self.asked = {}, [], 0
        self.memory_most, self.cuts = 0, []
        self.threads = [threading.Thread(target=self._keep, args=(name, ask), daemon=True)
                        for name, ask in (("postgres", self._postgres), ("http", self._http), ("figures", self._figures))]
        for thread in self.threads:
            thread.start()

    def _keep(self, name, ask):
        while not self.over.is_set():
            begun = time.monotonic()
            try:
                ask()
            except Exception as error:  # noqa: BLE001 - told at the end
                self.failed.append(f"{name}: {type(error).__name__}: {str(error)[:300]}")
            took = time.monotonic() - begun
            self.slowest[name] = max(self.slowest.get(name, 0), took)
            self.asked += 1
            self.over.wait(0.2)

    def _postgres(self):
        with Wire(door(self.server, "postgres"), OTHERS_SECONDS_MAX * 2) as wire:
            said = wire.log_in().ask("SELECT cut FROM current_cut")
            # With all turns taken a question waits and is then told so, which is an answer.
            assert said in ("ready", "53300"), (said, wire.words)

    def _http(self):
        self.server.get("/api/views/gmv_day")

    def _figures(self):
        self.cuts.append((time.monotonic(), self.server.view("gmv_day")["cut"]))
        self.memory_most = max(self.memory_most, memory(self.server))

    def longest_without_a_cut(self):
        """Seconds."""
        longest, (since, cut) = 0, self.cuts[0]
        for at, now in self.cuts:
            if now > cut:
                longest, since, cut = max(longest, at - since), at, now
        return max(longest, self.cuts[-1][0] - since)

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join(20)


def memory(server):
    """Bytes of the process in memory."""
    with open(f"/proc/{server.process.pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read()).group(1)) * 1024


# --- statements over each door --------------------------------------------------------------------------

def by_simple(server, text):
    with Wire(door(server, "postgres")) as wire:
        return wire.log_in().ask(text)


def by_prepared(server, text):
    with Wire(door(server, "postgres")) as wire:
        wire.log_in()
        wire.say(b"P", b"\0" + text.encode() + b"\0\0\0")
        wire.say(b"B", b"\0\0\0\0\0\0\0\0")
        wire.say(b"E", b"\0\0\0\0\0")
        wire.say(b"S")
        return wire.until_ready()


def by_http(server, text):
    ask = urllib.request.Request(server.url + "/api/sql", json.dumps({"sql": text}).encode(),
                                 {"content-type": "application/json", "accept": "application/json"})
    try:
        with urllib.request.urlopen(ask, timeout=30) as answer:
            return "truncated" if json.load(answer).get("truncated") else "ready"
    except urllib.error.HTTPError as error:
        with error:
            return str(error.code)
    except (urllib.error.URLError, ConnectionError):
        # Answered before all of it was sent, and closed.
        return "closed"


# --- the list -------------------------------------------------------------------------------------------

def attempts():
    """Door, group, words, what is done, what may come of it, and within how many seconds."""
    for group, words, text, codes in STATEMENTS:
        within = SECONDS_MAX + NOTICE_SECONDS_MAX
        for name, by in (("postgres", by_simple), ("prepared", by_prepared)):
            # What is two statements cannot be prepared: the second is left out, as the library has it.
            if name == "prepared" and ";" in text:
                continue
            yield name, group, words, lambda server, by=by, text=text: by(server, text), codes, within
        may = {"truncated", "400", "403", "408", "413", "422", "429", "500", "503", "504"} if ANSWERED not in codes or len(codes) > 1 else set()
        may |= {"200", "ready"} if ANSWERED in codes else set()
        may |= {"closed"} if len(text) > MEBI else set()
        if "SET " not in text and not text.startswith("BEGIN"):
            yield "http", group, words, lambda server, text=text: by_http(server, text), may, within
    for name, words, attack, outcomes in PROTOCOL:
        yield name, "protocol", words, attack, outcomes, 60


def attempt(server, attack, may, within):
    """Outcome and seconds of an attack, and whether they are as they should be."""
    begun = time.monotonic()
    try:
        outcome = str(attack(server))
    except Exception as error:  # noqa: BLE001 - an outcome like any other
        outcome = f"{type(error).__name__}: {str(error)[:200]}"
    took = time.monotonic() - begun
    return outcome, took, outcome in may and took < within and server.process.poll() is None


def main():
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--only", default="")
    args = ask.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tidemark-hostile-"))
    config = folder / "tidemark.toml"
    config.write_text(CONFIG)
    passed = failed = 0
    slow = []
    try:
        with Server(["demo", "--rate", "500"], folder, config=config) as server:
            server.wait(lambda: server.view("gmv_day")["rows"], 30, "a first figure")
            server.sql("SELECT COUNT(*) FROM gmv_by_category")
            before = memory(server)
            others = Others(server)
            todo = [one for one in attempts() if args.only in " ".join(one[:3])]
            # What waits for the server to lose its patience does so beside the others.
            waiting = [one for one in todo if one[5] == 60 and one[2].split()[0] in ("half", "nothing")]
            results = {}
            for one in waiting:
                def wait(one=one):
                    results[one[:3]] = attempt(server, *one[3:])
                slow.append(threading.Thread(target=wait))
                slow[-1].start()
            for one in todo:
                if one not in waiting:
                    results[one[:3]] = attempt(server, *one[3:])
            for thread in slow:
                thread.join()
            time.sleep(1)
            others.end()
            for name, group, words, _, may, _ in todo:
                outcome, took, is_good = results[name, group, words]
                passed, failed = passed + is_good, failed + (not is_good)
                wanted = "" if is_good else f"   wanted: {' or '.join(sorted(may))}"
                print(f"{'passed' if is_good else 'failed':7} {name:9} {group:9} {words:32} {took:6.2f} s  {outcome}{wanted}")
            checks = {
                f"somebody else asked {others.asked} times and was answered each time: {others.failed[:3]}": not others.failed,
                f"within {OTHERS_SECONDS_MAX} s each: {({name: round(took, 2) for name, took in others.slowest.items()})}":
                    all(took < OTHERS_SECONDS_MAX for took in others.slowest.values()),
                f"the cuts went on, at most {others.longest_without_a_cut():.2f} s apart": others.longest_without_a_cut() < CUTS_SECONDS_MAX,
                f"memory grew by {(others.memory_most - before) // MEBI} MiB from {before // MEBI}, at most {GROWTH_BYTES_MAX // MEBI}":
                    others.memory_most - before < GROWTH_BYTES_MAX,
                "the server runs, and has left no file": server.process.poll() is None and not os.path.exists("/tmp/tidemark-hostile"),
                "nothing is still running": server.wait(
                    lambda: not [row for row in server.sql("SELECT door FROM running_queries") if row["door"] != "http"], 10, "the queries' end"),
            }
            for words, is_good in checks.items():
                passed, failed = passed + bool(is_good), failed + (not is_good)
                print(f"{'passed' if is_good else 'failed':7} {words}")
            if failed:
                print("".join(line for line in server.said if "panicked" in line or "ERROR" in line)[-3000:])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

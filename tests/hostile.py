#!/usr/bin/env python3
"""What somebody might do to the doors, through real sockets, and what comes of it.

    hostile.py [--only TEXT]

A server plays a day of orders while every line of the lists below is tried, one after the other: files, the network,
settings, questions without an end, statements and messages of any size, and bytes that are no protocol at all. Each is
refused with the code that it should be, or stopped by its limit and within its time. Meanwhile somebody else asks over
every door and has to be answered, the memory of the process stays within its bounds, and the pipeline and the wall do not
notice: the cuts and the age of the figures are held to those of the same server before the first line. Then what is
refused is tried once more by an analyst of a server that has users. The list is printed with its outcomes; the last line
is `N passed, N failed, N skipped`.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import typing
import urllib.error
import urllib.request

from hostile_bytes import PROTOCOL
from process import BINARY, Server
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
# For so long the server is looked at before anything is tried, and longer where it takes longer to make so many cuts.
QUIET_SECONDS, QUIET_SECONDS_MAX = 15, 90
QUIET_CUTS = 10
# Seconds of the generated day in one of ours.
SPEED = 60
# Queries take a part of two cores, and a machine that others use gives less from one minute to the next; a pipeline that waits
# for queries makes a cut at the end of each at most, which is one in two seconds and not ten in one.
CUTS_LEFT_MIN = 0.1
CUTS_SECONDS_MAX = 5
AGE_SECONDS_MAX = 2
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
# What the same is over HTTP, status and code. Where the PostgreSQL wire refuses an answer of too many rows, HTTP gives the first
# of them and says so: those lines of the list say it.
HTTP = {REFUSED: "403 sql_refused", SYNTAX: "400 sql_syntax", UNKNOWN: "400 sql_plan", TOO_LARGE: "400 sql_too_large",
        TOO_LONG: "422 sql_timeout", MEMORY: "422 sql_memory", ROWS: "422 sql_row_too_large", "22000": "422 sql_failed", ANSWERED: "ready"}
FIRST_ROWS, BODY_TOO_LARGE = "truncated", ["413 too_large", "closed"]


def chain(links):
    """A chain of WITHs that doubles with every link."""
    names = [f"t{nth} AS (SELECT a.x FROM t{nth - 1} a, t{nth - 1} b)" for nth in range(1, links)]
    return f"WITH t0 AS (SELECT 1 AS x), {', '.join(names)} SELECT COUNT(*) FROM t{links - 1}"


# Group, words, statement, what may come of it over the PostgreSQL wire, and over HTTP where `HTTP` does not say it; `None`: not asked there.
STATEMENTS = [
    ("files", "a table function", "SELECT * FROM read_parquet('/etc/passwd')", [UNKNOWN]),
    ("files", "a path as a table", "SELECT * FROM '/etc/passwd'", [UNKNOWN, SYNTAX]),
    ("files", "a path as a quoted table", 'SELECT * FROM "/etc/passwd.csv"', [UNKNOWN]),
    ("files", "COPY to a file", "COPY gmv_day TO '/tmp/tidemark-hostile'", [REFUSED]),
    ("files", "COPY of a query to a file", "COPY (SELECT 1) TO '/tmp/tidemark-hostile'", [REFUSED]),
    ("files", "COPY from a file", "COPY gmv_day FROM '/etc/passwd'", [REFUSED], ["400 sql_syntax"]),
    ("files", "COPY to a program", "COPY gmv_day TO PROGRAM 'sh -c id'", [REFUSED], ["400 sql_syntax"]),
    ("files", "COPY from the client", "COPY gmv_day FROM STDIN", [REFUSED], ["400 sql_syntax"]),
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
    ("settings", "a time without an end", "SET statement_timeout = '1000000s'", [ANSWERED], ["403 sql_refused"]),
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
    ("endless", "a series as rows", "SELECT value FROM generate_series(1, 1000000000000)", [ROWS], [FIRST_ROWS]),
    ("endless", "a cursor over it", "BEGIN; DECLARE c CURSOR FOR SELECT value FROM generate_series(1, 1000000000000)", [ROWS], None),
    ("endless", "a copy of it", "COPY (SELECT value FROM generate_series(1, 1000000000000)) TO STDOUT", [ROWS], ["400 sql_syntax"]),
    ("memory", "repeat", "SELECT repeat('x', 1000000000)", [UNKNOWN]),
    ("memory", "padding", "SELECT lpad('x', 1000000000, 'y')", [ROWS]),
    ("memory", "padding, row by row", f"SELECT SUM(length(lpad('x', 100000, x::text))) FROM {MILLION} a(x)", [TOO_LONG, MEMORY, ROWS]),
    ("memory", "replacing within replacing", "SELECT " + "replace(" * 8 + "'aaaaaaaaaa'" + ", 'a', 'aaaaaaaaaa')" * 8, [ROWS]),
    ("memory", "a sort", f"SELECT x, lpad(x::text, 1000, 'x') AS y FROM {MILLION} a(x) ORDER BY y", [MEMORY, TOO_LONG, ROWS], ["422 sql_memory", "422 sql_timeout", FIRST_ROWS]),
    ("memory", "groups", f"SELECT COUNT(*) FROM (SELECT x, y, COUNT(*) FROM {MILLION} a(x), {MILLION} b(y) GROUP BY x, y)", [MEMORY, TOO_LONG]),
    ("memory", "a list of all", f"SELECT array_agg(lpad(x::text, 1000, 'x')) FROM {MILLION} a(x)", [MEMORY, ROWS, TOO_LONG]),
    ("memory", "a text of all", f"SELECT string_agg(lpad(x::text, 1000, 'x'), ',') FROM {MILLION} a(x)", [MEMORY, ROWS, TOO_LONG]),
    ("memory", "distinct values", f"SELECT COUNT(DISTINCT lpad(x::text, 1000, 'x')) FROM {MILLION} a(x)", [MEMORY, TOO_LONG]),
    ("memory", "a list as a range", "SELECT range(0, 10000000000)", [UNKNOWN]),
    ("patterns", "one that grows", "SELECT regexp_like('a', '" + "(" * 8 + "a{100}" + "){100}" * 8 + "')", [UNKNOWN, "22000", MEMORY, ROWS]),
    ("patterns", "one that goes back", f"SELECT COUNT(*) FROM {MILLION} a(x) WHERE regexp_like(lpad('b', 5000, 'a'), '(a*)*(a*)*(a|a)*c')", [TOO_LONG, ANSWERED]),
    ("patterns", "one that captures", "SELECT regexp_replace(lpad('x', 100000, 'x'), '(.*)', repeat('\\\\1', 1000), 'g')", [UNKNOWN, ROWS]),
    ("patterns", "LIKE of many", f"SELECT COUNT(*) FROM {MILLION} a(x) WHERE lpad('b', 5000, 'a') LIKE '{'%a' * 500}%c'", [TOO_LONG, ANSWERED]),
    ("size", "a statement of 10 MB", "SELECT '" + "x" * 10 * MEBI + "'", [TOO_LARGE], BODY_TOO_LARGE),
    ("size", "a statement of 600 KB", "SELECT '" + "x" * 600_000 + "'", [TOO_LARGE]),
    ("size", "50,000 parentheses", "SELECT " + "(" * 50_000 + "1" + ")" * 50_000, [TOO_LARGE]),
    ("size", "100,000 additions", "SELECT 1" + "+1" * 100_000, [TOO_LARGE]),
    ("size", "50,000 NOTs", "SELECT " + "NOT " * 50_000 + "true", [TOO_LARGE]),
    ("size", "1,000 CASEs", "SELECT " + "CASE WHEN true THEN " * 1_000 + "1" + " END" * 1_000, [TOO_LARGE]),
    ("size", "500 subqueries", "SELECT * FROM " + "(SELECT * FROM " * 500 + "gmv_day" + ")" * 500, [TOO_LARGE, SYNTAX]),
    ("size", "a chain of WITHs that doubles", chain(40), [TOO_LARGE]),
    ("size", "5,000 UNIONs", "SELECT 1" + " UNION ALL SELECT 1" * 5_000, [TOO_LARGE]),
    ("size", "an IN list of 15,000", "SELECT COUNT(*) FROM gmv_by_category WHERE payments IN (" + ",".join(map(str, range(15_000))) + ")", [ANSWERED]),
    ("size", "an IN list of 40,000", "SELECT COUNT(*) FROM gmv_by_category WHERE payments IN (" + ",".join(map(str, range(40_000))) + ")", [TOO_LARGE, TOO_LONG]),
    ("size", "an array of braces", "SELECT 1 WHERE 'a' = ANY('{" + "{" * 1_000 + "}" * 1_000 + "}')", [ANSWERED, UNKNOWN, SYNTAX, "22000"]),
]


class Look(typing.NamedTuple):
    """The wall at some time: its cut, and how old its figures are, from any zero."""

    at: float
    cut: int
    age: float


class Phase:
    """The pipeline and the wall during some spans of time."""

    def __init__(self, looks, *spans):
        self.spans, self.looks = spans, looks
        self.seconds = sum(end - begin for begin, end in spans)
        within = [look for begin, end in spans for look in looks if begin <= look.at <= end]
        self.ages = sorted(look.age for look in within) or [0]
        self.cuts = sum(self.cut_at(end) - self.cut_at(begin) for begin, end in spans) / max(self.seconds, 0.001)

    def cut_at(self, at):
        """Between two looks as if they came evenly."""
        before = max((look for look in self.looks if look.at <= at), default=self.looks[0])
        after = min((look for look in self.looks if look.at >= at), default=self.looks[-1])
        share = (at - before.at) / (after.at - before.at) if after.at > before.at else 0
        return before.cut + (after.cut - before.cut) * share

    def longest_without_a_cut(self):
        """Seconds, of the whole."""
        longest, since, cut = 0, self.spans[0][0], None
        for look in self.looks:
            if self.spans[0][0] <= look.at <= self.spans[-1][1] and look.cut != cut:
                longest, since, cut = max(longest, look.at - since), look.at, look.cut
        return max(longest, self.spans[-1][1] - since)

    def old(self):
        """What nine of ten looks are not older than."""
        return self.ages[len(self.ages) * 9 // 10]


def as_before(looks, quiet, spans):
    """Whether the pipeline and the wall are during some spans as they were in the quiet before."""
    before, during = Phase(looks, quiet), Phase(looks, *spans)
    if before.cuts * before.seconds < QUIET_CUTS / 2:
        return {f"the machine is too busy to tell: {before.cuts:.2f} cuts/s before anything was tried": None}
    fresh = before.ages[0]
    gap, gap_before = Phase(looks, (quiet[1], spans[-1][1])).longest_without_a_cut(), before.longest_without_a_cut()
    old, old_before = during.old() - fresh, before.old() - fresh
    return {
        f"the cuts go on, {during.cuts:.1f}/s in {during.seconds:.0f} s of queries that run, {before.cuts:.1f}/s before":
            during.cuts > before.cuts * CUTS_LEFT_MIN > 0,
        f"none is {gap:.2f} s after the last, {gap_before:.2f} before": gap < max(CUTS_SECONDS_MAX, 3 * gap_before),
        f"nine in ten figures are {old:.2f} s old at most, {old_before:.2f} before": old < AGE_SECONDS_MAX + 3 * old_before,
    }


class Others:
    """Somebody else, who asks over every door all the while and has to be answered."""

    def __init__(self, server):
        self.server, self.over = server, threading.Event()
        self.slowest, self.failed, self.asked = {}, [], 0
        self.memory_most, self.looks = 0, []
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
        view = self.server.view("gmv_day?last=1")
        # How far the day has come is said by its newest order: what lies between that and now, but for a constant.
        self.looks.append(Look(time.monotonic(), view["cut"], time.monotonic() - view["asOf"] / 1000 / SPEED))
        self.memory_most = max(self.memory_most, memory(self.server))

    def until_enough_is_seen(self):
        """When that began and ended."""
        begun = time.monotonic()
        seen = lambda: self.looks[-1].cut - self.looks[0].cut if self.looks else 0
        while (passed := time.monotonic() - begun) < QUIET_SECONDS or seen() < QUIET_CUTS and passed < QUIET_SECONDS_MAX:
            time.sleep(0.2)
        return begun, time.monotonic()

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join(20)


def memory(server):
    """Bytes of the process in memory."""
    with open(f"/proc/{server.process.pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read()).group(1)) * 1024


# --- statements over each door --------------------------------------------------------------------------

# Who asks: a name and a key; nobody needs one where there are no users.
NOBODY = ("analyst", None)


def by_simple(server, text, who=NOBODY):
    with Wire(door(server, "postgres")) as wire:
        return wire.log_in(*who).ask(text)


def by_prepared(server, text, who=NOBODY):
    with Wire(door(server, "postgres")) as wire:
        wire.log_in(*who)
        wire.say(b"P", b"\0" + text.encode() + b"\0\0\0")
        wire.say(b"B", b"\0\0\0\0\0\0\0\0")
        wire.say(b"E", b"\0\0\0\0\0")
        wire.say(b"S")
        return wire.until_ready()


def answered(server, path, body, who=NOBODY):
    """What HTTP says: the answer, or the status and the code of an error."""
    key = {"authorization": f"Bearer {who[1]}"} if who[1] else {}
    ask = urllib.request.Request(server.url + path, body, {"content-type": "application/json", "accept": "application/json", **key})
    try:
        with urllib.request.urlopen(ask, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return f"{error.code} {json.load(error)['error']['code']}"
    except (urllib.error.URLError, ConnectionError):
        # Answered before all of it was sent, and closed.
        return "closed"


def by_http(server, text, who=NOBODY):
    said = answered(server, "/api/sql", json.dumps({"sql": text}).encode(), who)
    return said if isinstance(said, str) else FIRST_ROWS if said.get("truncated") else "ready"


# --- the list -------------------------------------------------------------------------------------------

def statements(who=NOBODY, groups=None):
    """Door, group, words, what is done, what may come of it, and within how many seconds."""
    within = SECONDS_MAX + NOTICE_SECONDS_MAX
    for group, words, text, codes, *over_http in STATEMENTS:
        if groups and group not in groups:
            continue
        for name, by in (("postgres", by_simple), ("prepared", by_prepared)):
            # What is two statements cannot be prepared: the second is left out, as the library has it.
            if name == "prepared" and ";" in text:
                continue
            yield name, group, words, lambda server, by=by, text=text: by(server, text, who), codes, within
        may = over_http[0] if over_http else [HTTP[code] for code in codes]
        if may is not None:
            yield "http", group, words, lambda server, text=text: by_http(server, text, who), may, within


def attempts():
    yield from statements()
    for name, words, attack, outcomes in PROTOCOL:
        yield name, "protocol", words, attack, outcomes, 60


def log_in(who):
    def attack(server):
        with Wire(door(server, "postgres")) as wire:
            return wire.logged_in(*who)
    return attack


def as_users(lin, wall):
    """What an analyst is refused where there are users, and who is none."""
    yield from statements(lin, ["files", "network", "settings", "changes", "size"])
    order = b'{"event_id": "x"}'
    for who, words, may in ((lin, "an analyst", "403 forbidden"), (wall, "a viewer", "403 forbidden"), (("lin", "lin.wrong"), "a wrong key", "401 unauthorized"),
                            (NOBODY, "nobody", "401 unauthorized")):
        for path, body, what in (("/api/reload", b"", "reloads"), ("/api/ingest/orders", order, "writes an order")):
            yield "http", "rights", f"{words} {what}", lambda server, path=path, body=body, who=who: answered(server, path, body, who), [may], 10
    for who, words, may in ((wall, "a viewer", "403 forbidden"), (("lin", "lin.wrong"), "a wrong key", "401 unauthorized"), (NOBODY, "nobody", "401 unauthorized")):
        yield "http", "rights", f"{words} asks", lambda server, who=who: by_http(server, "SELECT 1", who), [may], 10
    yield "http", "rights", "an analyst asks", lambda server: by_http(server, "SELECT 1", lin), ["ready"], 10
    for who, words, may in ((lin, "an analyst", "ready"), (("lin", "lin.wrong"), "a wrong key", "28P01"), (wall, "a viewer", "28000"),
                            (("nobody", "nobody.x"), "nobody", "28P01"), (("wall", lin[1]), "another's key", "28P01")):
        yield "postgres", "rights", f"{words} logs in", log_in(who), [may], 10


def attempt(server, attack, may, within):
    """Outcome and seconds of an attack, and whether they are as they should be."""
    begun = time.monotonic()
    try:
        outcome = str(attack(server))
    except Exception as error:  # noqa: BLE001 - an outcome like any other
        outcome = f"{type(error).__name__}: {str(error)[:200]}"
    took = time.monotonic() - begun
    return outcome, took, outcome in may and took < within and server.process.poll() is None


def told(todo, results, counts):
    """Prints the outcomes and counts them."""
    for name, group, words, _, may, _ in todo:
        outcome, took, is_good = results[name, group, words]
        counts["passed" if is_good else "failed"] += 1
        wanted = "" if is_good else f"   wanted: {' or '.join(sorted(may))}"
        print(f"{'passed' if is_good else 'failed':7} {name:9} {group:9} {words:32} {took:6.2f} s  {outcome}{wanted}", flush=True)


def checked(checks, counts):
    for words, is_good in checks.items():
        outcome = "skipped" if is_good is None else "passed" if is_good else "failed"
        counts[outcome] += 1
        print(f"{outcome:7} {words}", flush=True)


def up_to_date(server):
    """Waits until the day is no longer caught up with: it begins with what was ordered before midnight."""
    end = time.monotonic() + 60
    last = at = None
    while time.monotonic() < end:
        day, now = server.view("gmv_day?last=1")["asOf"] / 1000, time.monotonic()
        if last is not None and day > last:
            if (day - last) / (now - at) < 3 * SPEED:
                return
        if day != last:
            last, at = day, now
        time.sleep(1)


def without_users(folder, only, counts):
    config = folder / "tidemark.toml"
    config.write_text(CONFIG)
    todo = [one for one in attempts() if only in " ".join(one[:3])]
    if not todo:
        return
    slow = []
    with Server(["demo", "--rate", "500", "--speed", str(SPEED)], folder, config=config) as server:
        server.wait(lambda: server.view("gmv_day?last=1")["rows"], 30, "a first figure")
        server.sql("SELECT COUNT(*) FROM gmv_by_category")
        up_to_date(server)
        others = Others(server)
        quiet = others.until_enough_is_seen()
        before = memory(server)
        # What waits for the server to lose its patience does so beside the others.
        waiting = [one for one in todo if one[5] == 60 and one[2].split()[0] in ("half", "nothing")]
        results, spans = {}, []
        for one in waiting:
            def wait(one=one):
                results[one[:3]] = attempt(server, *one[3:])
            slow.append(threading.Thread(target=wait))
            slow[-1].start()
        for one in todo:
            if one not in waiting:
                begun = time.monotonic()
                results[one[:3]] = attempt(server, *one[3:])
                spans.append((begun, time.monotonic()))
        # Those that the engine works at, if there are any.
        spans = [span for span in spans if span[1] - span[0] > 1] or spans
        for thread in slow:
            thread.join()
        time.sleep(1)
        others.end()
        told(todo, results, counts)
        checked({
            f"somebody else asked {others.asked} times and was answered each time: {others.failed[:3]}": not others.failed,
            f"within {OTHERS_SECONDS_MAX} s each: {({name: round(took, 2) for name, took in others.slowest.items()})}":
                all(took < OTHERS_SECONDS_MAX for took in others.slowest.values()),
            **(as_before(others.looks, quiet, spans) if spans else {}),
            f"memory grew by {(others.memory_most - before) // MEBI} MiB from {before // MEBI}, at most {GROWTH_BYTES_MAX // MEBI}":
                others.memory_most - before < GROWTH_BYTES_MAX,
            "the server runs, and has left no file": server.process.poll() is None and not os.path.exists("/tmp/tidemark-hostile"),
            "nothing panicked": not [line for line in server.said if "panicked" in line],
            "nothing is still running": server.wait(
                lambda: not [row for row in server.sql("SELECT door FROM running_queries") if row["door"] != "http"], 10, "the queries' end"),
        }, counts)
        if counts["failed"]:
            print("".join(line for line in server.said if "panicked" in line or "ERROR" in line)[-3000:])


def with_users(folder, only, counts):
    config = folder / "users.toml"
    config.write_text(CONFIG + '[streams.orders]\nconnector = "embedded"\n')
    keys = {}
    for name, role in (("lin", "analyst"), ("wall", "viewer")):
        added = subprocess.run([BINARY, "user", "add", name, "--role", role, "--config", str(config)], capture_output=True, text=True, timeout=60)
        assert added.returncode == 0, added.stderr
        keys[name] = added.stdout.strip()
    todo = [one for one in as_users(*keys.items()) if only in " ".join(["users", *one[:3]])]
    if not todo:
        return
    with Server(["serve"], folder / "users", config=config) as server:
        server.wait(lambda: "postgres on" in "".join(server.said), 10, "the door")
        results = {one[:3]: attempt(server, *one[3:]) for one in todo}
        print("with users:")
        told(todo, results, counts)
        checked({"the server with users runs, and has left no file": server.process.poll() is None and not os.path.exists("/tmp/tidemark-hostile")}, counts)


def main():
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--only", default="")
    args = ask.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tidemark-hostile-"))
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    try:
        without_users(folder, args.only, counts)
        with_users(folder, args.only, counts)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**counts))
    sys.exit(1 if counts["failed"] else 0)


if __name__ == "__main__":
    main()

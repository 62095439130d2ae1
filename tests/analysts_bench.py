"""What analysts wait for: twenty questions over the orders that are kept, beside DuckDB on the same files, and point reads.

    analysts_bench.py [--orders N] [--rounds N] [--quick] [--bootstrap HOST:PORT] [--explain RATIO] [--ask NAMES] [--anew]

N records of orders go through `tidemark serve` with the shipped SQL into its history, once: the folder stays in
~/.cache/tidemark/analysts for the next run. Every question is asked of both in turn, round by round, with two threads each,
and the answers have to be equal to the last digit. The quickest round counts; processor time, which says the same
beside other work, stands beside it (Tidemark's is the whole server's). Point reads go over the PostgreSQL wire, prepared,
while orders come in through Kafka; without a broker they are left out.
"""
import argparse
import contextlib
import datetime
import decimal
import gc
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import duckdb
import duckdb_extension_delta
import psycopg

import analysts_questions as questions
from kafka_tools import kafka
from process import BINARY, ROOT, Server

KEPT = pathlib.Path.home() / ".cache/tidemark/analysts"
DAYS = 5
FIRST_DAY = "2020-11-07"
# A generated order has two records and a little.
RECORDS_AN_ORDER = 1.99
THREADS = 2
MEMORY_BYTES = 4 << 30
FILL_SECONDS_MAX = 7_200
ASK_SECONDS_MAX = 600
READS, READS_A_SECOND, WARM_UP_READS = 2_000, 100, 200
LOAD_RECORDS_A_SECOND = 50_000
# Of an order of the live load, in its first minutes: placed, and nearly always paid.
LIVE_RECORDS_AN_ORDER = 1.9
SQL = f"""[sql]
threads = {THREADS}
memory-bytes-max = {MEMORY_BYTES}
seconds-max = {ASK_SECONDS_MAX}
"""
HISTORY = SQL + """
[pipeline]
history-compact-every = 1
history-keep-hours = 0
[streams.orders]
connector = "embedded"
"""


def say(words):
    print(words, flush=True)


def load(folder, *arguments):
    """`tidemark load` to its end; how many records it wrote."""
    done = subprocess.run([BINARY, "load", "--sql-dir", ROOT / "sql", "--config", folder / "tidemark.toml", *map(str, arguments)],
                          capture_output=True, text=True, cwd=ROOT)
    written = re.search(r"(\d+) records written", done.stdout + done.stderr)
    assert done.returncode == 0 and written, f"load: {done.stdout}{done.stderr}"
    return int(written.group(1))


def declared():
    """What the shipped streams are, as a hash: other declarations keep other records."""
    text = b"".join(path.read_bytes() for path in sorted((ROOT / "sql/streams").glob("*.sql")))
    return hashlib.sha256(text).hexdigest()


def wait(holds, seconds, what):
    """What `holds` answers as soon as it is true."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, f"{what}: not in {seconds} s"
        time.sleep(1)
    return found


class Past:
    """A folder with `records` orders, and the server that has it."""

    def __init__(self, records, anew):
        self.folder = KEPT / str(records)
        self.made = self.folder / "made.json"
        self.table = self.folder / "data/history/orders"
        made = json.loads(self.made.read_text()) if self.made.exists() and not anew else {}
        if made.get("declared") != declared():
            self._fill(records)
        self._configure()
        self.written = json.loads(self.made.read_text())["written"]
        self.server = Server(["serve", "--quiet"], self.folder, ROOT / "sql", self.folder / "tidemark.toml")

    def _configure(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "tidemark.toml").write_text(HISTORY)

    def _fill(self, records):
        shutil.rmtree(self.folder, ignore_errors=True)
        self._configure()
        began = time.monotonic()
        written = load(self.folder, "--to", "local", "--data-dir", self.folder / "data", "--days", DAYS, "--date", FIRST_DAY,
                       "--orders", int(records / RECORDS_AN_ORDER / DAYS) + 1)
        say(f"{written:,} records of {DAYS} days generated in {time.monotonic() - began:.0f} s")
        self.made.write_text(json.dumps({"declared": declared(), "written": written}))

    def _told(self, sql):
        """The first row; None before the first cut."""
        try:
            rows, _ = ask(self.server, sql)
        except (urllib.error.URLError, ConnectionError, AssertionError):
            assert self.server.process.poll() is None, "".join(self.server.said)
            return None
        return rows[0]

    def wait(self, connection):
        """Until every order is in files that DuckDB sees, and no file is put together any more; how many orders."""
        # Control records close the days; they are no orders and `load` does not count them.
        read = "SELECT SUM(\"read\" - control), SUM(accepted) FROM records_accounted WHERE stream = 'orders'"

        def committed():
            told = self._told(read)
            if not told or told[0] != self.written or self._told("SELECT COUNT(*) FROM orders") != (told[1],):
                return None
            held = connection.execute(f"SELECT COUNT(*) FROM delta_scan('{self.table}')").fetchone()[0]
            return told[1] if held == told[1] else None

        began = time.monotonic()
        orders = int(wait(committed, FILL_SECONDS_MAX, f"{self.written} records in the history"))
        log = self.table / "_delta_log"
        newest = lambda: max(log.glob("*.json"), key=lambda path: path.name).name
        last, since = newest(), time.monotonic()
        while time.monotonic() - since < 5:
            time.sleep(0.5)
            if newest() != last:
                last, since = newest(), time.monotonic()
        sizes = connection.execute(
            f"SELECT DISTINCT filename FROM delta_scan('{self.table}', filename = true)").fetchall()
        size = sum(pathlib.Path(name.removeprefix("file://")).stat().st_size for name, in sizes)
        say(f"{orders:,} orders in the history, {len(sizes)} files, {size / 1e6:,.0f} MB; "
            f"all committed {time.monotonic() - began:.0f} s after the start")
        return orders


def ask(server, sql):
    """The rows of a question over HTTP, each value as the column's type means it, and how long it took."""
    body = json.dumps({"sql": sql}).encode()
    request = urllib.request.Request(server.url + "/api/sql", body,
                                     {"content-type": "application/json", "accept": "application/json"})
    began = time.perf_counter()
    try:
        with urllib.request.urlopen(request, timeout=ASK_SECONDS_MAX) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        raise AssertionError(error.read().decode(errors="replace")) from error
    took = time.perf_counter() - began
    found = json.loads(text)
    assert not found["truncated"], sql
    types = [column["type"] for column in found["columns"]]
    return [tuple(map(from_json, row, types)) for row in found["rows"]], took


def from_json(value, kind):
    if value is not None and kind.startswith("DECIMAL"):
        return decimal.Decimal(value)
    return value


def from_duckdb(value):
    """As the HTTP door writes it: times in milliseconds, dates as text."""
    if isinstance(value, datetime.datetime):
        return round(value.timestamp() * 1_000)
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, float):
        return decimal.Decimal(repr(value))
    return value


def open_duckdb(table=None):
    [extension] = pathlib.Path(duckdb_extension_delta.__file__).parent.rglob("*.duckdb_extension")
    connection = duckdb.connect(config={"threads": THREADS, "memory_limit": f"{MEMORY_BYTES}B"})
    connection.execute(f"LOAD '{extension}'")
    connection.execute("SET TimeZone = 'Asia/Shanghai'; SET default_null_order = 'nulls_last_on_asc_first_on_desc'")
    connection.execute(questions.DUCKDB_MACROS)
    if table:
        # The log is read once, as Tidemark does.
        connection.execute(f"ATTACH '{table}' AS history (TYPE delta, PIN_SNAPSHOT)")
        connection.execute("CREATE TEMP VIEW orders AS FROM history")
    return connection


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Timed:
    """The quickest of some rounds, by the clock and by the processor."""

    def __init__(self):
        self.seconds, self.cpu = [], []

    def add(self, seconds, cpu):
        self.seconds.append(seconds)
        self.cpu.append(cpu)


def of_tidemark(server, sql, timed):
    before = cpu_seconds(server.process.pid)
    rows, took = ask(server, sql)
    timed.add(took, cpu_seconds(server.process.pid) - before)
    return rows


def of_duckdb(connection, sql, timed):
    began, before = time.perf_counter(), time.process_time()
    rows = connection.execute(sql).fetchall()
    timed.add(time.perf_counter() - began, time.process_time() - before)
    return [tuple(map(from_duckdb, row)) for row in rows]


def compare(server, connection, rounds, names):
    """Every question in turns: what each took, and what is wrong with those that have no equal answers."""
    asked = [question for question in questions.ASKED if not names or question.__name__ in names]
    assert asked, f"--ask: names are {', '.join(question.__name__ for question in questions.ASKED)}"
    measured = {question: (Timed(), Timed()) for question in asked}
    wrong = []
    for _ in range(rounds):
        for question in list(measured):
            ours, theirs = measured[question]
            want = of_duckdb(connection, question(questions.DUCKDB), theirs)
            try:
                told = of_tidemark(server, question(questions.TIDEMARK), ours)
                assert told and told == want, different(told, want)
            except AssertionError as error:
                wrong.append(f"{question.__name__}: {error}")
                del measured[question]
    return measured, wrong


def different(told, want):
    rows = [f"  row {at}: {one} and {other}" for at, (one, other) in enumerate(zip(told, want)) if one != other]
    return "\n".join([f"Tidemark answers {len(told)} rows, DuckDB {len(want)}", *rows[:5]])


def print_table(measured):
    line = "{:<26} {:>10} {:>9} {:>6} {:>14} {:>13}"
    say("\n" + line.format("question", "Tidemark s", "DuckDB s", "ratio", "Tidemark CPU s", "DuckDB CPU s"))
    total = [0.0] * 4
    for question, (ours, theirs) in measured.items():
        told = [min(ours.seconds), min(theirs.seconds), min(ours.cpu), min(theirs.cpu)]
        total = [sum(pair) for pair in zip(total, told)]
        say(row_of(line, question.__name__, told))
    say(row_of(line, "total", total))
    say("answers are equal in every round; of each the quickest round counts")


def row_of(line, name, told):
    ours, theirs, our_cpu, their_cpu = told
    return line.format(name, f"{ours:.3f}", f"{theirs:.3f}", f"{ours / theirs:.2f}", f"{our_cpu:.2f}", f"{their_cpu:.2f}")


UNITS = {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


def seconds_of(metrics, name):
    found = re.search(rf"\b{name}=([\d.]+)(ns|µs|ms|s|m)\b", metrics)
    return float(found.group(1)) * UNITS[found.group(2)] if found else 0.0


def reasons(server, question, count=5):
    """The operators of EXPLAIN ANALYZE that worked longest, over all threads."""
    rows, took = ask(server, "EXPLAIN ANALYZE " + question(questions.TIDEMARK))
    worked = []
    for text in rows[0][1].splitlines():
        plan, _, metrics = text.strip().partition("metrics=[")
        is_scan = plan.startswith("DataSourceExec")
        seconds = seconds_of(metrics, "time_elapsed_processing" if is_scan else "elapsed_compute")
        output = re.search(r"output_rows=([\d.]+ ?[KMB]?)", metrics)
        columns = re.search(r"projection=\[[^]]*\]", plan)
        what = f"DataSourceExec {columns.group(0) if columns else ''}" if is_scan else plan.strip(" ,")[:100]
        worked.append((seconds, f"{seconds:7.3f} s  {output.group(1).strip() if output else '':>8} rows  {what}"))
    worked.sort(key=lambda one: -one[0])
    return took, [text for _, text in worked[:count]]


def explain(server, measured, above):
    for question, (ours, theirs) in measured.items():
        ratio = min(ours.seconds) / min(theirs.seconds)
        if ratio > above:
            took, words = reasons(server, question)
            say(f"\n{question.__name__}: {ratio:.2f} times DuckDB; of {took:.3f} s of EXPLAIN ANALYZE, over all threads:")
            say("\n".join("  " + text for text in words))


@contextlib.contextmanager
def stopped(server):
    with server:
        yield server
        server.stop(signal.SIGTERM)


def over_the_past(options):
    past = Past(options.orders, options.anew)
    with stopped(past.server) as server:
        past.wait(open_duckdb())
        connection = open_duckdb(past.table)
        measured, wrong = compare(server, connection, options.rounds, options.ask)
        print_table(measured)
        explain(server, measured, options.explain)
    return wrong


# --- point reads --------------------------------------------------------------------------------------

# Beside the views one that reads nothing, so that what the wire and the machine cost is seen.
POINTS = {
    "gmv_by_province": "SELECT window_start, gmv, payments FROM gmv_by_province WHERE province = %s",
    "gmv_day": "SELECT window_start, gmv, payments FROM gmv_day WHERE payments > %s",
    "no table": "SELECT CAST(%s AS BIGINT) AS one",
}


def read_points(connection, values, reads):
    """Seconds of each read, in turns at a steady pace; and how late this process woke for its turns."""
    took = {name: [] for name in POINTS}
    late = []
    due = time.perf_counter()
    for _ in range(reads):
        due = max(due, time.perf_counter()) + 1 / READS_A_SECOND
        time.sleep(max(0.0, due - time.perf_counter()))
        late.append(time.perf_counter() - due)
        for name, sql in POINTS.items():
            began = time.perf_counter()
            rows = connection.execute(sql, (values[name],), prepare=True).fetchall()
            took[name].append(time.perf_counter() - began)
            assert rows, sql
    return took, late


def of_many(seconds):
    ordered = sorted(seconds)
    at = [ordered[int(share * (len(ordered) - 1))] * 1_000 for share in (0.5, 0.99, 1)]
    return "p50 {:.2f} ms, p99 {:.2f} ms, most {:.2f} ms".format(*at)


def accepted(server):
    return int(server.sql("SELECT SUM(accepted) AS n FROM records_accounted WHERE stream = 'orders'")[0]["n"] or 0)


def while_orders_come_in(bootstrap, reads):
    topic = f"tidemark-analysts-{os.getpid()}"
    rate = int(LOAD_RECORDS_A_SECOND / LIVE_RECORDS_AN_ORDER)
    with contextlib.ExitStack() as held:
        folder = pathlib.Path(held.enter_context(tempfile.TemporaryDirectory()))
        (folder / "tidemark.toml").write_text(
            f'{SQL}\n[streams.orders]\ntopic = "{topic}"\n"properties.bootstrap.servers" = "{bootstrap}"\n')
        held.callback(lambda: kafka("TopicCommand", "--delete", "--if-exists", "--topic", topic, bootstrap=bootstrap))
        arguments = ["--sql-dir", ROOT / "sql", "--bootstrap", bootstrap, "--topic", topic, "--partitions", 4]
        loading = subprocess.Popen(
            [BINARY, "load", *map(str, arguments), "--rate", str(rate), "--peak", str(rate), "--presale", "0", "--speed", "1"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
        held.callback(loading.wait)
        held.callback(loading.kill)
        time.sleep(3)
        server = held.enter_context(stopped(Server(["serve", "--quiet"], folder, ROOT / "sql", folder / "tidemark.toml")))
        server.wait(lambda: server.sql("SELECT gmv FROM gmv_day"), 60, "a first figure")
        server.wait(lambda: any("postgres on" in line for line in server.said), 10, "the PostgreSQL door")
        [door] = [line for line in server.said if "postgres on" in line]
        host, port = re.search(r"postgres on ([\d.]+):(\d+)", door).groups()
        province = server.sql("SELECT province FROM gmv_by_province WHERE province IS NOT NULL LIMIT 1")[0]["province"]
        values = {"gmv_by_province": province, "gmv_day": 0, "no table": 1}
        with psycopg.connect(host=host, port=port, dbname="tidemark", user="analyst", sslmode="disable",
                             autocommit=True) as connection:
            read_points(connection, values, WARM_UP_READS)
            gc.disable()
            before, began = accepted(server), time.monotonic()
            took, late = read_points(connection, values, reads)
            came = (accepted(server) - before) / (time.monotonic() - began)
            gc.enable()
        assert loading.poll() is None, "load ended before the reads"
        say(f"point reads, prepared, over the PostgreSQL wire, {reads} of each while {came:,.0f} orders/s came in")
        for name, seconds in took.items():
            say(f"  {name:<16} {of_many(seconds)}")
        say(f"  {'(the reader woke':<16} {of_many(late)} late: what other work on the machine costs)")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--orders", type=int, default=10_000_000, help="records of orders, to 100 million")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--quick", action="store_true", help="a tenth of everything, one round")
    options.add_argument("--bootstrap", help="Kafka brokers for the point reads")
    options.add_argument("--explain", type=float, default=2.0, help="the ratio above which a question is explained")
    options.add_argument("--ask", type=lambda text: text.split(","), default=[], help="only these questions")
    options.add_argument("--anew", action="store_true", help="make the orders again")
    given = options.parse_args()
    assert 1_000 <= given.orders <= 100_000_000, "--orders is from 1,000 to 100,000,000"
    reads = READS
    if given.quick:
        given.orders, given.rounds, reads = given.orders // 10, 1, READS // 10
    wrong = over_the_past(given)
    say("")
    if given.bootstrap:
        while_orders_come_in(given.bootstrap, reads)
    else:
        say("point reads: left out, no Kafka")
    assert not wrong, "\n".join(["no equal answers", *wrong])


if __name__ == "__main__":
    # So that servers are stopped as well when this is.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("analysts: stopped"))
    try:
        main()
    except AssertionError as error:
        sys.exit(f"analysts: {error}")

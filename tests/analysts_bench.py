"""What analysts wait for: twenty questions over the orders that are kept, beside DuckDB on the same files, and point reads.

    analysts_bench.py [--orders N] [--rounds N] [--quick] [--bootstrap HOST:PORT] [--explain RATIO] [--ask NAMES] [--anew]

N records of orders go through `tidemark serve` with the shipped SQL into its history, once: the folder stays in
~/.cache/tidemark/analysts for the next run. Every question is asked of both in turn, round by round, with two threads each,
and the answers have to be equal to the last digit. The quickest round counts; processor time, which says the same
beside other work, stands beside it (Tidemark's is the whole server's). Point reads go over the PostgreSQL wire, prepared,
while orders come in through Kafka; without a broker they are left out.

Past twenty million the server has the stream of orders and no view, for what is kept of each order would fill the memory.
By what ten million take, a hundred million are some 25 GB of disk, 35 on the way there, and 12 GB of memory for the largest
questions; how far it is is said every half minute.
"""
import argparse
import contextlib
import datetime
import decimal
import gc
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

import duckdb
import duckdb_extension_delta
import psycopg

import analysts_questions as questions
from analysts_past import THREADS, Past, ask, memory_bytes, say, sql_config
from kafka_tools import kafka
from process import BINARY, ROOT, Server

READS, READS_A_SECOND, WARM_UP_READS = 2_000, 100, 200
LOAD_RECORDS_A_SECOND = 50_000
# Of an order of the live load, in its first minutes: placed, and nearly always paid.
LIVE_RECORDS_AN_ORDER = 1.9


def from_duckdb(value):
    """As the HTTP door writes it: times in milliseconds, dates as text."""
    if isinstance(value, datetime.datetime):
        return round(value.timestamp() * 1_000)
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, float):
        return decimal.Decimal(repr(value))
    return value


def open_duckdb(records, table=None):
    [extension] = pathlib.Path(duckdb_extension_delta.__file__).parent.rglob("*.duckdb_extension")
    connection = duckdb.connect(config={"threads": THREADS, "memory_limit": f"{memory_bytes(records)}B"})
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
        past.wait(open_duckdb(options.orders))
        connection = open_duckdb(options.orders, past.table)
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
            f'{sql_config(0)}\n[streams.orders]\ntopic = "{topic}"\n"properties.bootstrap.servers" = "{bootstrap}"\n')
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

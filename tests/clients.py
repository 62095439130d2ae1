"""The tools analysts already use, as they come from their registry, against a real server.

    scripts/clients.sh [--only SUBSTRING] [--keep]

psycopg, SQLAlchemy, pandas, polars, ADBC, pgjdbc and psql ask over the PostgreSQL wire, ADBC and the JDBC driver of Arrow over
Flight SQL (doors.py); delta-rs and DuckDB read the history's files as they are. Each answer is compared with that of the HTTP door, or with the records
that were sent.
"""
import datetime
import decimal
import pathlib
import re
import shutil
import signal
import threading
import time

import deltalake
import duckdb
import duckdb_extension_delta
import pandas
import polars
import psycopg
import sqlalchemy

import connections
import door_logic
import doors
import examples
from end_to_end import main
from process import ROOT, Server

DAY = examples.Day(11, 400)


def sql_folder(folder):
    """The shipped SQL; it keeps a history of the orders."""
    sql = folder / "sql"
    if not sql.exists():
        shutil.copytree(ROOT / "sql", sql)
    return sql


def serve(folder, more=""):
    config = folder / "tidemark.toml"
    config.write_text(more + '[pipeline]\ncheckpoint-every-ms = 100\nhistory-commit-every-ms = 300\n'
                      '[streams.orders]\nconnector = "embedded"\n')
    return Server(["serve"], folder, sql_folder(folder), config)


def fed(folder, more=""):
    server = serve(folder, more)
    examples.feed(server, DAY)
    return server


def address(server):
    """Host and port of the PostgreSQL door."""
    found = re.search(r"postgres on ([\d.]+):(\d+)", "".join(server.said))
    assert found, "".join(server.said)
    return found.group(1), int(found.group(2))


def connect(server, **options):
    host, port = address(server)
    return psycopg.connect(host=host, port=port, dbname="tidemark", user="analyst", sslmode="disable", **options)


def engine(server):
    host, port = address(server)
    return sqlalchemy.create_engine(f"postgresql+psycopg://analyst@{host}:{port}/tidemark?sslmode=disable")


CATEGORIES = "SELECT category, gmv, payments FROM gmv_by_category ORDER BY gmv DESC, category"


def expected(server):
    return [(row["category"], decimal.Decimal(row["gmv"]), row["payments"]) for row in server.sql(CATEGORIES)]


# --- over the PostgreSQL wire -----------------------------------------------------------------------

def psycopg_asks(ground):
    """psycopg: plain and prepared statements, parameters, text and binary rows, an error with its place, a cancel"""
    with fed(ground.fresh()) as server, connect(server, autocommit=True) as connection:
        want = expected(server)
        assert want and connection.execute(CATEGORIES).fetchall() == want
        assert connection.cursor(binary=True).execute(CATEGORIES).fetchall() == want
        asked = "SELECT category, gmv, payments FROM gmv_by_category WHERE category = %s AND gmv > %s"
        for category, gmv, payments in want * 3:
            found = connection.execute(asked, (category, decimal.Decimal("0.5")), prepare=True).fetchall()
            assert found == [(category, gmv, payments)], found
        try:
            connection.execute("SELECT gvm FROM gmv_by_category")
            raise AssertionError("a column that is not there was found")
        except psycopg.Error as error:
            assert "gvm" in str(error) and error.diag.statement_position == "8", error
        begun = time.monotonic()
        threading.Timer(0.5, connection.cancel).start()
        try:
            connection.execute("SELECT COUNT(*) FROM orders a, orders b, orders c WHERE a.amount + b.amount > c.amount")
            raise AssertionError("it was not cancelled")
        except psycopg.errors.QueryCanceled:
            assert time.monotonic() - begun < 5
        assert connection.execute(CATEGORIES).fetchall() == want


def times_by_the_clock(ground):
    """psycopg: a time or a day without a zone is by the clock of the streams wherever it stands, one with a zone is its moment"""
    shanghai = datetime.timezone(datetime.timedelta(hours=8))
    with fed(ground.fresh()) as server, connect(server, autocommit=True) as connection:
        minutes = connection.execute("SELECT window_start FROM gmv_by_minute ORDER BY window_start").fetchall()
        first, second = (minute.astimezone(shanghai) for minute, in minutes[:2])
        days = connection.execute("SELECT DISTINCT window_start FROM gmv_day ORDER BY window_start").fetchall()
        day = days[0][0].astimezone(shanghai)
        assert len(minutes) > 2 and (day.hour, day.minute) == (0, 0), (minutes, day)
        forms = {
            "naive": lambda time: time.replace(tzinfo=None),
            "moment": lambda time: time.astimezone(datetime.timezone.utc),
            "text": lambda time: time.strftime("%Y-%m-%d %H:%M:%S"),
        }
        asked = [
            ("window_start = {}", 1, 1), ("window_start < {}", 1, 0), ("window_start IN ({}, {})", 2, 2),
            ("window_start BETWEEN {} AND {}", 2, 2), ("CASE window_start WHEN {} THEN true ELSE false END", 1, 1),
            ("greatest(window_start, {}) = window_start", 1, len(minutes)), ("coalesce({}, window_start) = window_start", 1, 1),
            ("nullif(window_start, {}) IS NULL", 1, 1),
        ]
        for condition, count, want in asked:
            for name, form in forms.items():
                if name == "text" and "coalesce" in condition:
                    continue  # A text is not taken for a time here; that is said.
                for marker in ("%s", "%b", "%t"):
                    query = f"SELECT COUNT(*) FROM gmv_by_minute WHERE {condition.format(*[marker] * count)}"
                    values = [form(time) for time in (first, second)[:count]]
                    found = connection.execute(query, values).fetchone()
                    assert found == (want,), (query, name, values, found, want)
        for condition in ("window_start = {}", "window_start IN ({})", "greatest(window_start, {}) = window_start",
                          "CASE window_start WHEN {} THEN true ELSE false END"):
            for marker in ("%s", "%b", "%t"):
                query = f"SELECT COUNT(DISTINCT window_start) FROM gmv_day WHERE {condition.format(marker)}"
                want = len(days) if "greatest" in condition else 1
                assert connection.execute(query, (day.date(),)).fetchone() == (want,), (query, day)


def times_to_the_microsecond(ground):
    """psycopg and HTTP: a moment between two milliseconds lies between them, and a span of days has days of 24 hours"""
    with fed(ground.fresh()) as server, connect(server, autocommit=True) as connection:
        minutes = [minute for minute, in connection.execute("SELECT window_start FROM gmv_by_minute").fetchall()]
        shanghai = datetime.timezone(datetime.timedelta(hours=8))
        first = min(minutes).astimezone(shanghai) + datetime.timedelta(microseconds=500)
        forms = [first, first.replace(tzinfo=None)]
        for condition, want in (("= {}", 0), ("< {}", 1), ("<= {}", 1), ("> {}", len(minutes) - 1), ("<> {}", len(minutes)),
                                ("IN ({})", 0), ("BETWEEN {} AND now()", len(minutes) - 1)):
            query = "SELECT COUNT(*) AS n FROM gmv_by_minute WHERE window_start " + condition
            for marker in ("%s", "%b", "%t"):
                for form in forms:
                    found = connection.execute(query.format(marker), (form,)).fetchone()
                    assert found == (want,), (query, marker, form, found, want)
            for form in forms:
                [row] = server.sql(query.format("$1"), [form.isoformat(sep=" ")])
                assert row["n"] == want, (query, form, row, want)
        for span, want in ((datetime.timedelta(days=30), len(minutes)), (datetime.timedelta(days=30_000), 0)):
            query = "SELECT COUNT(*) FROM gmv_by_minute WHERE now() - window_start > "
            assert connection.execute(query + f"INTERVAL '{span.days}' DAY").fetchone() == (want,), span
            for marker in ("%s", "%b", "%t"):
                assert connection.execute(query + marker, (span,)).fetchone() == (want,), (marker, span)
            hour = datetime.timedelta(hours=1)
            for left in ("now() - window_start + {}", "COALESCE(now() - window_start, {})", "now() - window_start - {}"):
                for marker in ("%s", "%b", "%t"):
                    query = f"SELECT COUNT(*) FROM gmv_by_minute WHERE {left.format(marker)} > {marker}"
                    assert connection.execute(query, (hour, span)).fetchone() == (want,), (query, span)
        # What a client sends is what it says, whatever stands beside it.
        day = datetime.datetime.combine(first.date(), datetime.time())
        for condition, parameter, want in (
                ("window_start < now() - {}", datetime.timedelta(days=30), len(minutes)),
                ("window_start > now() - {}", datetime.timedelta(days=30), 0),
                ("window_start + {} > window_end", datetime.timedelta(minutes=2), len(minutes)),
                ("CAST(window_start AS DATE) = {}", day, len(minutes)),
                ("CAST(window_start AS DATE) < {}", day + datetime.timedelta(hours=1), len(minutes)),
                ("now() < {}", datetime.datetime(2200, 1, 1), len(minutes)),
                ("{} < now() AND now() < DATE '9999-12-31' AND now() < COALESCE(NULLIF(window_start, window_start), DATE '9999-12-31')",
                 datetime.datetime(2020, 1, 1), len(minutes)),
                ("payments > {}", 0.5, len(minutes)),
                ("payments < {}", 0.5, 0)):
            for marker in ("%s", "%b", "%t"):
                query = f"SELECT COUNT(*) FROM gmv_by_minute WHERE {condition.format(marker)}"
                assert connection.execute(query, (parameter,)).fetchone() == (want,), (query, parameter)
        # Beyond what nanoseconds hold it is compared or refused, and not NULL.
        for marker in ("%s", "%b", "%t"):
            query = f"SELECT COUNT(*) FROM gmv_by_minute WHERE now() < {marker}"
            try:
                found = connection.execute(query, (datetime.datetime(9999, 12, 31),)).fetchone()
            except psycopg.Error:
                continue
            assert found == (len(minutes),), (query, found)


def answers_have_their_types(ground):
    """psycopg: what is put together of several types is read as what it is, in text and in binary"""
    with fed(ground.fresh()) as server, connect(server, autocommit=True) as connection:
        [day] = connection.execute("SELECT DISTINCT CAST(window_start AS DATE) FROM gmv_by_minute").fetchone()
        asked = [
            "SELECT CASE WHEN gmv IS NULL THEN 0 ELSE gmv END FROM gmv_by_category ORDER BY category",
            "SELECT CASE WHEN payments = -1 THEN 1.5 ELSE payments END FROM gmv_by_category ORDER BY category",
            "SELECT CASE WHEN payments = -1 THEN CAST(1 AS INT) ELSE payments END FROM gmv_by_category ORDER BY category",
            "SELECT n FROM (SELECT CAST(1 AS INT) AS n UNION ALL SELECT CAST(2 AS BIGINT)) ORDER BY n",
            "SELECT COALESCE(NULL, payments, 0.5) FROM gmv_by_category ORDER BY category",
        ]
        for query in asked:
            want = [decimal.Decimal(str(next(iter(row.values())))) for row in server.sql(query)]
            for binary in (False, True):
                found = connection.cursor(binary=binary).execute(query).fetchall()
                assert [decimal.Decimal(str(one)) for one, in found] == want, (query, binary, found, want)
        times = sorted(minute for minute, in connection.execute("SELECT window_start FROM gmv_by_minute").fetchall())
        shanghai = datetime.timezone(datetime.timedelta(hours=8))
        walls = [time.astimezone(shanghai).replace(tzinfo=None) for time in times]
        chosen = [
            "SELECT CASE WHEN gmv = -1 THEN DATE '2020-11-11' ELSE window_start END AS t FROM gmv_by_minute ORDER BY t",
            "SELECT COALESCE(window_start, DATE '2020-11-11') AS t FROM gmv_by_minute ORDER BY t",
            "SELECT COALESCE(window_start, %s) AS t FROM gmv_by_minute ORDER BY t",
            "SELECT GREATEST(window_start, %s) AS t FROM gmv_by_minute ORDER BY t",
        ]
        for query in chosen:
            values = (day,) if "%s" in query else ()
            for binary in (False, True):
                found = [one for one, in connection.cursor(binary=binary).execute(query, values).fetchall()]
                # A time chosen among times and days is what the clock shows.
                told = [one.astimezone(shanghai).replace(tzinfo=None) if one.tzinfo else one for one in found]
                assert told == walls, (query, binary, found[:2], walls[:2])


def decimals_keep_their_digits(ground):
    """psycopg: a decimal parameter is as exact as the same number in the query, and a whole number stands beside decimals"""
    with fed(ground.fresh()) as server, connect(server, autocommit=True) as connection:
        one = connection.execute("SELECT gmv FROM gmv_by_category ORDER BY gmv LIMIT 1 OFFSET 1").fetchone()[0]
        thousandth = decimal.Decimal("0.001")
        asked = [
            ("SELECT COUNT(*) FROM gmv_by_category WHERE gmv >= {0}", one + thousandth),
            ("SELECT COUNT(*) FROM gmv_by_category WHERE gmv > {0}", one - thousandth),
            ("SELECT COUNT(*) FROM gmv_by_category WHERE gmv <= {0} AND category <> {1}", one - thousandth),
            ("SELECT COUNT(*) FROM gmv_by_category WHERE category <> {1} AND gmv IN ({0}, 0)", one),
            ("SELECT SUM(gmv) * {0} FROM gmv_by_category", decimal.Decimal("0.12345")),
            ("SELECT SUM(gmv) / {0} FROM gmv_by_category", decimal.Decimal("0.003")),
            ("SELECT SUM(gmv) - {0} FROM gmv_by_category", decimal.Decimal("-12345678901234567890.12345")),
            ("SELECT COUNT(*) FROM gmv_by_category WHERE payments > {0}", decimal.Decimal("1.5")),
            ("SELECT COUNT(*) FROM gmv_by_category WHERE gmv > {0}", 4),
        ]
        for query, value in asked:
            want = connection.execute(query.format(value, "'no'")).fetchone()
            for marker in ("%s", "%b", "%t"):
                values = [value, "no"][:query.count("{")]
                if query.find("{1}") in range(query.find("{0}")):
                    values.reverse()
                found = connection.execute(query.format(marker, marker), values).fetchone()
                assert found == want, (query, value, marker, found, want)
            text = [str(value), "no"][:query.count("{")]
            params = server.sql(query.format("$1", "$2"), text)
            assert str(next(iter(params[0].values()))) == str(want[0]), (query, value, params, want)


def transactions(ground):
    """psycopg: what is asked within a transaction, a savepoint and after an error in one"""
    with fed(ground.fresh()) as server:
        want = expected(server)
        with connect(server) as connection:
            with connection.transaction():
                assert connection.execute(CATEGORIES).fetchall() == want
                with connection.transaction():
                    assert connection.execute(CATEGORIES).fetchall() == want
            try:
                connection.execute("DELETE FROM gmv_by_category")
                raise AssertionError("a row could be deleted")
            except psycopg.errors.InsufficientPrivilege:
                connection.rollback()
            # Back to the savepoint, and the transaction goes on.
            with connection.transaction():
                for prepare in (False, True):
                    try:
                        with connection.transaction():
                            connection.execute("SELECT gvm FROM gmv_by_category", prepare=prepare)
                        raise AssertionError("a column that is not there was found")
                    except psycopg.Error as error:
                        assert "gvm" in str(error), error
                    assert connection.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
                    assert connection.execute(CATEGORIES).fetchall() == want
            assert connection.execute(CATEGORIES).fetchall() == want


def sqlalchemy_asks(ground):
    """SQLAlchemy: rows by a parameter, the names of tables, and whether there is one"""
    with fed(ground.fresh()) as server:
        want, asked = expected(server), sqlalchemy.text(CATEGORIES + " LIMIT :rows")
        with engine(server).connect() as connection:
            assert [tuple(row) for row in connection.execute(asked, {"rows": 2})] == want[:2]
        seen = sqlalchemy.inspect(engine(server))
        assert {"gmv_by_category", "orders", "late_orders"} <= set(seen.get_table_names())
        assert seen.has_table("gmv_by_category") and not seen.has_table("no_such_view")


def pandas_asks(ground):
    """pandas: a query as a frame"""
    with fed(ground.fresh()) as server:
        frame = pandas.read_sql(sqlalchemy.text(CATEGORIES), engine(server))
        want = expected(server)
        assert list(frame["category"]) == [row[0] for row in want]
        assert list(frame["payments"]) == [row[2] for row in want]
        assert [round(decimal.Decimal(str(gmv)), 2) for gmv in frame["gmv"]] == [row[1] for row in want]


def polars_asks(ground):
    """polars: a query as a frame, decimals exact"""
    with fed(ground.fresh()) as server, connect(server) as connection:
        frame = polars.read_database(CATEGORIES, connection)
        assert frame.rows() == expected(server), frame


# --- the history's files ------------------------------------------------------------------------------

HISTORY = ["partition", "offset", "event_id", "event_type", "amount", "late"]


def told(server):
    """The history as SQL tells it, a row a record."""
    rows = server.sql('SELECT "partition", "offset", event_id, event_type, amount, late FROM orders')
    return sorted((row["partition"], row["offset"], row["event_id"], row["event_type"], decimal.Decimal(row["amount"]),
                   row["late"]) for row in rows)


def by_delta_rs(table):
    rows = deltalake.DeltaTable(str(table)).to_pyarrow_table(columns=HISTORY).to_pylist()
    return sorted(tuple(row[name] for name in HISTORY) for row in rows)


def by_duckdb(table):
    """DuckDB with its own Delta extension, from a file: nothing is fetched."""
    folder = pathlib.Path(duckdb_extension_delta.__file__).parent
    [extension] = folder.rglob("*.duckdb_extension")
    with duckdb.connect() as connection:
        connection.execute(f"LOAD '{extension}'")
        names = ", ".join(f'"{name}"' for name in HISTORY)
        return sorted(connection.execute(f"SELECT {names} FROM delta_scan('{table}')").fetchall())


def other_engines_read_the_history(ground):
    """delta-rs and DuckDB read every accepted record once from the history, as it is, after two kills and repeats"""
    folder = ground.fresh()
    orders = DAY.streams["orders"]
    third = len(orders) // 3
    parts = [orders[:third], orders[:2 * third], orders]
    for nth, part in enumerate(parts):
        with serve(folder) as server:
            sent = examples.Day(11, 0)
            sent.streams["orders"] = part
            # The beginning is sent again each time: a repeat is no second record.
            examples.feed(server, sent)
            if nth < 2:
                server.stop(signal.SIGKILL)
                continue
            want = told(server)
            assert sorted(row[2] for row in want) == sorted(one["event_id"] for one in orders)
            table = folder / "data/history/orders"
            for read in (by_delta_rs, by_duckdb):
                server.wait(lambda: read(table) == want, 30, f"the whole history {read.__name__}")
            assert sum(row[4] for row in want) == sum(decimal.Decimal(one["amount"]) for one in orders)
            buyers = {one["buyer_id"] for one in orders}
            kept = set(deltalake.DeltaTable(str(table)).to_pyarrow_table(columns=["buyer_id"])["buyer_id"].to_pylist())
            assert len(kept) == len(buyers) and not kept & buyers, "buyers' ids stand in the files"
            assert server.stop(signal.SIGTERM) == 0


def by(module, name, words):
    """A check of doors.py or connections.py."""
    def check(ground):
        getattr(module, name)(lambda more="": fed(ground.fresh(), more))
    check.__name__, check.__doc__ = name, words
    return check


def sql_logic_through_the_door(ground):
    """sqllogictest: the files of tests/door_logic, by the simple protocol and prepared, as text and as bytes"""
    with serve(ground.fresh()) as server:
        door_logic.files_through_the_door(server)


def wrong_tls_does_not_start(ground):
    """A certificate or key that is missing, no PEM, or another's keeps the server from starting, and it says which"""
    connections.wrong_tls_does_not_start(ground.fresh())


def tls_on_both_doors(ground):
    """psycopg and ADBC with TLS on both doors; whoever comes without it, or does not know the certificate, stays outside"""
    doors.tls_on_both_doors(lambda more: fed(ground.fresh(), more), ground.fresh())


CHECKS = [
    psycopg_asks,
    times_by_the_clock,
    times_to_the_microsecond,
    answers_have_their_types,
    decimals_keep_their_digits,
    transactions,
    sqlalchemy_asks,
    pandas_asks,
    polars_asks,
    other_engines_read_the_history,
    *(by(doors, name, words) for name, words in doors.CHECKS.items()),
    *(by(connections, name, words) for name, words in connections.CHECKS.items()),
    sql_logic_through_the_door,
    tls_on_both_doors,
    wrong_tls_does_not_start,
]

if __name__ == "__main__":
    main(CHECKS, __doc__)

"""Checks of tests/clients.py: Flight SQL and PostgreSQL by the drivers of others, and what tools ask before rows."""
import datetime
import decimal
import itertools
import os
import pathlib
import re
import shutil
import subprocess
import threading
import time

import adbc_driver_flightsql
import adbc_driver_flightsql.dbapi
import adbc_driver_postgresql.dbapi
import psycopg
import sqlalchemy

from end_to_end import Skip
from process import ROOT

QUESTIONS = ROOT / "tests/data/clients"
JARS = pathlib.Path.home() / ".cache/tidemark/jdbc"
PGJDBC = "org.postgresql:postgresql:42.7.14"
FLIGHT_JDBC = "org.apache.arrow:flight-sql-jdbc-driver:18.3.0"
SHANGHAI = datetime.timezone(datetime.timedelta(hours=8))
ENDLESS = "SELECT COUNT(*) FROM orders a, orders b, orders c WHERE a.amount + b.amount > c.amount"
CATEGORIES = "SELECT category, gmv, payments FROM gmv_by_category ORDER BY gmv DESC, category"


def door(server, name):
    """Host and port of a door."""
    found = re.search(rf"{name} on ([\d.]+):(\d+)", "".join(server.said))
    assert found, "".join(server.said)
    return found.group(1), int(found.group(2))


def expected(server):
    return [(row["category"], decimal.Decimal(row["gmv"]), row["payments"]) for row in server.sql(CATEGORIES)]


def flight(server, **options):
    host, port = door(server, "flight")
    return adbc_driver_flightsql.dbapi.connect(f"grpc://{host}:{port}", autocommit=True, **options)


def jar(coordinates):
    """The jar of a driver, fetched once."""
    if not shutil.which("java") or not shutil.which("mvn"):
        raise Skip("there is no java or no mvn on the PATH")
    group, name, version = coordinates.split(":")
    kept = JARS / f"{name}-{version}.jar"
    if not kept.exists():
        JARS.mkdir(parents=True, exist_ok=True)
        try:
            fetched = subprocess.run(["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={coordinates}",
                                      f"-DoutputDirectory={JARS}"], capture_output=True, text=True, timeout=180)
        except subprocess.TimeoutExpired:
            raise Skip(f"Maven did not fetch {coordinates} in three minutes") from None
        if fetched.returncode or not kept.exists():
            raise Skip(f"Maven could not fetch {coordinates}: {fetched.stdout.strip()[-300:]}")
    return kept


def jdbc(driver, url, *questions):
    """What tests/jdbc/Ask.java prints for some questions, a list of rows for each."""
    words = [word for nth, question in enumerate(questions) for word in (["--"] if nth else []) + list(question)]
    opened = ["--add-opens=java.base/java.nio=ALL-UNNAMED"]
    ran = subprocess.run(["java", *opened, "-cp", str(jar(driver)), str(ROOT / "tests/jdbc/Ask.java"), url, *words],
                         capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-3000:]
    answers = re.split(r"^-- \w+\n", ran.stdout, flags=re.MULTILINE)[1:]
    return [[line.split("\t") for line in answer.splitlines()] for answer in answers]


# --- Flight SQL ----------------------------------------------------------------------------------------

def adbc_asks_by_flight(serve):
    with serve() as server, flight(server) as connection:
        want = expected(server)
        with connection.cursor() as cursor:
            cursor.execute(CATEGORIES)
            assert cursor.fetchall() == want
            cursor.execute(CATEGORIES)
            table = cursor.fetch_arrow_table()
            assert str(table.schema.field("gmv").type) == "decimal128(38, 2)", table.schema
            asked = "SELECT category FROM gmv_by_category WHERE category = ? AND gmv > ?".replace("?", "$1", 1).replace("?", "$2", 1)
            for category, gmv, _ in want:
                for least, found in ((gmv - decimal.Decimal("0.001"), [(category,)]), (gmv + decimal.Decimal("0.001"), [])):
                    cursor.execute(asked, (category, least))
                    assert cursor.fetchall() == found, (category, least)
            cursor.execute("SELECT COUNT(*) FROM gmv_by_minute WHERE window_start < $1",
                           (datetime.datetime.now(datetime.timezone.utc),))
            assert cursor.fetchone() == (len(server.sql("SELECT window_start FROM gmv_by_minute")),)
            for wrong in ("SELECT gvm FROM gmv_by_category", "DELETE FROM gmv_by_category"):
                try:
                    cursor.execute(wrong)
                    raise AssertionError(f"{wrong} was done")
                except adbc_driver_flightsql.dbapi.Error as error:
                    assert "gvm" in str(error) or "is not allowed here" in str(error), error
        seen = connection.adbc_get_objects(depth="columns", table_name_filter="gmv_by_category").read_all().to_pylist()
        [schema] = [schema for catalog in seen for schema in catalog["catalog_db_schemas"] if schema["db_schema_name"] == "public"]
        [table] = schema["db_schema_tables"]
        assert [column["column_name"] for column in table["table_columns"]][:4] == ["window_start", "window_end", "category", "gmv"]
        assert connection.adbc_get_info()["vendor_name"] == "Tidemark"
        assert "gmv" in connection.adbc_get_table_schema("gmv_by_category", db_schema_filter="public").names


def adbc_cancels_by_flight(serve):
    with serve() as server, flight(server) as connection, connection.cursor() as cursor:
        begun = time.monotonic()
        threading.Timer(0.5, cursor.adbc_cancel).start()
        try:
            cursor.execute(ENDLESS)
            cursor.fetchall()
            raise AssertionError("it was not cancelled")
        except adbc_driver_flightsql.dbapi.Error:
            assert time.monotonic() - begun < 5
        free = "SELECT id FROM running_queries WHERE door = 'flight'"
        server.wait(lambda: not server.sql(free), 3, "the query is over")


def jdbc_asks_by_flight(serve):
    with serve() as server:
        host, port = door(server, "flight")
        url = f"jdbc:arrow-flight-sql://{host}:{port}/?useEncryption=false&user=analyst&password=any"
        want = [[category, str(gmv), str(payments)] for category, gmv, payments in expected(server)]
        one = want[0]
        rows, bound, said, refused = jdbc(
            FLIGHT_JDBC, url, ["rows", CATEGORIES],
            ["rows", "SELECT category FROM gmv_by_category WHERE category = ? AND gmv >= ?".replace("?", "$1", 1).replace("?", "$2", 1),
             f"text:{one[0]}", f"decimal:{one[1]}"],
            ["metadata", "gmv_by_category"], ["update", "DELETE FROM gmv_by_category"])
        assert rows == want and bound == [[one[0]]], (rows, bound)
        assert refused[0][0] == "refused" and "is not allowed here" in refused[0][1], refused
        told(said, {"product": "Tidemark", "tables": "gmv_by_category"}, {"functions", "best", "indexes"})
        columns = {row[1]: row for row in said if row[0] == "columns"}
        assert columns["gmv"][2].upper().startswith("DECIMAL") and columns["gmv"][5] == "2", columns["gmv"]


def told(said, cells, may_fail=()):
    """Nothing of the metadata failed, and these cells are in it."""
    failed = [row for row in said if row[0] == "failed" and row[1] not in may_fail]
    assert not failed, failed
    for what, cell in cells.items():
        assert any(row[0] == what and cell in row[1:] for row in said), (what, cell)


# --- PostgreSQL ----------------------------------------------------------------------------------------

def adbc_asks_by_postgres(serve):
    with serve() as server:
        host, port = door(server, "postgres")
        with adbc_driver_postgresql.dbapi.connect(f"postgresql://analyst@{host}:{port}/tidemark?sslmode=disable",
                                                  autocommit=True) as connection:
            with connection.cursor() as cursor:
                asked = "SELECT category, payments FROM gmv_by_category ORDER BY gmv DESC, category"
                cursor.execute(asked)
                want = [(category, payments) for category, _, payments in expected(server)]
                assert cursor.fetchall() == want
                # A decimal comes as its digits, a moment as one.
                cursor.execute("SELECT category, gmv, window_start FROM gmv_by_category ORDER BY gmv DESC, category")
                table = cursor.fetch_arrow_table()
                found = [(category, decimal.Decimal(gmv)) for category, gmv in zip(table["category"].to_pylist(), table["gmv"].to_pylist())]
                assert found == [(category, gmv) for category, gmv, _ in expected(server)], found
                assert str(table.schema.field("window_start").type).startswith("timestamp[us, tz="), table.schema
                cursor.execute("SELECT payments FROM gmv_by_category WHERE category = $1", (want[0][0],))
                assert cursor.fetchall() == [(want[0][1],)]
                try:
                    cursor.execute("DELETE FROM gmv_by_category")
                    raise AssertionError("it was done")
                except adbc_driver_postgresql.dbapi.Error as error:
                    assert "is not allowed here" in str(error), error
            assert "gmv" in connection.adbc_get_table_schema("gmv_by_category").names
            assert connection.adbc_get_info()["vendor_name"] == "PostgreSQL"
            seen = connection.adbc_get_objects(depth="all", table_name_filter="gmv_by_category").read_all().to_pylist()
            [catalog] = [catalog for catalog in seen if catalog["catalog_name"] == "tidemark"]
            [schema] = [schema for schema in catalog["catalog_db_schemas"] if schema["db_schema_name"] == "public"]
            [table] = schema["db_schema_tables"]
            columns = sorted(table["table_columns"], key=lambda column: column["ordinal_position"])
            assert [column["column_name"] for column in columns][:4] == ["window_start", "window_end", "category", "gmv"]
            assert not table["table_constraints"]


def jdbc_asks_by_postgres(serve):
    with serve() as server:
        host, port = door(server, "postgres")
        url = f"jdbc:postgresql://{host}:{port}/tidemark?user=analyst&sslmode=disable"
        want = [[category, str(gmv), str(payments)] for category, gmv, payments in expected(server)]
        one = want[0]
        rows, bound, none, said, cancelled, refused = jdbc(
            PGJDBC, url, ["rows", CATEGORIES],
            ["rows", "SELECT category FROM gmv_by_category WHERE category = ? AND gmv >= ?", f"text:{one[0]}", f"decimal:{one[1]}"],
            ["rows", "SELECT COUNT(*) FROM gmv_by_category WHERE category = ? OR gmv > ?", "null:", "double:0.5"],
            ["metadata", "gmv_by_category"], ["cancel", ENDLESS], ["update", "DELETE FROM gmv_by_category"])
        assert rows == want and bound == [[one[0]]], (rows, bound)
        assert none == [[str(sum(decimal.Decimal(row[1]) > decimal.Decimal("0.5") for row in want))]], none
        assert refused[0][0] == "refused" and "is not allowed here" in refused[0][1], refused
        assert cancelled[0][0] == "cancelled" and int(cancelled[0][1]) < 5_000, cancelled
        told(said, {"product": "PostgreSQL", "catalogs": "tidemark", "schemas": "public", "tables": "gmv_by_category",
                    "sqltypes": "numeric"})
        columns = {row[1]: row for row in said if row[0] == "columns"}
        # Name, type, digits, and a comment.
        assert columns["gmv"][2] == "numeric" and columns["gmv"][4:6] == ["38", "2"], columns["gmv"]
        assert columns["window_end"][2] == "timestamptz" and columns["window_end"][8].startswith("End of"), columns["window_end"]
        assert not any(row[0] in ("primary", "indexes", "imported", "exported") for row in said)


def psycopg_parameters(serve):
    number = decimal.Decimal("1.25")
    with serve() as server:
        host, port = door(server, "postgres")
        options = {"host": host, "port": port, "dbname": "tidemark", "user": "analyst", "sslmode": "disable"}
        all_of = len(expected(server))
        over = sum(gmv > decimal.Decimal("0.5") for _, gmv, _ in expected(server))
        first = expected(server)[0]
        same_payments = sum(payments == first[2] for _, _, payments in expected(server))
        with psycopg.connect(**options) as connection:
            [start] = connection.execute("SELECT DISTINCT window_start FROM gmv_by_category").fetchone()
        asked = [
            ("SELECT {} IS NULL", (None,), True), ("SELECT COALESCE({}, 'x')", (None,), "x"), ("SELECT COALESCE({}, 5)", (None,), 5),
            ("SELECT COUNT(*) FROM gmv_by_category WHERE {} IS NULL OR category = {}", (None, "x"), all_of),
            ("SELECT COUNT(*) FROM gmv_by_category WHERE category = COALESCE({}, category)", (None,), all_of),
            ("SELECT COUNT(*) FROM gmv_by_category WHERE gmv > COALESCE({}, 0)", (None,), all_of),
            ("SELECT COUNT(*) FROM gmv_by_category WHERE gmv > {}", (0.5,), over),
            ("SELECT COUNT(*) FROM gmv_by_category WHERE category = ANY({})", ([first[0], "no"],), 1),
            ("SELECT COUNT(*) FROM gmv_by_category WHERE gmv = ANY({})", ([first[1]],), 1),
            # Each with digits of its own, one that is none of them, and NULL.
            ("SELECT COUNT(*) FROM gmv_by_category WHERE gmv = ANY({})", ([number, first[1] + decimal.Decimal("0.001"), first[1], None],), 1),
            ("SELECT COUNT(*) FROM gmv_by_category WHERE payments = ANY({})", ([first[2], 2**40, None],), same_payments),
            ("SELECT COUNT(*) FROM gmv_by_category WHERE payments = ANY({})", ([float(first[2]), 0.5],), same_payments),
            ("SELECT COUNT(*) FROM gmv_by_category WHERE gmv = ANY({})", ([],), 0),
            ("SELECT COUNT(*) FROM gmv_by_category WHERE category <> ALL({})", ([first[0], 'a,"b"', "NULL", ""],), all_of - 1),
            ("SELECT COUNT(*) FROM gmv_by_category WHERE (gmv > 0.5) = ANY({})", ([True],), over),
            ("SELECT COUNT(DISTINCT window_start) FROM gmv_by_category WHERE window_start = ANY({})", ([start, start + datetime.timedelta(hours=1)],), 1),
            ("SELECT COUNT(DISTINCT window_start) FROM gmv_by_category WHERE window_start = ANY({})", ([start.astimezone(SHANGHAI).replace(tzinfo=None)],), 1),
            ("SELECT COUNT(DISTINCT window_start) FROM gmv_by_category WHERE CAST(window_start AS DATE) = ANY({})", ([start.astimezone(SHANGHAI).date()],), 1),
            # A stamp in words means what it means in the query: by the clock of the streams, with or without its seconds.
            *((f"SELECT COUNT(DISTINCT window_start) FROM gmv_by_category WHERE window_start {condition}", (words,) * condition.count("{}"), 1)
              for words in (f"{start.astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S}", f"{start.astimezone(SHANGHAI):%Y-%m-%d %H:%M}", f"{start.astimezone(datetime.timezone.utc):%Y-%m-%d %H:%M}+00")
              for condition in ("= {}::timestamptz", "BETWEEN {}::timestamptz AND {}::timestamptz", "= CAST({} AS TIMESTAMPTZ)")),
            ("SELECT to_timestamp({})", (int(start.timestamp()),), start), ("SELECT {} + 1", (start.date(),), start.date() + datetime.timedelta(days=1)),
            ("SELECT {} / 3", (decimal.Decimal("2.0"),), decimal.Decimal("0.666666666667")),
            ("SELECT current_setting('TimeZone') || {}", ("",), "Asia/Shanghai"),
            ("SELECT {}", (number,), number), ("SELECT {}", (2.5,), 2.5), ("SELECT {}", (None,), None),
        ]
        failed = []
        with psycopg.connect(**options, autocommit=True) as connection:
            for query, values, want in asked:
                for marker in ("%s", "%b", "%t"):
                    try:
                        found = connection.execute(query.format(*[marker] * len(values)), values).fetchone()[0]
                        assert found == want and type(found) is type(want), (found, want)
                    except Exception as error:  # noqa: BLE001 - all are told together
                        failed.append(f"{query} {marker} {values}: {str(error)[:200]}")
        assert not failed, "\n".join(failed)


def sqlalchemy_reflects(serve):
    with serve() as server:
        host, port = door(server, "postgres")
        engine = sqlalchemy.create_engine(f"postgresql+psycopg://analyst@{host}:{port}/tidemark?sslmode=disable")
        seen = sqlalchemy.inspect(engine)
        assert "public" in seen.get_schema_names()
        columns = {column["name"]: column for column in seen.get_columns("gmv_by_category")}
        assert list(columns)[:4] == ["window_start", "window_end", "category", "gmv"], columns
        gmv, start = columns["gmv"]["type"], columns["window_start"]["type"]
        assert isinstance(gmv, sqlalchemy.Numeric) and (gmv.precision, gmv.scale) == (38, 2), gmv
        assert isinstance(start, sqlalchemy.DateTime) and start.timezone, start
        assert columns["window_start"]["comment"].startswith("Beginning of the window"), columns
        assert "CNY" in seen.get_table_comment("gmv_by_category")["text"]
        assert seen.get_pk_constraint("gmv_by_category")["constrained_columns"] == []
        for none in (seen.get_indexes, seen.get_unique_constraints, seen.get_foreign_keys, seen.get_check_constraints):
            assert none("gmv_by_category") == [], none
        # Superset lists what each of these tells.
        assert "gmv_by_category" in seen.get_table_names("public") and "gmv_by_category" in seen.get_table_names("shadow")
        for none in (seen.get_view_names, seen.get_foreign_table_names, seen.get_materialized_view_names):
            assert none("public") == [], none
        table = sqlalchemy.Table("gmv_by_category", sqlalchemy.MetaData(), autoload_with=engine)
        with engine.connect() as connection:
            asked = sqlalchemy.select(table.c.category, table.c.gmv, table.c.payments)
            found = connection.execute(asked.order_by(table.c.gmv.desc(), table.c.category)).fetchall()
            assert [tuple(row) for row in found] == expected(server)


# What the answer of a question has: a cell, so many rows, a cell of this form, or no rows at all.
WANTED = re.compile(r"-- (has|rows|like|nothing|not yet): ?(.*)")


def questions():
    """Each question of each tool with what its answer has."""
    more = os.environ.get("TIDEMARK_QUESTIONS")
    for file in sorted([*QUESTIONS.glob("*.sql"), *(pathlib.Path(more).glob("*.sql") if more else [])]):
        for part in re.split(r"\n\n+", file.read_text()):
            lines = part.strip().splitlines()
            wanted = [found.groups() for found in map(WANTED.match, lines) if found]
            text = "\n".join(line for line in lines if not WANTED.match(line)).strip()
            if re.search(r"^(?!--)", text, re.MULTILINE) and text:
                assert wanted, f"{file.name}: {text[:200]}: nothing is wanted of it"
                yield str(file.relative_to(file.parent.parent)), text, wanted


def as_wanted(kind, value, rows, described):
    cells = {str(cell) for row in rows for cell in row}
    return {"not yet": lambda: True, "has": lambda: value in cells, "rows": lambda: len(rows) == int(value), "nothing": lambda: not described,
            "like": lambda: any(re.fullmatch(value, cell) for cell in cells)}[kind]()


def tools_begin(serve):
    with serve() as server:
        host, port = door(server, "postgres")
        options = {"host": host, "port": port, "dbname": "tidemark", "user": "analyst", "sslmode": "disable"}
        tools, asked, failed, left = {}, 0, [], set()
        for tool, text, wanted in questions():
            tools.setdefault(tool, []).append((text, wanted))
        ways = {"simple": lambda connection, text: psycopg.ClientCursor(connection).execute(text),
                "extended": lambda connection, text: connection.execute(text, prepare=False),
                "prepared": lambda connection, text: connection.execute(text, prepare=True)}
        for tool, (way, ask) in itertools.product(tools, ways.items()):
            with psycopg.connect(**options, autocommit=True) as connection:
                [public] = connection.execute("SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'public'").fetchone()
                for text, wanted in tools[tool]:
                    asked += 1
                    try:
                        cursor = ask(connection, text.replace("OID_OF_PUBLIC", str(public)))
                        rows = cursor.fetchall() if cursor.description else []
                        wrong = [" ".join(want) for want in wanted if not as_wanted(*want, rows, cursor.description)]
                        assert not wrong, f"not {wrong} in {len(rows)} rows as {rows[:2]}"
                        if (mark := dict(wanted).get("not yet")) is not None:
                            failed.append(f"{tool}, {way}: {' '.join(text.split())[:120]}: is answered; take `not yet: {mark}` off")
                    except Exception as error:  # noqa: BLE001 - all are told together
                        if (mark := dict(wanted).get("not yet")) is not None:
                            left.add(f"{tool}: {' '.join(text.split())[:80]}: {mark}")
                            continue
                        failed.append(f"{tool}, {way}: {' '.join(text.split())[:120]}: {str(error)[:200]}")
        print("".join(f"not yet: {one}\n" for one in sorted(left)), end="")
        assert asked > 100 and len(left) < 15, (asked, left)
        assert not failed, f"{len(failed)} of {asked}:\n" + "\n".join(failed)


# What stands in the answer of each command, spaces as one, and what does not. Where there is nothing of a kind, its list says so;
# a second command then shows that it could have shown something.
NONE, NO_ROW = "Did not find any", "(0 rows)"
PSQL = [
    ("\\d", ["public | gmv_by_category | table"], ["shadow |", "pg_class", "information_schema"]),
    ("\\d gmv_by_category", ['Table "public.gmv_by_category"', "gmv | numeric(38,2)", "window_start | timestamp with time zone",
                             "payments | bigint", "_mark | text | | not null"], ["shadow."]),
    ("\\d+ gmv_by_category", ['Table "public.gmv_by_category"', "Beginning of the window", "numeric(38,2)"], ["shadow."]),
    ("\\d shadow.gmv_by_category", ['Table "shadow.gmv_by_category"', "numeric(38,2)"], ['"public.']),
    ("\\d no_such", [NONE, "no_such"], []),
    ("\\dt", ["public | gmv_by_category | table"], ["shadow |", "pg_class"]), ("\\dt+", ["public | gmv_by_category | table", "CNY"], ["shadow |"]),
    ("\\dt shadow.*", ["shadow | gmv_by_category | table"], ["public |"]), ("\\dt gmv_by_c*", ["gmv_by_channel"], ["gmv_by_province"]),
    ("\\dn", ["public | postgres", "shadow | postgres"], []), ("\\dn+", ["public | postgres"], []),
    ("\\dv", [NONE], []), ("\\dv+", [NONE], []), ("\\di", [NONE], []), ("\\ds", [NONE], []), ("\\dm", [NONE], []),
    ("\\dv pg_catalog.pg_tables", ["pg_catalog | pg_tables | view"], []),
    ("\\l", ["tidemark | postgres | UTF8"], []), ("\\l+", ["tidemark | postgres | UTF8", "pg_default"], []),
    ("\\du", ["Role name", "analyst"], []), ("\\du+", ["Role name", "analyst"], []),
    ("\\df", ["List of functions", NO_ROW], []), ("\\df no_such", ["List of functions", NO_ROW], []),
    ("\\df+ no_such", ["List of functions", "Volatility", NO_ROW], []), ("\\df pg_get_expr", ["pg_catalog | pg_get_expr | text |"], [NO_ROW]),
    ("\\dT", ["List of data types", NO_ROW], []), ("\\dT+", ["List of data types", NO_ROW], []),
    ("\\dT numeric", ["pg_catalog | numeric |", "(1 row)"], []), ("\\dT+ numeric", ["pg_catalog | numeric | numeric | var |"], []),
    ("\\conninfo", ["tidemark", "analyst"], []),
    ("\\dp", ["public | gmv_by_category | table"], ["information_schema |", "shadow |"]), ("\\z gmv_by_category", ["public | gmv_by_category | table"], []),
    ("\\dx", ["List of installed extensions", NO_ROW], []), ("\\dy", ["List of event triggers", NO_ROW], []),
    ("\\dRp", ["List of publications", NO_ROW], []), ("\\dD", ["List of domains", NO_ROW], []),
    ("\\dC", ["bigint | numeric | numeric | yes"], []),
    ("\\da", ["List of aggregate functions", NO_ROW], []), ("\\da sum", ["pg_catalog | sum | bigint | integer |"], []),
    ("\\do", ["List of operators", NO_ROW], []), ("\\do =", ["pg_catalog | = | bigint | bigint | boolean |"], []),
    ("\\db", ["pg_default | postgres", "pg_global | postgres"], []),
    ("\\dO", ["List of collations", NO_ROW], []), ('\\dO "C"', ["pg_catalog | C | C | C"], []),
    ("\\dL", ["plpgsql | postgres"], []), ("\\drds", [NONE], []),
    ("\\dA", ["btree | Index", "heap | Table"], []),
]


SHADOW, ROLES, TYPES = "lists the shadow space too", "pg_roles has no row", "functions have no types of results and arguments"
# What psql does not show as it should, each to be taken out when it does.
PSQL_NOT_YET = {
    "\\d": SHADOW, "\\d gmv_by_category": SHADOW, "\\d+ gmv_by_category": SHADOW, "\\dt": SHADOW, "\\dt+": SHADOW, "\\dp": SHADOW,
    "\\l": "the encoding is told as UTF-8", "\\l+": "the encoding is told as UTF-8", "\\du": ROLES, "\\du+": ROLES,
    "\\df pg_get_expr": TYPES, "\\da sum": TYPES, "\\do =": "a function's number is no number where it is joined",
}


def psql_describes(serve):
    if not shutil.which("psql"):
        raise Skip("there is no psql on the PATH")
    with serve() as server:
        host, port = door(server, "postgres")
        failed, left = [], []
        for ask, wanted, unwanted in PSQL:
            ran = subprocess.run(["psql", "-X", "-w", "-h", host, "-p", str(port), "-U", "analyst", "-d", "tidemark", "-c", ask],
                                 capture_output=True, text=True, timeout=60)
            shown = re.sub(r"[ \t]+", " ", ran.stdout + ran.stderr)
            wrong = [f"no {want!r}" for want in wanted if want not in shown] + [f"{want!r}" for want in unwanted if want in shown]
            is_wrong = wrong or "ERROR" in ran.stderr or ran.returncode and NONE not in shown
            if ask in PSQL_NOT_YET:
                left.append(f"{ask}: {PSQL_NOT_YET[ask]}")
                if not is_wrong:
                    failed.append(f"{ask}: is as it should be; take it out of PSQL_NOT_YET")
            elif is_wrong:
                failed.append(f"{ask}: {', '.join(wrong)}: {shown[:300]}")
        print("".join(f"not yet: {one}\n" for one in left), end="")
        assert not failed, f"{len(failed)} of {len(PSQL)}:\n" + "\n".join(failed)


# --- TLS -----------------------------------------------------------------------------------------------

def certificate(folder):
    """A certificate for this machine, made for the test."""
    if not shutil.which("openssl"):
        raise Skip("there is no openssl on the PATH")
    chain, key = folder / "server.pem", folder / "server.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", chain],
                   check=True, capture_output=True)
    return chain, key


def tls_on_both_doors(serve, folder):
    chain, key = certificate(folder)
    with serve(f'[server]\ntls-certificate = "{chain}"\ntls-key = "{key}"\n') as server:
        want = expected(server)
        host, port = door(server, "postgres")
        options = {"host": host, "port": port, "dbname": "tidemark", "user": "analyst"}
        with psycopg.connect(**options, sslmode="verify-full", sslrootcert=str(chain)) as connection:
            assert connection.execute(CATEGORIES).fetchall() == want
            assert connection.info.pgconn.ssl_in_use
        try:
            psycopg.connect(**options, sslmode="disable")
            raise AssertionError("a plain connection was let in")
        except psycopg.OperationalError as error:
            assert "needs TLS" in str(error), error
        host, port = door(server, "flight")
        trust = {adbc_driver_flightsql.DatabaseOptions.TLS_ROOT_CERTS.value: chain.read_text()}
        with adbc_driver_flightsql.dbapi.connect(f"grpc+tls://{host}:{port}", db_kwargs=trust, autocommit=True) as connection:
            with connection.cursor() as cursor:
                cursor.execute(CATEGORIES)
                assert cursor.fetchall() == want
        for plain in (f"grpc://{host}:{port}", f"grpc+tls://{host}:{port}"):
            try:
                with adbc_driver_flightsql.dbapi.connect(plain, autocommit=True) as connection, connection.cursor() as cursor:
                    cursor.execute("SELECT 1")
                raise AssertionError(f"{plain} was let in without TLS or trust")
            except adbc_driver_flightsql.dbapi.Error:
                pass


CHECKS = {
    "adbc_asks_by_flight": "ADBC by Flight SQL: rows, exact parameters, times, mistakes, and what there is",
    "adbc_cancels_by_flight": "ADBC by Flight SQL: a cancel frees the query",
    "jdbc_asks_by_flight": "The Flight SQL JDBC driver: rows, parameters, what there is, no change",
    "adbc_asks_by_postgres": "ADBC by PostgreSQL's wire: rows",
    "jdbc_asks_by_postgres": "pgjdbc: rows, parameters, DatabaseMetaData whole, a cancel, no change",
    "psycopg_parameters": "psycopg: NULL without a type, floats, lists and decimals as parameters",
    "sqlalchemy_reflects": "SQLAlchemy: columns with their types and comments, no keys, and a table asked by what was reflected",
    "tools_begin": "What Grafana, Metabase, DBeaver, Superset and Power BI ask first is answered, by each way to ask",
    "psql_describes": "psql: \\d, \\d+, \\dt+ and their like show what there is, and only that",
}

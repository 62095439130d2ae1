"""Checks of tests/clients.py: Flight SQL and PostgreSQL by the drivers of others, and what tools ask before rows."""
import datetime
import decimal
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
        table = sqlalchemy.Table("gmv_by_category", sqlalchemy.MetaData(), autoload_with=engine)
        with engine.connect() as connection:
            asked = sqlalchemy.select(table.c.category, table.c.gmv, table.c.payments)
            found = connection.execute(asked.order_by(table.c.gmv.desc(), table.c.category)).fetchall()
            assert [tuple(row) for row in found] == expected(server)


def questions():
    """Each question of each tool with what its answer has."""
    for file in sorted(QUESTIONS.glob("*.sql")):
        wanted = []
        for part in re.split(r"\n\n+", file.read_text()):
            lines = part.strip().splitlines()
            wanted = [line[3:] for line in lines if re.match(r"-- (has|rows): ", line)]
            text = "\n".join(line for line in lines if not line.startswith("--")).strip()
            if text:
                yield file.stem, text, wanted


def tools_begin(serve):
    with serve() as server:
        host, port = door(server, "postgres")
        options = {"host": host, "port": port, "dbname": "tidemark", "user": "analyst", "sslmode": "disable"}
        failed = []
        with psycopg.connect(**options, autocommit=True) as connection:
            for tool, text, wanted in questions():
                for prepare in (False, True):
                    try:
                        rows = connection.execute(text, prepare=prepare).fetchall()
                        cells = {str(cell) for row in rows for cell in row}
                        for want in wanted:
                            kind, value = want.split(": ", 1)
                            assert value in cells if kind == "has" else len(rows) == int(value), (want, rows[:5])
                    except Exception as error:  # noqa: BLE001 - all are told together
                        failed.append(f"{tool}: {text.splitlines()[0]}: {str(error)[:400]}")
        assert not failed, "\n".join(failed)


def psql_describes(serve):
    if not shutil.which("psql"):
        raise Skip("there is no psql on the PATH")
    with serve() as server:
        host, port = door(server, "postgres")
        asks = {"\\d gmv_by_category": "numeric(38,2)", "\\d+ gmv_by_category": "Beginning of the window",
                "\\dt": "gmv_by_category", "\\dt+ gmv_by_category": "CNY", "\\d": "gmv_by_category", "\\dn": "public",
                "\\dv": "", "\\di": "", "\\ds": "", "\\l": "tidemark", "\\du": "", "\\df no_such": "", "\\dT numeric": "", "\\conninfo": str(port),
                "\\l+": "tidemark", "\\dn+": "public", "\\dv+": "", "\\du+": "", "\\df": "", "\\df+ no_such": "", "\\dT": "", "\\dT+": "",
                "\\dp": "gmv_by_category", "\\z": "gmv_by_category", "\\dx": "", "\\dy": "", "\\dRp": "", "\\dC": "", "\\da": "", "\\do": "",
                "\\dD": "", "\\db": "pg_default", "\\dO": "", "\\dL": "", "\\drds": ""}
        failed = []
        for ask, want in asks.items():
            ran = subprocess.run(["psql", "-X", "-w", "-h", host, "-p", str(port), "-U", "analyst", "-d", "tidemark", "-c", ask],
                                 capture_output=True, text=True, timeout=60)
            if ran.returncode or "ERROR" in ran.stderr or want not in ran.stdout:
                failed.append(f"{ask}: {ran.stdout[-300:]}{ran.stderr[-300:]}")
        assert not failed, "\n".join(failed)


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
    "tools_begin": "What Grafana, Metabase and DBeaver ask first is answered",
    "psql_describes": "psql: \\d, \\d+, \\dt+ and their like",
}

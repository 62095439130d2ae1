"""The .slt files of tests/door_logic through the PostgreSQL door of a running server, in every way a driver may ask.

The format is sqllogictest's, of which this reads `statement ok`, `statement error REGEX`, `query TYPES [rowsort]` with `I` a
whole number, `R` a decimal and `T` anything else, and comments; what it does not know is an error. Each file is run three
times: by the simple protocol, and prepared with rows as text and as bytes.
"""
import datetime
import decimal
import json
import re
import urllib.request

import psycopg

from process import ROOT
from wire import door

FILES = ROOT / "tests/door_logic"
WAYS = {"simple": {}, "prepared": {"prepare": True}, "binary": {"prepare": True, "binary": True}}


def feed(server):
    """The orders of orders.jsonl."""
    records = (FILES / "orders.jsonl").read_bytes()
    ask = urllib.request.Request(f"{server.url}/api/ingest/orders", records, {"content-type": "application/x-ndjson"})
    with urllib.request.urlopen(ask, timeout=60) as answer:
        refused = [line for line in json.load(answer) if "error" in line]
    assert not refused, refused
    accepted = "SELECT SUM(accepted) AS accepted FROM records_accounted WHERE stream = 'orders'"
    server.wait(lambda: server.sql(accepted)[0]["accepted"] == records.count(b"\n"), 60, "all orders are accepted")


def records(file):
    """Line, kind, statement and what is wanted, of each record of a file."""
    for part in re.split(r"\n{2,}", file.read_text().strip()):
        line = file.read_text()[:file.read_text().index(part)].count("\n") + 1
        lines = [text for text in part.split("\n") if not text.startswith("#")]
        if not lines:
            continue
        head, body = lines[0], "\n".join(lines[1:])
        if head.startswith("query "):
            statement, rows = re.fullmatch(r"(.*?)\n----\n?(.*)", body + "\n", re.S).groups()
            yield line, head.split(), statement, [row for row in rows.split("\n") if row]
        elif head == "statement ok" or head.startswith("statement error "):
            yield line, head.split(" ", 2), body, None
        else:
            raise AssertionError(f"{file.name}:{line}: {head!r} is not known")


def told(value):
    """A value as a file has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime.datetime) and value.tzinfo:
        return value.astimezone(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S+00")
    if isinstance(value, list):
        return "{" + ",".join(map(told, value)) + "}"
    return "NULL" if value is None else "(empty)" if value == "" else str(value)


def is_of(kind, value):
    """Whether a value has the type that a file says."""
    if value is None or kind == "T" and not isinstance(value, (int, decimal.Decimal)) or isinstance(value, bool) and kind == "T":
        return True
    return isinstance(value, {"I": int, "R": decimal.Decimal, "T": str}[kind]) and not isinstance(value, bool)


def run(connection, way, file):
    """The mistakes of a file, and how many records it has."""
    options = dict(way)
    binary = options.pop("binary", False)
    wrong, count = [], 0
    for line, head, statement, want in records(file):
        count += 1
        place = f"{file.name}:{line}"
        try:
            with connection.cursor(binary=binary) as cursor:
                cursor.execute(statement, **options)
                found = cursor.fetchall() if cursor.description else []
            if head[1] == "error":
                wrong.append(f"{place}: it went through")
            elif head[0] == "query":
                rows = [" ".join(map(told, row)) for row in found]
                if head[2:] == ["rowsort"]:
                    rows, want = sorted(rows), sorted(want)
                if rows != want:
                    wrong.append(f"{place}: {rows} and not {want}")
                if not all(len(row) == len(head[1]) and all(map(is_of, head[1], row)) for row in found):
                    wrong.append(f"{place}: {found[:2]} are not of the types {head[1]}")
        except psycopg.Error as error:
            if head[1] != "error" or not re.search(head[2], str(error)):
                wrong.append(f"{place}: {str(error)[:300]}")
    return wrong, count


def files_through_the_door(server):
    """Every file, in every way."""
    feed(server)
    host, port = door(server, "postgres")
    wrong, files = [], sorted(FILES.glob("*.slt"))
    assert files, f"there is no file in {FILES}"
    for name, way in WAYS.items():
        for file in files:
            with psycopg.connect(host=host, port=port, dbname="tidemark", user="analyst", sslmode="disable", autocommit=True) as connection:
                mistakes, count = run(connection, way, file)
                assert count, f"{file.name} asks nothing"
                wrong += [f"{name} {mistake}" for mistake in mistakes]
    assert not wrong, "\n".join(wrong)

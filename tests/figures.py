"""Everything a server shows of a log, so that two servers can be compared to the byte."""
import json

SQL = "tests/data/checkpoints/sql"
VIEWS = ["day", "steps", "visits", "net", "of_all"]
TABLES = ["records_accounted", "views_accounted", "sources_accounted", "lifecycle_accounted", "late_orders",
          "dead_letters", "unmatched"]


def read_by(server):
    """Records read so far."""
    # Before the first cut there is no such table, and no view either.
    if server.view("of_all")["cut"] == 0:
        return 0
    rows = server.sql("SELECT CAST(SUM(read) AS BIGINT) AS read FROM records_accounted")
    return int(rows[0]["read"] or 0) if rows else 0


def drained(server, records, seconds=60):
    """Waits until all records of the log are read."""
    server.wait(lambda: read_by(server) >= records, seconds, f"{records} records read")


def figures(server, histories=()):
    """Rows, ledgers, accounting and histories as one text by name; a figure that only time settles is provisional here."""
    found = {}
    for name in VIEWS:
        rows = server.view(name)["rows"]
        for row in rows:
            row["_mark"] = {"settled": "provisional"}.get(row["_mark"], row["_mark"])
        found[name] = canonical(rows)
    for name in [*TABLES, *histories]:
        found[name] = canonical(server.sql(f"SELECT * FROM {name}"))
    return found


def canonical(rows):
    return "\n".join(sorted(json.dumps(row, sort_keys=True, ensure_ascii=False) for row in rows))


def equal(got, want, what):
    """Fails with the first rows that differ."""
    for name in want:
        if got[name] != want[name]:
            mine, its = set(got[name].split("\n")), set(want[name].split("\n"))
            raise AssertionError(f"{what}: {name} differs:\n  only here: {sorted(mine - its)[:2]}\n"
                                 f"  only in the uninterrupted run: {sorted(its - mine)[:2]}")

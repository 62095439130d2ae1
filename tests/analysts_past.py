"""The orders that analysts ask of, made once and kept, and the server that has them.

`~/.cache/tidemark/analysts/RECORDS` stays for the next run, unless other streams are declared by then.
"""
import contextlib
import decimal
import hashlib
import json
import pathlib
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request

from process import BINARY, ROOT, Server

KEPT = pathlib.Path.home() / ".cache/tidemark/analysts"
DAYS = 5
FIRST_DAY = "2020-11-07"
# A generated order has two records and a little.
RECORDS_AN_ORDER = 1.99
THREADS = 2
# Where a question groups by order, both keep an entry an order.
MEMORY_BYTES_MIN, MEMORY_BYTES_A_RECORD = 4 << 30, 120
# Log, checkpoints, files and the files that are put together: 230 bytes a record when all is done, and half as much again.
DISK_BYTES_A_RECORD = 350
RECORDS_WITH_VIEWS_MAX = 20_000_000
FILL_SECONDS_MIN, FILL_RECORDS_A_SECOND = 7_200, 5_000
PROGRESS_SECONDS = 30
ASK_SECONDS_MAX = 600


def memory_bytes(records):
    return max(MEMORY_BYTES_MIN, MEMORY_BYTES_A_RECORD * records)


def sql_config(records):
    return f"""[sql]
threads = {THREADS}
memory-bytes-max = {memory_bytes(records)}
seconds-max = {ASK_SECONDS_MAX}
"""


HISTORY = """
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
    began = time.monotonic()
    with subprocess.Popen([BINARY, "load", "--sql-dir", ROOT / "sql", "--config", folder / "tidemark.toml", *map(str, arguments)],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT) as loading:
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    told, _ = loading.communicate(timeout=PROGRESS_SECONDS)
                    break
                say(f"  generating: {size_of(folder) / 1e9:.1f} GB of log after {time.monotonic() - began:,.0f} s")
        finally:
            loading.kill()
    written = re.search(r"(\d+) records written", told)
    assert loading.returncode == 0 and written, f"load: {told}"
    return int(written.group(1))


def size_of(folder):
    """Bytes of the files in a folder; of one that has just gone, none."""
    sizes = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            sizes += path.stat().st_size if path.is_file() else 0
    return sizes


def declared():
    """What the shipped streams are, as a hash: other declarations keep other records."""
    text = b"".join(path.read_bytes() for path in sorted((ROOT / "sql/streams").glob("*.sql")))
    return hashlib.sha256(text).hexdigest()


def wait(holds, seconds, what, progress):
    """What `holds` answers as soon as it is true; `progress` says now and then how far it is."""
    began = told = time.monotonic()
    while not (found := holds()):
        now = time.monotonic()
        assert now < began + seconds, f"{what}: not in {seconds} s"
        if now > told + PROGRESS_SECONDS:
            progress()
            told = now
        time.sleep(1)
    return found


class Past:
    """A folder with `records` orders, and the server that has it."""

    def __init__(self, records, anew):
        self.folder, self.records = KEPT / str(records), records
        self.made = self.folder / "made.json"
        self.table = self.folder / "data/history/orders"
        made = json.loads(self.made.read_text()) if self.made.exists() and not anew else {}
        if made.get("declared") != declared():
            self._fill(records)
        self._configure()
        self.written = json.loads(self.made.read_text())["written"]
        self.server = Server(["serve", "--quiet"], self.folder, self._sql(), self.folder / "tidemark.toml")

    def _configure(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "tidemark.toml").write_text(sql_config(self.records) + HISTORY)

    def _sql(self):
        """The shipped SQL, or of very many orders the stream of them and nothing else."""
        if self.records <= RECORDS_WITH_VIEWS_MAX:
            return ROOT / "sql"
        alone = self.folder / "sql"
        (alone / "streams").mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "sql/streams/orders.sql", alone / "streams/orders.sql")
        return alone

    def _fill(self, records):
        shutil.rmtree(self.folder, ignore_errors=True)
        self._configure()
        wanted, free = DISK_BYTES_A_RECORD * records, shutil.disk_usage(self.folder).free
        assert free > wanted, f"{records:,} records take up to {wanted / 1e9:.0f} GB in {KEPT}, and {free / 1e9:.0f} GB are free"
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

        def progress():
            told = self._told(read)
            say(f"  taking in: {int((told and told[0]) or 0):,} of {self.written:,} records after {time.monotonic() - began:,.0f} s, "
                f"{size_of(self.folder) / 1e9:.1f} GB")

        began = time.monotonic()
        patience = max(FILL_SECONDS_MIN, self.written // FILL_RECORDS_A_SECOND)
        orders = int(wait(committed, patience, f"{self.written} records in the history", progress))
        log = self.table / "_delta_log"
        newest = lambda: max(log.glob("*.json"), key=lambda path: path.name).name
        last, since = newest(), time.monotonic()
        while time.monotonic() - since < 5:
            time.sleep(0.5)
            if newest() != last:
                last, since = newest(), time.monotonic()
        files = connection.execute(f"SELECT COUNT(DISTINCT filename) FROM delta_scan('{self.table}', filename = true)")
        size = sum(path.stat().st_size for path in self.table.rglob("*.parquet"))
        say(f"{orders:,} orders in the history, {files.fetchone()[0]} files, {size / 1e6:,.0f} MB; "
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

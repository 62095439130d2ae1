"""Duplicates beyond memory, ledgers and corrected records, through the real binary and through kills."""
import datetime
import json
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request

from process import BINARY, ROOT, Server


def order(number, **changes):
    """A paid order of now, some fields replaced; None leaves a field out."""
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
    fields = {"event_id": f"e{number}", "order_id": f"o{number}", "event_type": "paid", "event_time": now,
              "amount": "10.00", "source": f"till-{number % 3}", **changes}
    return json.dumps({name: value for name, value in fields.items() if value is not None})


def config(folder, **pipeline):
    """A config with an embedded log and these keys of [pipeline], `_` for `-`."""
    file = folder / "tidemark.toml"
    keys = "".join(f"{name.replace('_', '-')} = {value}\n" for name, value in pipeline.items())
    file.write_text(f'[pipeline]\n{keys}\n[streams.orders]\nconnector = "embedded"\n')
    return file


def ingest(server, lines):
    for begin in range(0, len(lines), 2_000):
        body = "\n".join(lines[begin:begin + 2_000]).encode()
        with urllib.request.urlopen(urllib.request.Request(server.url + "/api/ingest/orders", body), timeout=60) as answer:
            refused = [line for line in json.load(answer) if "error" in line]
        assert not refused, refused[:3]


def counts(server):
    """The records accounted for, over all partitions; every identity holds at every look."""
    server.wait(lambda: server.view("gmv_day")["cut"] > 0, 20, "a first cut")
    rows = server.sql("SELECT * FROM records_accounted")
    for row in rows:
        parts = sum(row[name] for name in ("accepted", "duplicate", "rejected", "shadow", "control"))
        assert row["read"] == parts, f"records have disappeared: {row}"
    lost = server.sql("SELECT * FROM views_accounted WHERE accepted <> counted + filtered + late")
    assert not lost, lost
    alarms = [alarm for alarm in server.health()["alarms"] if "add up" in alarm]
    assert not alarms, alarms
    return {name: sum(row[name] for row in rows) for name in rows[0] if name not in ("stream", "partition")} if rows else {}


def wait_for(server, seconds=60, **wanted):
    found = {}

    def holds():
        found.update(counts(server))
        return all(found.get(name) == count for name, count in wanted.items())
    try:
        server.wait(holds, seconds, f"accounting of {wanted}")
    except AssertionError as error:
        raise AssertionError(f"{error}; found {found}") from error


def metric(server, name):
    with urllib.request.urlopen(server.url + "/metrics", timeout=20) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name)


def command(*arguments, expect=0):
    done = subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == expect, f"exit {done.returncode}: {done.stdout[-1000:]}{done.stderr[-1500:]}"
    return done.stdout + done.stderr


def keys_on_disk_through_kills(ground):
    """Dedup keys far beyond the memory bound: every duplicate is known, also after two kills, and no order twice"""
    folder = ground.fresh()
    # 1 MiB holds 2,048 keys a partition; a long checkpoint interval leaves many spilled keys after it.
    file = config(folder, dedup_memory_bytes_max=1_048_576, checkpoint_every_ms=1_500)
    orders = [order(number) for number in range(60_000)]
    with Server(["serve"], folder, config=file) as server:
        ingest(server, orders[:30_000])
        server.wait(lambda: metric(server, "tidemark_dedup_keys_spilled_total") > 0, 60, "keys on disk")
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    with Server(["serve"], folder, config=file) as server:
        ingest(server, orders[20_000:50_000])
        server.wait(lambda: counts(server).get("read", 0) > 40_000, 60, "most of the records")
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    with Server(["serve"], folder, config=file) as server:
        ingest(server, orders)
        wait_for(server, 120, read=120_000, accepted=60_000, duplicate=60_000, rejected=0, misplaced=0)
        by_value = server.sql("SELECT value, SUM(accepted) AS n, SUM(\"read\") AS r FROM sources_accounted GROUP BY value ORDER BY value")
        assert [(row["value"], int(row["n"]), int(row["r"])) for row in by_value] == [
            (f"till-{n}", 20_000, 40_000) for n in range(3)], by_value
        [total] = server.sql("SELECT SUM(counted) AS n FROM views_accounted WHERE view = 'gmv_day'")
        assert int(total["n"]) == 60_000, total


def load_tests_over_http(ground):
    """A load test that is sent over HTTP with the stream's header counts in no figure of the live space"""
    folder = ground.fresh()
    with Server(["serve"], folder, config=config(folder)) as server:
        ingest(server, [order(0)])
        request = urllib.request.Request(server.url + "/api/ingest/orders", order(1, amount="999.00").encode(),
                                         {"tidemark-shadow": "1"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert "offset" in json.load(answer)[0]
        wait_for(server, read=2, accepted=1, shadow=1)
        assert [row["gmv"] for row in server.sql("SELECT gmv FROM gmv_day")] == ["10.00"]
        assert [row["gmv"] for row in server.sql("SELECT gmv FROM shadow.gmv_day")] == ["999.00"]
        request.add_header("tidemark-watermark", "1")
        try:
            urllib.request.urlopen(request, timeout=60)
            raise AssertionError("a control record of the live space was taken for a load test")
        except urllib.error.HTTPError as error:
            told = error.read().decode()
            assert error.code == 400 and "tidemark-shadow" in told, told


def corrected_records_count_once(ground):
    """A rejected order is listed, exported, corrected and replayed: it counts once, however often it is sent and killed"""
    folder = ground.fresh()
    file = config(folder)
    bad = [order(1, amount="ten"), order(2, amount="eleven"), order(3, order_id=None)]
    with Server(["serve"], folder, config=file) as server:
        ingest(server, [order(0), *bad])
        wait_for(server, read=4, accepted=1, rejected=3)
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    with Server(["serve"], folder, config=file) as server:
        wait_for(server, read=4, accepted=1, rejected=3)
        letters = server.sql("SELECT * FROM dead_letters")
        assert len(letters) == 3 and {row["topic"] for row in letters} == {"orders"}, letters
        assert {row["kind"] for row in letters} == {"bad-value", "missing-field"}, letters
        ask = ["--server", server.url]
        listed = command("dead-letters", "list", "--reason", "amount", "--format", "csv", *ask)
        assert len(listed.splitlines()) == 3 and "eleven" in listed, listed
        exported = folder / "bad.jsonl"
        command("dead-letters", "export", exported, "--reason", "bad-value", *ask)
        replay = ["dead-letters", "replay", exported, "--config", file, *ask]
        said = command(*replay, expect=1)
        assert "line 1" in said and "amount" in said and "nothing was sent" in said, said
        wait_for(server, read=4)
        exported.write_text(exported.read_text().replace("ten", "10.00").replace("eleven", "11.00"))
        assert "2 records of stream orders are as it declares them" in command(*replay, "--dry-run")
        command(*replay)
        wait_for(server, read=6, accepted=3, rejected=3, duplicate=0)
        command(*replay)
        wait_for(server, read=8, accepted=3, rejected=3, duplicate=2)
        command("dead-letters", "remove", exported, *ask)
        left = server.wait(lambda: server.sql("SELECT kind FROM dead_letters"), 10, "one letter")
        assert [row["kind"] for row in left] == ["missing-field"], left
        wait_for(server, read=8, rejected=3)


def readiness(server):
    """What /readyz answers, also while it is not ready (503)."""
    try:
        return server.get("/readyz")
    except urllib.error.HTTPError as error:
        with error:
            return json.load(error)


def a_full_ledger_pauses(ground):
    """A full ledger drops nothing: it alarms, the partitions wait, and go on once entries are removed"""
    folder = ground.fresh()
    file = config(folder, ledger_bytes_max=20_000)
    lines = [order(number, amount="ten") for number in range(1_000)]
    with Server(["serve"], folder, config=file) as server:
        ingest(server, lines)
        alarms = server.wait(lambda: [alarm for alarm in readiness(server)["alarms"] if "waits for room" in alarm],
                             30, "an alarm")
        ready = readiness(server)
        assert any("dead_letters is full" in alarm for alarm in ready["alarms"]), alarms
        assert ready["status"] == "not_ready" and ready["state"] == "paused", ready
        assert "waits for room in ledger dead_letters" in ready["reason"], ready
        assert metric(server, "tidemark_ledger_full") == 1
        held, entries = metric(server, "tidemark_ledger_bytes"), metric(server, "tidemark_ledger_rows")
        # The bound, and what a batch of each partition that was read before it came near left.
        assert held >= 20_000 and entries < 1_000, (held, entries)
        seen = counts(server)
        assert 0 < seen["read"] < 1_000 and seen["read"] == seen["rejected"], seen
        removed, ask, exported = 0, ["--server", server.url], folder / "letters.jsonl"
        until = time.monotonic() + 60
        # The partitions go on some time after there is room: rounds that find nothing new are no fault.
        while removed < 1_000 and time.monotonic() < until:
            exported.unlink(missing_ok=True)
            command("dead-letters", "export", exported, *ask)
            removed += int(command("dead-letters", "remove", exported, "--quiet", *ask).split()[0])
        wait_for(server, read=1_000, rejected=1_000)
        assert removed == 1_000, f"{removed} of 1000 letters were found"
        server.wait(lambda: server.get("/healthz")["alarms"] == [], 10, "no alarm")
        assert readiness(server)["status"] == "ready", readiness(server)


def unknown_fields_are_counted_by_name(ground):
    """A field that the stream does not declare is ignored, and counted by its name"""
    folder = ground.fresh()
    with Server(["serve"], folder, config=config(folder)) as server:
        ingest(server, [order(0, coupon="x"), order(1, coupon="y", gift=True), order(2)])
        wait_for(server, read=3, accepted=3)
        with urllib.request.urlopen(server.url + "/metrics", timeout=20) as answer:
            lines = [line for line in answer.read().decode().splitlines() if line.startswith("tidemark_unknown_fields_total{")]
        found = {re.search('field="([^"]*)"', line).group(1): float(line.rsplit(" ", 1)[1]) for line in lines}
        assert found == {"coupon": 2, "gift": 1}, lines


CHECKS = [unknown_fields_are_counted_by_name, keys_on_disk_through_kills, load_tests_over_http, corrected_records_count_once, a_full_ledger_pauses]

"""Checkpoints where they go wrong: a torn one, an old one, a full disk, a bucket that fails, is slow, or is all that is left.

    checkpoints.py [--only SUBSTRING] [--keep]
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import urllib.request

import figures
import life_cycle
from fake_s3 import Bucket
from process import ROOT, Server

FOLDER = ROOT / "tests/data/checkpoints"
SQL = FOLDER / "sql"
# As the kept checkpoints were made: see tests/data/checkpoints/README.md.
EVENTS = life_cycle.events(23, 40)
KEPT = 70
S3_KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "test-1"}


def config(folder, **pipeline):
    """A config with these keys of [pipeline], `_` for `-`."""
    file = folder / "tidemark.toml"
    keys = "".join(f"{name.replace('_', '-')} = {json.dumps(value)}\n" for name, value in pipeline.items())
    file.write_text(f"[pipeline]\n{keys}")
    return file


def serve(folder, file):
    return Server(["serve"], folder, SQL, file)


def told(server):
    """What /healthz says someone must look at, in one text."""
    return " | ".join(server.get("/healthz")["alarms"])


def metric(server, name):
    """The value of a metric without labels; 0 while there is none."""
    with urllib.request.urlopen(server.url + "/metrics", timeout=20) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.split("{")[0].split(" ")[0] == name)


def cut(server):
    return server.view("of_all")["cut"]


def take(server, events, records):
    life_cycle.ingest(server, "orders", events)
    figures.drained(server, records)


def uninterrupted(ground, events):
    """What a server shows that was never interrupted, after these bodies of events; with its folder."""
    folder = ground.fresh()
    with serve(folder, config(folder)) as server:
        records = 0
        for some in events:
            records += len(some)
            take(server, some, records)
        found = figures.figures(server)
        assert server.stop(signal.SIGTERM) == 0
    return found, folder


def wait_for_checkpoint(server, newer_than=0.6):
    """Waits until the newest checkpoint is younger than what has been taken in before this call."""
    time.sleep(newer_than)
    server.wait(lambda: metric(server, "tidemark_checkpoint_age_seconds") < newer_than / 2, 20, "a checkpoint")


# What the programs that wrote the archives counted by other rules, which their figures keep: rows of life cycles in the
# accounting of views, late by source.
BY_OTHER_RULES = {"views_accounted", "sources_accounted"}


def kept(want):
    """The figures that no rule has changed since the archives were written."""
    return {name: text for name, text in want.items() if name not in BY_OTHER_RULES}


def an_older_format(ground):
    """A checkpoint of each format there has been is read, and gives the same figures; a later one is refused by number"""
    halves = [EVENTS[:KEPT], EVENTS[KEPT:] + EVENTS[:20]]
    want, _ = uninterrupted(ground, halves)
    first, log = uninterrupted(ground, halves[:1])
    archives = sorted(FOLDER.glob("format-*.tar.gz"))
    assert len(archives) >= 2, archives
    for archive in archives:
        folder = ground.fresh()
        shutil.copytree(log / "data/log", folder / "data/log")
        shutil.copytree(log / "data/ledgers", folder / "data/ledgers")
        with tarfile.open(archive) as packed:
            packed.extractall(folder / "data/checkpoints", filter="data")
        file = config(folder, checkpoint_every_ms=100)
        number = archive.name.split("-")[1].split(".")[0]
        with serve(folder, file) as server:
            figures.drained(server, KEPT)
            figures.equal(figures.figures(server), kept(first), archive.name)
            assert f"format {number}" in "".join(server.said), f"{archive.name} was not read:\n" + "".join(server.said)
            assert "defined otherwise" not in "".join(server.said), "the kept checkpoint was not gone on from"
            take(server, halves[1], len(halves[0]) + len(halves[1]))
            figures.equal(figures.figures(server), kept(want), f"{archive.name} and what came after it")
            server.stop(signal.SIGTERM)
        # What it has written itself is of the newest format.
        with serve(folder, file) as server:
            figures.drained(server, len(halves[0]) + len(halves[1]))
            figures.equal(figures.figures(server), kept(want), f"{archive.name}, saved again")
            server.stop(signal.SIGTERM)
        newest = max((folder / "data/checkpoints").glob("*.checkpoint"))
        data = bytearray(newest.read_bytes())
        data[8] = 99
        newest.write_bytes(data)
        try:
            serve(folder, file).stop(signal.SIGKILL)
            raise RuntimeError("format 99 was taken")
        except AssertionError as error:
            assert "format version 99" in str(error), error


def a_torn_checkpoint(ground):
    """A torn or corrupt checkpoint, or one whose keys are gone, is named and passed over for the newest whole one"""
    halves = [EVENTS[:KEPT], EVENTS[KEPT:]]
    want, _ = uninterrupted(ground, halves)
    folder = ground.fresh()
    file = config(folder, checkpoint_every_ms=100)
    with serve(folder, file) as server:
        take(server, halves[0], KEPT)
        wait_for_checkpoint(server)
        # Two of one offset vector, so that what they name is on the disk either way.
        server.stop(signal.SIGKILL)
    checkpoints = sorted((folder / "data/checkpoints").glob("*.checkpoint"))
    assert len(checkpoints) == 3, checkpoints
    checkpoints[-1].write_bytes(checkpoints[-1].read_bytes()[:1000])
    data = bytearray(checkpoints[-2].read_bytes())
    data[5000] ^= 1
    checkpoints[-2].write_bytes(data)
    with serve(folder, file) as server:
        server.wait(lambda: checkpoints[-1].name in told(server) and checkpoints[-2].name in told(server), 10, "both named")
        take(server, halves[1], len(EVENTS))
        figures.equal(figures.figures(server), want, "from the third newest")
        server.wait(lambda: "passed over" not in told(server), 10, "the end of the alarm")
        server.stop(signal.SIGTERM)
    keys = max((folder / "data/checkpoints/orders").glob("*.keys"))
    keys.unlink()
    try:
        serve(folder, file).stop(signal.SIGKILL)
        raise RuntimeError("checkpoints without their keys were taken")
    except AssertionError as error:
        assert keys.name in str(error) and "missing" in str(error), error


def a_full_disk(ground):
    """On a full disk figures and final marks go on, health and metrics say what is wrong, and it heals by itself"""
    halves = [EVENTS[:KEPT], EVENTS[KEPT:]]
    want, _ = uninterrupted(ground, halves)
    folder = ground.fresh()
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True, text=True)
    if mounted.returncode != 0:
        raise ground.skip(f"no small disk can be mounted: {mounted.stderr.strip()}")
    try:
        file = config(folder, checkpoint_every_ms=100, checkpoint_store=f"file://{disk}")
        with serve(folder, file) as server:
            take(server, halves[0], KEPT)
            wait_for_checkpoint(server)
            fill(disk)
            server.wait(lambda: "No space left" in told(server), 20, "the alarm")
            assert metric(server, "tidemark_checkpoint_failing") == 1
            before = cut(server)
            take(server, halves[1], len(EVENTS))
            figures.equal(figures.figures(server), want, "on a full disk")
            close = subprocess.run([os.environ["TIDEMARK"], "close-day", "--sql-dir", SQL, "--date", "2020-11-13", "--yes",
                                    "--server", server.url], capture_output=True, text=True)
            assert close.returncode == 0, close.stderr
            server.wait(lambda: all(row["_mark"] == "final" for row in server.view("visits")["rows"]), 10, "final marks")
            assert cut(server) > before
            ready = server.get("/readyz")
            assert ready["status"] == "ready" and ready["alarms"], ready
            (disk / "filler").unlink()
            server.wait(lambda: not told(server), 20, "health again")
            assert metric(server, "tidemark_checkpoint_failing") == 0
            shown = figures.figures(server)
            wait_for_checkpoint(server)
            server.stop(signal.SIGKILL)
        with serve(folder, file) as server:
            figures.drained(server, len(EVENTS) + 2)
            figures.equal(figures.figures(server), shown, "after the disk had been full")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def fill(disk):
    with open(disk / "filler", "wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            pass


def with_bucket(bucket):
    os.environ.update(S3_KEYS, AWS_ENDPOINT_URL=bucket.address)
    return "s3://tidemark/live"


def a_bucket_is_enough(ground):
    """From checkpoints in a bucket a machine with nothing but the log goes on: same figures, and no key counts twice"""
    halves = [EVENTS[:KEPT], EVENTS[KEPT:] + EVENTS[:30]]
    want, _ = uninterrupted(ground, halves)
    folder = ground.fresh()
    with Bucket() as bucket:
        file = config(folder, checkpoint_every_ms=100, checkpoint_store=with_bucket(bucket))
        with serve(folder, file) as server:
            # In many parts, so that there are segments to be merged.
            for at in range(0, KEPT, 7):
                take(server, halves[0][at:at + 7], at + 7)
                time.sleep(0.25)
            wait_for_checkpoint(server)
            server.stop(signal.SIGKILL)
        named = len(bucket.objects)
        for gone in ("dedup", "dedup.id", "checkpoints"):
            path = folder / "data" / gone
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        with serve(folder, file) as server:
            figures.drained(server, KEPT)
            assert "goes on from checkpoint" in "".join(server.said), "".join(server.said)
            take(server, halves[1], len(halves[0]) + len(halves[1]))
            figures.equal(figures.figures(server), want, "from the bucket")
            server.stop(signal.SIGTERM)
        assert sum(name.endswith(".checkpoint") for name in bucket.objects) == 3, sorted(bucket.objects)
        assert named > 3 and any(".keys." in name for name in bucket.objects), sorted(bucket.objects)


def a_bucket_that_fails(ground):
    """While the bucket fails each kind of request figures go on and health says so; when it works again so do checkpoints"""
    want, _ = uninterrupted(ground, [EVENTS])
    folder = ground.fresh()
    with Bucket() as bucket:
        file = config(folder, checkpoint_every_ms=100, checkpoint_store=with_bucket(bucket))
        with serve(folder, file) as server:
            records = 0
            for fails in ({"PUT"}, {"GET"}, {"POST", "DELETE"}, {"PUT", "GET", "POST", "DELETE"}):
                bucket.fails = fails
                some = EVENTS[records:records + 38]
                records += len(some)
                began = time.monotonic()
                take(server, some, records)
                assert time.monotonic() - began < 10, "figures waited for the bucket"
                if "PUT" in fails:
                    server.wait(lambda: "no checkpoint has been written" in told(server), 60, f"the alarm of {fails}")
                bucket.fails = set()
                server.wait(lambda: not told(server), 60, f"health after {fails}")
            figures.equal(figures.figures(server), want, "with a failing bucket")
            wait_for_checkpoint(server, 1.0)
            server.stop(signal.SIGKILL)
        with serve(folder, file) as server:
            figures.drained(server, len(EVENTS))
            figures.equal(figures.figures(server), want, "after a failing bucket")


def a_slow_bucket(ground):
    """A bucket that takes two seconds a request keeps nobody waiting: cuts go on, and a checkpoint comes in the end"""
    folder = ground.fresh()
    with Bucket() as bucket:
        file = config(folder, checkpoint_every_ms=100, checkpoint_store=with_bucket(bucket))
        with serve(folder, file) as server:
            take(server, EVENTS[:KEPT], KEPT)
            wait_for_checkpoint(server)
            bucket.put_seconds = 2.0
            time.sleep(0.5)
            slowest, end = 0.0, time.monotonic() + 6
            number, since = cut(server), time.monotonic()
            while time.monotonic() < end:
                now = cut(server)
                if now != number:
                    number, since = now, time.monotonic()
                slowest = max(slowest, time.monotonic() - since)
                time.sleep(0.02)
            assert slowest < 1.5, f"no cut for {slowest:.1f} s"
            bucket.put_seconds = 0.0
            server.wait(lambda: metric(server, "tidemark_checkpoint_age_seconds") < 1, 30, "a checkpoint")


def what_waits_is_bounded(ground):
    """What waits for a checkpoint is bounded: past the bound partitions pause, nothing is lost, and they go on when it is written"""
    folder = ground.fresh()
    events = life_cycle.events(5, 6_000)
    bound = 262_144
    with Bucket() as bucket:
        file = config(folder, checkpoint_every_ms=100, checkpoint_store=with_bucket(bucket), batch_records_max=100, publish_every_ms=20,
                      checkpoint_waiting_bytes_max=bound)
        with serve(folder, file) as server:
            take(server, EVENTS[:10], 10)
            wait_for_checkpoint(server)
            bucket.fails = {"PUT"}
            for at in range(0, len(events), 5_000):
                life_cycle.ingest(server, "orders", events[at:at + 5_000])
            server.wait(lambda: "partitions wait" in told(server), 30, "the pause")
            time.sleep(1)
            first = figures.read_by(server)
            waiting = metric(server, "tidemark_checkpoint_waiting_bytes")
            # A thread reads on until the next drain; that is the most by which the bound is passed.
            assert bound <= waiting < 8 * bound, waiting
            time.sleep(2)
            assert figures.read_by(server) == first < len(events), (first, len(events))
            before = cut(server)
            server.wait(lambda: cut(server) > before, 5, "cuts while partitions wait")
            bucket.fails = set()
            figures.drained(server, len(events) + 10, 90)
            server.wait(lambda: not told(server), 30, "health again")


CHECKS = [an_older_format, a_torn_checkpoint, a_full_disk, a_bucket_is_enough, a_bucket_that_fails, a_slow_bucket,
          what_waits_is_bounded]

if __name__ == "__main__":
    import end_to_end
    sys.exit(end_to_end.main(CHECKS, __doc__))

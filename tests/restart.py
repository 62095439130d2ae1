#!/usr/bin/env python3
"""How long a killed server takes until its figures are live again, with a full-size state.

    restart.py --data-dir FOLDER --config FILE --records N [--times N]

The folder holds a filled embedded log (`tidemark load --to local`). The server drains it, writes checkpoints, is killed
with SIGKILL and started again: measured are the first cut that can be read, and when all records of the log are in the
figures and the status is `live` or `quiet`.
"""
import argparse
import pathlib
import signal
import time
import urllib.error

from process import Server


def read_by(server):
    rows = server.sql("SELECT read FROM records_accounted") if server.view("gmv_day")["cut"] else []
    return sum(int(row["read"]) for row in rows)


def measure(folder, config, records):
    begun = time.monotonic()
    with Server(["serve"], folder, config=config) as server:
        listening = time.monotonic() - begun
        cut = None
        while time.monotonic() - begun < 120:
            try:
                ready = server.get("/readyz")
                cut = cut or time.monotonic() - begun
                if ready["state"] in ("live", "quiet") and read_by(server) >= records:
                    live = time.monotonic() - begun
                    server.stop(signal.SIGKILL)
                    return listening, cut, live
            except (urllib.error.URLError, ConnectionError):
                pass
            time.sleep(0.01)
        raise AssertionError("not live in two minutes")


def main():
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--data-dir", required=True, type=pathlib.Path, help="its folder `data` is the data folder")
    ask.add_argument("--config", required=True)
    ask.add_argument("--records", required=True, type=int, help="in the log")
    ask.add_argument("--times", type=int, default=3)
    args = ask.parse_args()
    with Server(["serve"], args.data_dir, config=args.config) as server:
        begun = time.monotonic()
        server.wait(lambda: read_by(server) >= args.records, 600, "the drain")
        print(f"drained {args.records} records in {time.monotonic() - begun:.0f} s")
        # The last of it is in a checkpoint.
        time.sleep(3)
        server.stop(signal.SIGKILL)
    folder = args.data_dir / "data/checkpoints"
    newest = max(folder.glob("*.checkpoint")).stat().st_size
    logs = sum(file.stat().st_size for file in folder.rglob("*") if file.suffix in (".keys", ".journal"))
    print(f"checkpoint {newest / 1e6:.1f} MB, keys and orders beside it {logs / 1e6:.1f} MB")
    for _ in range(args.times):
        listening, cut, live = measure(args.data_dir, args.config, args.records)
        print(f"listening {listening:.2f} s, first cut {cut:.2f} s, live {live:.2f} s")


if __name__ == "__main__":
    main()

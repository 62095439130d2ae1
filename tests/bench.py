#!/usr/bin/env python3
"""Orders per second of `tidemark run`: JSON lines from disk, decoded, folded and published.

    bench.py [--orders 1000000] [--runs 3]

Prints one line a query, the best of its runs. The orders are made here with a fixed seed; the time is
that of the whole process, its start (about 50 ms) included.
"""
import argparse
import json
import os
import pathlib
import random
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = os.environ.get("TIDEMARK", str(ROOT / "target/release/tidemark"))
SEED = 11
MIDNIGHT_MS = 1_605_024_000_000  # 2020-11-11T00:00+08:00

TABLE = """CREATE TABLE orders (
  order_id STRING NOT NULL, category STRING, buyer_id BIGINT, amount DECIMAL(18, 2),
  event_time TIMESTAMP(3) NOT NULL, WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND
) WITH ('connector' = 'filesystem', 'path' = '{path}', 'format' = 'json', 'time-zone' = 'Asia/Shanghai'{dedup});
"""
DAY = "CUMULATE(TABLE orders, DESCRIPTOR(event_time), INTERVAL '1' SECOND, INTERVAL '1' DAY)"
MINUTE = "TUMBLE(TABLE orders, DESCRIPTOR(event_time), INTERVAL '1' MINUTE)"
QUERIES = {
    "count only": ("SELECT COUNT(*) AS n FROM orders;", ""),
    "minute by category": (
        f"SELECT window_end, category, SUM(amount) AS gmv FROM TABLE({MINUTE}) "
        "GROUP BY window_start, window_end, category;", ""),
    "day by the second": (
        f"SELECT window_end, SUM(amount) AS gmv, COUNT(*) AS n FROM TABLE({DAY}) "
        "GROUP BY window_start, window_end;", ""),
    "day by the second, dedup": (
        f"SELECT window_end, SUM(amount) AS gmv, COUNT(*) AS n FROM TABLE({DAY}) "
        "GROUP BY window_start, window_end;", ", 'dedup.key' = 'order_id'"),
}


def write_orders(path, count):
    """An hour of orders in time order, a little out of step."""
    dice = random.Random(SEED)
    with open(path, "w") as out:
        for number in range(count):
            at = MIDNIGHT_MS + number * 3_600_000 // count - dice.randrange(3000)
            out.write(json.dumps({
                "order_id": f"o{number:012d}", "category": f"category-{dice.randrange(20)}",
                "buyer_id": dice.randrange(1_000_000),
                "amount": f"{dice.randrange(1, 500000) / 100:.2f}", "event_time": max(at, MIDNIGHT_MS),
            }, separators=(",", ":")) + "\n")


def main():
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--orders", type=int, default=1_000_000)
    ask.add_argument("--runs", type=int, default=3)
    args = ask.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        orders = folder / "orders.jsonl"
        write_orders(orders, args.orders)
        print(f"{args.orders} orders, {orders.stat().st_size / args.orders:.0f} bytes each, {os.cpu_count()} cores")
        for title, (query, dedup) in QUERIES.items():
            job = folder / "job.sql"
            job.write_text(TABLE.format(path=orders, dedup=dedup) + query)
            best = min(seconds(job) for _ in range(args.runs))
            print(f"{title:28} {args.orders / best:12,.0f} orders/s", flush=True)


def seconds(job):
    began = time.monotonic()
    subprocess.run([BINARY, "run", str(job), "--quiet"], stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - began


if __name__ == "__main__":
    main()

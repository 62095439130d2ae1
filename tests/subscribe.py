#!/usr/bin/env python3
"""Live queries against a generated day: what a subscriber knows is a fresh SELECT at the same cut.

Three queries are followed over HTTP, one of them by a reader that is slow, and asked anew all the while. Answers whose
cut a subscriber has are compared row by row; the others fall between two of its frames and say nothing.

Usage: tests/subscribe.py [--cuts N]
"""
import argparse
import http.client
import json
import pathlib
import signal
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

from process import Server

QUERIES = {
    "a view as it is": ("SELECT * FROM gmv_by_province", []),
    "some rows and columns": ("SELECT category, gmv, payments * 2 AS twice FROM gmv_by_category WHERE gmv > $1", [20]),
    "a filter that rows pass and leave":
        ("SELECT province AS p, window_start AS a, window_end AS b FROM gmv_by_province WHERE payments % 2 = 0", []),
}
SLOW = "a view as it is"
SECONDS_MAX = 150


def key(row, keys):
    return json.dumps([row[name] for name in keys])


def plain(rows):
    """Rows as texts in an order that does not matter, without what only tells them apart."""
    return sorted(json.dumps({name: value for name, value in row.items() if name != "_row"}, sort_keys=True) for row in rows)


class Subscriber(threading.Thread):
    """Follows a query and remembers its rows at each cut it was told of."""

    def __init__(self, server, sql, params, rest):
        super().__init__(daemon=True)
        address = urllib.parse.urlsplit(server.url)
        self.connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
        body = json.dumps({"sql": sql, "params": params})
        self.connection.request("POST", "/api/sql/subscribe", body, {"content-type": "application/json"})
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200, self.answer.read()
        self.rest, self.at, self.frames, self.wrong, self.stopped = rest, {}, 0, None, False

    def run(self):
        try:
            self.follow()
        except Exception as error:
            self.wrong = None if self.stopped else f"{type(error).__name__}: {error}"

    def follow(self):
        rows, keys, cut = {}, [], None
        while not self.stopped:
            frame = json.loads(self.answer.readline())
            if frame["type"] == "progress":
                continue
            if frame["type"] == "snap":
                keys = frame["keys"]
                rows = {key(row, keys): row for row in frame["rows"]}
                assert len(rows) == len(frame["rows"]), "two rows have one key"
            else:
                assert (frame["type"], frame["base"]) == ("delta", cut), frame
                for gone in frame["delete"]:
                    del rows[key(gone, keys)]
                rows.update((key(row, keys), row) for row in frame["upsert"])
            cut = frame["cut"]
            self.frames += 1
            self.at[cut] = plain(rows.values())
            time.sleep(self.rest)


def fresh(server, sql, params):
    body = json.dumps({"sql": sql, "params": params, "rows": "objects"}).encode()
    ask = urllib.request.Request(server.url + "/api/sql", body, {"content-type": "application/json"})
    with urllib.request.urlopen(ask, timeout=60) as answer:
        answer = json.load(answer)
    return answer["cut"], plain(answer["rows"])


def compared(subscriber, asked):
    """The answers whose cut the subscriber was told of, by cut."""
    return {cut: rows for cut, rows in asked if cut in subscriber.at}


def check(cuts):
    with tempfile.TemporaryDirectory() as folder, Server(["demo", "--rate", "400"], pathlib.Path(folder)) as server:
        deadline = time.monotonic() + 60
        while not server.sql("SELECT 1 AS one FROM gmv_by_category WHERE gmv > 20 LIMIT 1"):
            assert time.monotonic() < deadline, "there are no figures"
            time.sleep(0.2)
        subscribers = {name: Subscriber(server, sql, params, 0.35 if name == SLOW else 0)
                       for name, (sql, params) in QUERIES.items()}
        for subscriber in subscribers.values():
            subscriber.start()
        asked = {name: [] for name in QUERIES}
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline and min(
                len(compared(subscribers[name], asked[name])) for name in QUERIES if name != SLOW) < cuts:
            for name, (sql, params) in QUERIES.items():
                asked[name].append(fresh(server, sql, params))
            time.sleep(0.03)
        # Those that are behind catch up with the last of the answers.
        time.sleep(2)
        failed = 0
        for name, subscriber in subscribers.items():
            subscriber.stopped = True
            known = compared(subscriber, asked[name])
            answers = {json.dumps(rows) for rows in known.values()}
            different = [cut for cut, rows in known.items() if subscriber.at[cut] != rows]
            # On a machine that is busy with something else there are fewer within the time.
            least = 10 if name == SLOW else cuts // 4
            ok = subscriber.wrong is None and not different and len(known) >= least and len(answers) > least // 2
            failed += not ok
            print(f"{'ok  ' if ok else 'FAIL'} {name}: {subscriber.frames} frames, {len(known)} cuts compared, "
                  f"{len(answers)} different answers" + (f"; not the same at {different[:5]}" if different else "")
                  + (f"; {subscriber.wrong}" if subscriber.wrong else ""))
        assert server.stop(signal.SIGTERM) == 0, "it did not end by itself"
        return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, default=200)
    failed = check(parser.parse_args().cuts)
    print(f"{len(QUERIES) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

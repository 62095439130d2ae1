"""`AS OF` over kills and restarts, on a disk and in a bucket: orders of a version, views of a time, and a query that is shared.

    past.py [--only SUBSTRING] [--keep]
"""
import datetime
import json
import os
import random
import signal
import threading
import time
import urllib.error
import urllib.request

import examples
from checkpoints import with_bucket
from end_to_end import main
from fake_s3 import Bucket
from process import ROOT, Server

DAY = examples.Day(11, 300)
CONFIG = """[pipeline]
checkpoint-every-ms = 100
history-commit-every-ms = 300
history-compact-every = 1
history-keep-hours = 0
view-history-every-ms = 50
"""


STREAMS = "".join(f'[streams.{name}]\nconnector = "embedded"\n' for name in ("behaviour", "orders", "parcels", "service", "claims"))


def serve(folder, more="", config=CONFIG, keep_hours=0):
    text = config.replace("keep-hours = 0", f"keep-hours = {keep_hours}") + more + STREAMS
    config = folder / "tidemark.toml"
    config.write_text(text)
    return Server(["serve"], folder, ROOT / "sql", config)


def ask(server, path, body=None, accept="application/json"):
    """The JSON that comes back."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.url + path, data, {"content-type": "application/json", "accept": accept})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def refused(server, sql):
    try:
        ask(server, "/api/sql", {"sql": sql})
    except urllib.error.HTTPError as error:
        return json.load(error)["error"]
    raise AssertionError(f"{sql}: was answered")


def stamp(ms):
    return datetime.datetime.fromtimestamp(ms / 1000, datetime.UTC).strftime("TIMESTAMP '%Y-%m-%d %H:%M:%S.%f+00:00'")


def count(server, orders="orders"):
    return server.sql(f"SELECT COUNT(*) AS n FROM {orders}")[0]["n"]


def part(nth):
    """A third of the day's orders and nothing else."""
    sent = examples.Day(11, 0)
    orders = DAY.streams["orders"]
    third = len(orders) // 3 + 1
    sent.streams["orders"] = orders[:third * nth]
    return sent


def newest(server):
    """The newest version that everything accepted is in, and how many orders that is."""
    n = count(server)
    last = lambda: ask(server, "/api/sql", {"sql": "SELECT COUNT(*) FROM orders FOR SYSTEM_TIME AS OF now()"})
    found = server.wait(lambda: (lambda told: told["rows"] == [[n]] and told)(last()), 30, f"{n} orders in a version")
    return found["past"][0]["version"], n


def the_past_stays_what_it_was(ground):
    """a version of the orders, a view of a time and a shared query answer the same after more orders, kills and compactions"""
    folder = ground.fresh()
    moments = []
    shared = None
    for nth in (1, 2, 3):
        with serve(folder) as server:
            examples.feed(server, part(nth))
            version, n = newest(server)
            total = server.sql("SELECT SUM(gmv) AS gmv FROM gmv_day")
            now = "SELECT SUM(gmv) AS gmv FROM gmv_day FOR SYSTEM_TIME AS OF now()"
            server.wait(lambda: server.sql(now) == total, 10, f"a look at {total}")
            moment = int(time.time() * 1000)
            if shared is None:
                sql = "SELECT COUNT(o.order_id) AS orders, MAX(d.gmv) AS gmv FROM orders o, gmv_day d"
                shared = ask(server, "/api/queries/shared", {"sql": sql})
                first = ask(server, shared["url"])["rows"]
                # Every order beside every row of the day.
                [of_the_day] = server.sql("SELECT COUNT(*) AS days, MAX(gmv) AS gmv FROM gmv_day")
                want = [[n * of_the_day["days"], of_the_day["gmv"]]]
                assert first == want and want[0][0] and want[0][1] and shared["past"], f"{first} and not {want}"
            moments.append((version, n, moment, total))
            for version, n, moment, total in moments:
                told = server.sql(f"SELECT SUM(gmv) AS gmv FROM gmv_day FOR SYSTEM_TIME AS OF {stamp(moment)}")
                assert told == total, f"{moment}: {told} and not {total}"
            assert ask(server, shared["url"])["rows"] == first
            server.stop(signal.SIGKILL if nth < 3 else signal.SIGTERM)
    assert len({n for _, n, _, _ in moments}) == 3 and len({json.dumps(total) for *_, total in moments}) == 3, moments
    with serve(folder) as server:
        # What is held is there, though everything else was to be deleted at once; and what is not, is refused.
        pins = json.loads((folder / "data/pins.json").read_text())["holders"]["shared/" + shared["id"]]
        held = pins["orders"][0]
        assert count(server, f"orders FOR VERSION AS OF {held}") == moments[0][1]
        told = refused(server, f"SELECT COUNT(*) FROM orders FOR VERSION AS OF {moments[1][0]}")
        assert "no longer kept" in told["message"] and (told["line"], told["column"]) == (1, 22), told
        ago = refused(server, "SELECT 1 FROM gmv_day FOR SYSTEM_TIME AS OF TIMESTAMP '2020-01-01 00:00:00'")
        assert "nothing is kept from before" in ago["message"], ago
        buyers = {one["buyer_id"] for one in DAY.streams["orders"]}
        told = {row["buyer_id"] for row in server.sql("SELECT DISTINCT buyer_id FROM orders")}
        assert len(told) == len(buyers) and not told & buyers, "a buyer is told by name"


def without_a_history(ground):
    """`history = "off"` keeps none, and on again everything in the log is there"""
    folder = ground.fresh()
    with serve(folder, 'history = "off"\nview-history-hours = 0\n') as server:
        examples.feed(server, part(2))
        accepted = server.sql("SELECT SUM(accepted) AS n FROM records_accounted WHERE stream = 'orders'")[0]["n"]
        assert "not found" in refused(server, "SELECT 1 FROM orders")["message"]
        assert "not found" in refused(server, "SELECT 1 FROM view_history")["message"]
        assert "nothing is kept" in refused(server, "SELECT 1 FROM gmv_day FOR SYSTEM_TIME AS OF now()")["message"]
        assert not (folder / "data/history").exists() and not (folder / "data/view_history").exists()
        assert server.stop(signal.SIGTERM) == 0
    with serve(folder) as server:
        server.wait(lambda: server.sql("SELECT cut FROM current_cut")[0]["cut"] > 0, 30, "a cut")
        server.wait(lambda: count(server) == int(accepted), 30, f"{accepted} orders")


def the_next_second():
    """A bucket tells the time of an object in whole seconds."""
    time.sleep(1.05 - time.time() % 1)


def the_past_in_a_bucket(ground):
    """with the history in a bucket, orders of a version and of a time answer the same after kills and restarts"""
    folder = ground.fresh()
    with Bucket() as bucket:
        with_bucket(bucket)
        in_bucket = 'history-store = "s3://tidemark/past"\n'
        moments = []
        for nth in (1, 2, 3):
            with serve(folder, in_bucket, keep_hours=1) as server:
                examples.feed(server, part(nth))
                version, n = newest(server)
                the_next_second()
                moments.append((version, n, int(time.time() * 1000), server.sql("SELECT SUM(amount) AS sum FROM orders")))
                the_next_second()
                assert server.stop(signal.SIGKILL if nth < 3 else signal.SIGTERM) is not None
        assert len({n for _, n, _, _ in moments}) == 3, moments
        with serve(folder, in_bucket, keep_hours=1) as server:
            server.wait(lambda: server.sql("SELECT cut FROM current_cut")[0]["cut"] > 0, 30, "a cut")
            for version, n, moment, total in moments:
                for then in (f"VERSION AS OF {version}", f"SYSTEM_TIME AS OF {stamp(moment)}"):
                    told = ask(server, "/api/sql", {"sql": f"SELECT COUNT(*), SUM(amount) FROM orders FOR {then}"})
                    assert told["rows"] == [[n, total[0]["sum"]]], f"{then}: {told['rows']}, and not {n} orders of {total}"
                    assert told["past"][0]["table"] == "orders" and told["past"][0]["at"] <= moment, told["past"]
            shared = ask(server, "/api/queries/shared", {"sql": "SELECT COUNT(*) FROM orders"})
            assert ask(server, shared["url"])["rows"] == [[moments[-1][1]]]
            early = refused(server, "SELECT 1 FROM orders FOR SYSTEM_TIME AS OF TIMESTAMP '2020-01-01 00:00:00'")
            assert "no version of that time" in early["message"], early
            later = refused(server, "SELECT 1 FROM orders FOR VERSION AS OF 100000")
            assert "no version 100000 yet" in later["message"], later
            assert server.stop(signal.SIGTERM) == 0
        assert not (folder / "data/history").exists(), "it is on the disk as well"
        files = [name for name in bucket.objects if name.startswith("past/orders/event_date=")]
        commits = [name for name in bucket.objects if name.startswith("past/orders/_delta_log/")]
        assert files and len(commits) >= 4, sorted(bucket.objects)
        os.environ.pop("AWS_ENDPOINT_URL")


def what_is_seen_is_what_is_shared(ground):
    """a shared query has the orders that wait for their commit, whenever that would be, and of its views the same cut"""
    folder = ground.fresh()
    seldom = CONFIG.replace("history-commit-every-ms = 300", "history-commit-every-ms = 3600000")
    with serve(folder, config=seldom) as server:
        examples.feed(server, part(1))
        n = count(server)
        assert n > 0 and count(server, "orders FOR SYSTEM_TIME AS OF now()") == 0, "nothing is committed by itself"
        sql = """SELECT (SELECT COUNT(*) FROM orders) AS orders, (SELECT SUM(accepted) FROM records_accounted) AS n"""
        told = refused_share(server, sql)
        assert "records_accounted is another at every moment" in told["message"], told
        sql = "SELECT (SELECT COUNT(*) FROM orders) AS orders, (SELECT SUM(gmv) FROM gmv_day) AS gmv"
        seen = ask(server, "/api/sql", {"sql": sql})
        shared = ask(server, "/api/queries/shared", {"sql": sql})
        first = ask(server, shared["url"])
        assert first["rows"] == seen["rows"], f"seen {seen['rows']}, and the link says {first['rows']}"
        assert shared["cut"] >= shared["askedCut"] >= seen["cut"] and first["cut"] == shared["cut"], shared
        papers = {paper["table"]: paper for paper in shared["past"]}
        assert papers["orders"]["cut"] == papers["gmv_day"]["cut"] == shared["cut"], shared
        assert sum(papers["orders"]["offsets"].values()) >= n and papers["orders"]["asOf"] == shared["asOf"], shared
        examples.feed(server, part(2))
        assert count(server) > n
        again = ask(server, shared["url"])
        assert again["rows"] == first["rows"] and again["past"] == first["past"] == shared["past"], again
        server.stop(signal.SIGKILL)
    with serve(folder, config=seldom) as server:
        again = ask(server, shared["url"])
        assert again["rows"] == first["rows"] and again["past"] == shared["past"], again


def refused_share(server, sql):
    try:
        ask(server, "/api/queries/shared", {"sql": sql})
    except urllib.error.HTTPError as error:
        return json.load(error)["error"]
    raise AssertionError(f"{sql}: was shared")


def trickle(server, lines, stop):
    """Sends some lines at a time until it is told to stop, or there are no more."""
    for begin in range(0, len(lines), 5):
        if stop.is_set():
            return
        body = "\n".join(lines[begin:begin + 5]).encode()
        request = urllib.request.Request(f"{server.url}/api/ingest/orders", body, {"content-type": "application/x-ndjson"})
        with urllib.request.urlopen(request, timeout=60):
            time.sleep(0.05)


def a_time_is_always_told_the_same(ground):
    """orders and views as of a time are the same however soon they are asked for, while orders come in"""
    folder = ground.fresh()
    queries = [
        "SELECT COUNT(*), SUM(amount), SUM(\"offset\") FROM orders FOR SYSTEM_TIME AS OF {}",
        "SELECT COUNT(*), SUM(gmv), SUM(payments) FROM gmv_day FOR SYSTEM_TIME AS OF {}",
    ]
    dice, told, asked = random.Random(7), {}, 0
    config = CONFIG.replace("view-history-every-ms = 50", "view-history-every-ms = 200")
    with serve(folder, config=config.replace("history-keep-hours = 0", "history-keep-hours = 24")) as server:
        examples.feed(server, part(1))
        time.sleep(1)
        lines = DAY.lines("orders")[len(DAY.streams["orders"]) // 3 + 1:]
        stop = threading.Event()
        feeding = threading.Thread(target=trickle, args=(server, lines, stop))
        feeding.start()
        moments = []
        for _ in range(30):
            now = int(time.time() * 1000)
            moments += [now - behind for behind in (0, 1, 5, 50, 150, 300)]
            for moment in dice.sample(moments, min(6, len(moments))) + [now]:
                for query in queries:
                    rows = ask(server, "/api/sql", {"sql": query.format(stamp(moment))})["rows"]
                    first = told.setdefault((query, moment), (rows, int(time.time() * 1000) - moment))
                    assert rows == first[0], f"{query.format(moment)}: first, {first[1]} ms after, {first[0]}; then {rows}"
                    asked += 1
        stop.set()
        feeding.join()
    assert asked > 300 and len({json.dumps(rows) for rows, _ in told.values()}) > 10, (asked, len(told))


CHECKS = [the_past_stays_what_it_was, without_a_history, the_past_in_a_bucket, what_is_seen_is_what_is_shared, a_time_is_always_told_the_same]

if __name__ == "__main__":
    main(CHECKS, __doc__)

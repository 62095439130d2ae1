"""`AS OF` over kills and restarts: orders of a version, views of a time, and a query that is shared.

    past.py [--only SUBSTRING] [--keep]
"""
import datetime
import json
import signal
import time
import urllib.error
import urllib.request

import examples
from end_to_end import main
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


def serve(folder, more=""):
    config = folder / "tidemark.toml"
    config.write_text(CONFIG + more + STREAMS)
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
                assert first[0][0] % n == 0 and shared["past"], first
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


CHECKS = [the_past_stays_what_it_was, without_a_history]

if __name__ == "__main__":
    main(CHECKS, __doc__)

#!/usr/bin/env python3
"""The questions of sql/examples against a made-up day whose answers are reckoned from its raw records.

    examples.py [--only TEXT] [--keep]

A server with embedded logs gets the records of one day; then every file is asked as it is. Each answer must have the
columns its file promises, and those of `RECKONED` must be what plain Python makes of the records, to the fen. Nothing of
the engine is shared: not its SQL, not its arithmetic. At the end each is asked once more by the command line, as
sql/examples/README.md tells to type it, and what the catalogue says of freshness is held to the records.
"""
import argparse
import collections
import datetime
import decimal
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import urllib.request

from process import BINARY, ROOT, Server

EXAMPLES = ROOT / "sql/examples"
SHANGHAI = datetime.timezone(datetime.timedelta(hours=8))
DAY = datetime.datetime(2020, 11, 11, tzinfo=SHANGHAI)
DAY_MS = int(DAY.timestamp() * 1000)
A_DAY = 86_400_000
PROVINCES = {"浙江": ["杭州", "宁波"], "广东": ["广州", "深圳", "东莞"], "四川": ["成都"], "=cmd": ["\"quoted\""]}
RATES = {"CNY": "1", "USD": "6.6067", "JPY": "0.06276"}
D = decimal.Decimal
# Answers that may have no rows although nothing is wrong.
MAY_BE_EMPTY = {"rejected_records", "waiting_events"}


# --- the day ------------------------------------------------------------------------------------

class Day:
    """Records by stream, in the order of their times, so that none is late."""

    def __init__(self, seed, orders, first=0, numbers=()):
        self.dice = random.Random(seed)
        self.first = first
        self.streams = collections.defaultdict(list)
        self.numbers = collections.Counter(numbers)
        for number in range(orders):
            self.order(number)
        for records in self.streams.values():
            records.sort(key=lambda record: (record["at"], record["event_id"]))
        for record in self.streams["orders"]:
            self.numbers[record["source"]] += 1
            record["source_seq"] = self.numbers[record["source"]]

    def put(self, stream, at, order, **fields):
        number = len(self.streams[stream])
        record = {"event_id": f"{stream[0]}{number}-{self.first}", "order_id": order, "event_type": fields.pop("kind"), "at": at, **fields}
        self.streams[stream].append(record)
        return record

    def order(self, number):
        dice, order, at = self.dice, f"o{number:05}-{self.first}", self.first + self.dice.randrange(0, 7_200_000)
        province = dice.choice(list(PROVINCES))
        currency = "CNY" if dice.random() < 0.9 else dice.choice(["USD", "JPY", "XXX"])
        abroad = dice.random() < 0.1
        common = {"buyer_id": f"b{dice.randrange(300)}", "province": province, "city": dice.choice(PROVINCES[province]),
                  "category": dice.choice(["服饰", "家电", "美妆"]), "brand": f"brand-{dice.randrange(14)}",
                  "channel": dice.choice(["app", "live", "live", "pc"]), "platform": "tmall", "currency": currency,
                  "seller_city": dice.choice(["杭州", "义乌", "深圳"]), "source": f"till-{dice.randrange(3)}",
                  **({"country": dice.choice(["SG", "US"])} if abroad else {})}
        # What is foreign is worth whole fen, so that no order of rounding can be told from another.
        whole = {"USD": 500, "JPY": 5000, "XXX": 1}.get(currency)
        amount = D(whole * dice.randrange(1, 60)) if whole else D(dice.randrange(100, 500_000)) / 100
        later = lambda most: at + dice.randrange(1_000, most)
        orders = lambda kind, when, value: self.put("orders", when, order, kind=kind, amount=str(value), **common)
        for _ in range(dice.randrange(1, 4)):
            self.put("behaviour", max(self.first, at - dice.randrange(1, 60_000)), order, kind="visit", visitor_id=common["buyer_id"])
        if dice.random() < 0.7:
            self.put("behaviour", max(self.first, at - 500), order, kind="cart", visitor_id=common["buyer_id"])
        if dice.random() < 0.2:
            deposit = (amount / 5).quantize(D("0.01"))
            orders("deposit", at, deposit)
            paid = deposit
            if dice.random() < 0.7:
                orders("balance", later(600_000), amount - deposit)
                paid = amount
        else:
            orders("placed", at, amount)
            paid = D(0)
            if dice.random() < 0.85:
                paid = amount
                orders("paid", later(300_000), amount)
            elif dice.random() < 0.5:
                orders("cancelled", later(300_000), amount)
        if paid and dice.random() < 0.15:
            orders("refunded", at + 700_000, (paid / (1 if whole else dice.choice([1, 2, 3]))).quantize(D("0.01"), decimal.ROUND_DOWN))
        if paid:
            self.after(order, at, common)

    def after(self, order, at, common):
        """Parcel, service desk and claim of an order."""
        dice, made = self.dice, at + 800_000
        where = {"province": common["province"], "city": common["city"]}
        for kind, when, share in [("created", made, 1), ("collected", made + 900_000, 0.7), ("delivered", made + 3_600_000, 0.6)]:
            if dice.random() > share:
                break
            self.put("parcels", when, order, kind=kind, created=made, **where)
        if dice.random() < 0.3:
            topic, who = dice.choice(["logistics", "refund", "size"]), dice.choice(["bot", "agent"])
            self.put("service", made, order, kind="asked", asked=made, topic=topic)
            self.put("service", made + 30_000, order, kind="answered", asked=made, topic=topic, handled_by=who)
            if dice.random() < 0.6:
                self.put("service", made + 90_000, order, kind="resolved", asked=made, topic=topic, handled_by=who)
        if dice.random() < 0.12:
            worth = str(D(dice.randrange(100, 9_000)) / 100)
            reason = dice.choice(["damaged", "late", "wrong item"])
            self.put("claims", made, order, kind="opened", opened=made, reason=reason, amount=worth)
            if dice.random() < 0.7:
                outcome = dice.choice(["compensated", "refused"])
                self.put("claims", made + 60_000, order, kind="settled", opened=made, reason=reason, amount=worth, outcome=outcome)

    def lines(self, stream):
        """The records as the streams of sql/streams want them."""
        time = lambda ms: (DAY + datetime.timedelta(milliseconds=ms)).isoformat(timespec="milliseconds")
        times = {"at": "event_time", "created": "created_at", "asked": "asked_at", "opened": "opened_at"}
        return [json.dumps({times.get(name, name): time(value) if name in times else value for name, value in record.items()},
                           ensure_ascii=False) for record in self.streams[stream]]


# --- what the answers are -------------------------------------------------------------------------

def percent(part, whole, digits=2):
    """As SQL casts it: rounded half up."""
    return None if not whole else (D(100) * part / whole).quantize(D(1).scaleb(-digits), decimal.ROUND_HALF_UP)


class Truth:
    """Sums over the raw records."""

    def __init__(self, *days):
        self.streams = collections.defaultdict(list)
        for day in days:
            for stream, records in day.streams.items():
                self.streams[stream] += records
        self.orders = self.streams["orders"]
        self.paid = [one for one in self.orders if one["event_type"] in ("paid", "deposit", "balance")]

    def of(self, *kinds):
        return [one for one in self.orders if one["event_type"] in kinds]

    def by(self, name, records):
        """Amount and number by the value of a column."""
        sums = collections.defaultdict(lambda: [D(0), 0])
        for one in records:
            if one.get(name) is not None:
                sums[one[name]][0] += worth(one)
                sums[one[name]][1] += 1
        return sums

    def kinds(self, stream, name=None):
        return collections.Counter((one["event_type"], one.get(name)) if name else one["event_type"] for one in self.streams[stream])


def worth(one):
    """In yuan, to the fen by itself; nothing where there is no rate."""
    return (D(one["amount"]) * D(RATES.get(one.get("currency", "CNY"), "0"))).quantize(D("0.01"), decimal.ROUND_HALF_UP)


def money(records):
    return sum((worth(one) for one in records), D(0))


def rows_by(name, truth):
    return {key: (gmv, count) for key, (gmv, count) in truth.by(name, truth.paid).items()}


def presale_funnel(truth, rows):
    deposits, balances = truth.of("deposit"), truth.of("balance")
    [row] = rows
    return row, {"day": DAY_MS, "deposits": len(deposits), "deposits_cny": money(deposits), "balances": len(balances),
                 "balances_cny": money(balances), "balances_per_100_deposits": percent(len(balances), len(deposits))}


def refund_rate_by_category(truth, rows):
    paid, back = truth.by("category", truth.paid), truth.by("category", truth.of("refunded"))
    return index(rows, "category"), {
        key: {"paid_cny": gmv, "refunded_cny": back[key][0], "refunds": back[key][1], "refund_percent": percent(back[key][0], gmv)}
        for key, (gmv, _) in paid.items()}


def refund_rate_by_day(truth, rows):
    [row] = rows
    return row, {"day": DAY_MS, "paid_cny": money(truth.paid), "refunded_cny": money(truth.of("refunded")),
                 "refund_percent": percent(money(truth.of("refunded")), money(truth.paid)), "excess_cny": D(0)}


def cancelled_orders(truth, rows):
    [row] = rows
    return row, {"cancelled_orders": len(truth.of("cancelled"))}


def live_rooms(truth, rows):
    sums = truth.by("channel", truth.paid)
    live, count = sums["live"]
    others = [both for key, both in sums.items() if key != "live"]
    rest, rest_count = sum(gmv for gmv, _ in others), sum(number for _, number in others)
    [row] = rows
    cents = lambda value: value.quantize(D("0.01"), decimal.ROUND_HALF_UP)
    return row, {"live_gmv_cny": live, "live_payments": count, "share_percent": percent(live, live + rest),
                 "live_payment_cny": cents(live / count), "other_payment_cny": cents(rest / rest_count)}


def shares(name, column="share_percent"):
    def reckon(truth, rows):
        sums = rows_by(name, truth)
        whole = sum(gmv for gmv, _ in sums.values())
        return index(rows, name), {key: {"gmv_cny": gmv, "payments": count, column: percent(gmv, whole)} for key, (gmv, count) in sums.items()}
    return reckon


def cross_border_share(truth, rows):
    abroad = [one for one in truth.paid if one.get("country")]
    [row] = rows
    return row, {"cross_border_cny": money(abroad), "payments": len(abroad), "countries": len({one["country"] for one in abroad})}


def cross_border_countries(truth, rows):
    return index(rows, "country"), {key: {"gmv_cny": gmv, "payments": count} for key, (gmv, count) in rows_by("country", truth).items()}


def wave_against_wave(truth, rows):
    return index(rows, "wave"), {1: {"gmv_cny": None, "days": 0},
                                 2: {"gmv_cny": money(truth.paid), "payments": len(truth.paid), "days": 1, "gmv_a_day_cny": money(truth.paid)}}


def late_by_source(truth, rows):
    counts = collections.Counter(one["source"] for one in truth.orders)
    return index(rows, "source"), {key: {"records": count, "missing": 0, "rejected_percent": D(0)} for key, count in counts.items()}


def visit_to_order(truth, rows):
    kinds, placed = truth.kinds("behaviour"), truth.of("placed")
    [row] = rows
    return row, {"visits": kinds["visit"], "carts": kinds["cart"], "orders": len(placed),
                 "carts_per_100_visits": percent(kinds["cart"], kinds["visit"]), "orders_per_100_visits": percent(len(placed), kinds["visit"])}


def parcels_on_time(truth, rows):
    kinds = truth.kinds("parcels")
    [row] = rows
    return row, {"created": kinds["created"], "collected": kinds["collected"], "delivered": kinds["delivered"],
                 "within_a_day": kinds["delivered"], "within_a_day_percent": D(100)}


def parcels_waiting(truth, rows):
    kinds = truth.kinds("parcels", "province")
    of = lambda kind, province: kinds[(kind, province)]
    return index(rows, "province"), {
        one: {"created": of("created", one), "waiting": of("created", one) - of("collected", one),
              "on_the_way": of("collected", one) - of("delivered", one), "delivered": of("delivered", one)} for one in PROVINCES}


def service_load(truth, rows):
    kinds, by = truth.kinds("service"), truth.kinds("service", "handled_by")
    [row] = rows
    four = lambda part, whole: (D(part) / whole).quantize(D("0.0001"), decimal.ROUND_HALF_UP) * 100
    return row, {"asked": kinds["asked"], "answered": kinds["answered"], "open_cases": kinds["asked"] - kinds["resolved"],
                 "by_bot_percent": four(by[("answered", "bot")], kinds["answered"]), "resolved_percent": four(kinds["resolved"], kinds["asked"])}


def counted(stream, kind, name, column):
    def reckon(truth, rows):
        counts = {key: number for (one, key), number in truth.kinds(stream, name).items() if one == kind}
        whole = sum(counts.values())
        return index(rows, name), {key: {column: number, "share_percent": percent(number, whole)} for key, number in counts.items()}
    return reckon


def claims_outcome(truth, rows):
    kinds, outcomes = truth.kinds("claims"), truth.kinds("claims", "outcome")
    given = [one for one in truth.streams["claims"] if one.get("outcome") == "compensated"]
    [row] = rows
    return row, {"opened": kinds["opened"], "settled": kinds["settled"], "compensated": outcomes[("settled", "compensated")],
                 "compensation_cny": money(given), "compensated_percent": percent(len(given), kinds["settled"])}


def claims_per_order(truth, rows):
    opened = truth.kinds("claims")["opened"]
    [row] = rows
    return row, {"payments": len(truth.paid), "claims": opened, "claims_per_10000": percent(opened * 100, len(truth.paid))}


def minutes(truth):
    sums = collections.defaultdict(lambda: [D(0), 0])
    for one in truth.paid:
        key = DAY_MS + one["at"] // 60_000 * 60_000
        sums[key][0] += worth(one)
        sums[key][1] += 1
    return sums


def gmv_by_hour(truth, rows):
    sums, so_far, want = collections.defaultdict(lambda: [D(0), 0]), collections.Counter(), {}
    for key, (gmv, count) in minutes(truth).items():
        hour = key // 3_600_000 * 3_600_000
        sums[hour][0] += gmv
        sums[hour][1] += count
    for hour, (gmv, count) in sorted(sums.items()):
        day = (hour - DAY_MS) // A_DAY
        so_far[day] += gmv
        want[hour] = {"gmv_cny": gmv, "payments": count, "gmv_so_far_cny": so_far[day]}
    return index(rows, "hour"), want


def best_minutes(truth, rows):
    best = sorted(minutes(truth).items(), key=lambda one: (-one[1][0], one[0]))[:10]
    return [(row["minute"], D(row["gmv_cny"]), row["payments"]) for row in rows], [(key, gmv, count) for key, (gmv, count) in best]


def busy_minutes(truth, rows):
    sums = minutes(truth)
    average = sum(gmv for gmv, _ in sums.values()) / len(sums)
    busy = sorted((-gmv, key) for key, (gmv, _) in sums.items() if gmv > 2 * average)
    return [(row["minute"], D(row["gmv_cny"])) for row in rows], [(key, -gmv) for gmv, key in busy]


def cities_of_provinces(truth, rows):
    sums = collections.defaultdict(lambda: collections.defaultdict(D))
    for one in truth.paid:
        sums[one["province"]][one["city"]] += worth(one)
    want = {}
    for province, cities in sums.items():
        city, gmv = min(cities.items(), key=lambda one: (-one[1], one[0]))
        want[province] = {"city": city, "gmv_cny": gmv, "share_percent": percent(gmv, sum(cities.values()))}
    return index(rows, "province"), want


def routes(truth, rows):
    sums = collections.Counter()
    for one in truth.paid:
        if not one.get("country"):
            sums[(one["seller_city"], one["province"])] += worth(one)
    return {(row["seller_city"], row["province"]): D(row["gmv_cny"]) for row in rows}, dict(sums)


def category_order_value(truth, rows):
    cents = lambda value: value.quantize(D("0.01"), decimal.ROUND_HALF_UP)
    return index(rows, "category"), {key: {"gmv_cny": gmv, "payments": count, "payment_cny": cents(gmv / count)}
                                     for key, (gmv, count) in rows_by("category", truth).items()}


def net_by_order_day(truth, rows):
    [row] = rows
    return row, {"day": DAY_MS, "net_cny": money(truth.paid) - money(truth.of("refunded"))}


def currency_mix(truth, rows):
    want = {}
    for key, (gmv, count) in rows_by("currency", truth).items():
        rate = RATES.get(key)
        amount = sum(D(one["amount"]) for one in truth.paid if one["currency"] == key)
        want[key] = {"amount": amount, "gmv_cny": gmv if rate else None, "payments": count,
                     "payments_without_gmv": 0 if rate else count}
    return index(rows, "currency"), want


def brand_concentration(truth, rows):
    best = sorted(rows_by("brand", truth).items(), key=lambda one: (-one[1][0], one[0]))[:10]
    whole, so_far, want = money(truth.paid), D(0), []
    for nth, (brand, (gmv, _)) in enumerate(best):
        so_far += gmv
        want.append((nth + 1, brand, gmv, percent(so_far, whole)))
    return [(row["rank"], row["brand"], D(row["gmv_cny"]), D(row["share_so_far_percent"])) for row in rows], want


def net_of_gross(truth, rows):
    placed, net = money(truth.of("placed")), money(truth.paid) - money(truth.of("refunded"))
    [row] = rows
    return row, {"placed_cny": placed, "net_cny": net, "kept_percent": percent(net, placed)}


def value_per_buyer(truth, rows):
    placed = truth.of("placed")
    [row] = rows
    return row, {"average_order_value_cny": (money(placed) / sum(one["currency"] in RATES for one in placed)).quantize(D("0.01"), decimal.ROUND_HALF_UP)}


def gmv_in_yuan(truth, rows):
    [row] = rows
    by_currency = currency_mix(truth, [])[1].values()
    return row, {"gmv_cny": sum(one["gmv_cny"] or D(0) for one in by_currency), "payments": len(truth.paid),
                 "payments_without_gmv": sum(one["payments_without_gmv"] for one in by_currency)}


def milestones_passed(truth, rows):
    """The end of the step in which the level fell: a second in the first half hour, a minute after it."""
    running, want = D(0), {}
    levels = [D(1_000_000), D(10_000_000)]
    for one in sorted(truth.paid, key=lambda one: one["at"]):
        running += worth(one)
        step = 1_000 if one["at"] < 1_800_000 else 60_000
        while levels and running >= levels[0]:
            want[f"{levels.pop(0)}.00"] = {"seconds_after_midnight": (one["at"] // step + 1) * step // 1000}
    return index(rows, "level_cny"), want


def service_peak(truth, rows):
    asked = collections.Counter(DAY_MS + one["at"] // 60_000 * 60_000 for one in truth.streams["service"] if one["event_type"] == "asked")
    best = sorted(asked.items(), key=lambda one: (-one[1], one[0]))[:10]
    return [(row["minute"], row["asked"]) for row in rows], best


def orders_per_second_peak(truth, rows):
    """Of the newest 900 seconds that have orders."""
    seconds = collections.Counter(DAY_MS + one["at"] // 1_000 * 1_000 for one in truth.of("placed"))
    held = dict(sorted(seconds.items())[-900:])
    best = sorted(held.items(), key=lambda one: (-one[1], one[0]))[:5]
    return [(row["second"], row["orders"]) for row in rows], best


def new_and_returning_buyers(truth, rows):
    days = collections.defaultdict(set)
    for one in truth.paid:
        days[(DAY + datetime.timedelta(milliseconds=one["at"])).date().isoformat()].add(one["buyer_id"])
    seen, want = set(), {}
    for day, buyers in sorted(days.items()):
        want[day] = {"buyers": len(buyers), "new_buyers": len(buyers - seen), "returning_buyers": len(buyers & seen)}
        seen |= buyers
    return index(rows, "day"), want


def refund_rate_by_hour(truth, rows):
    back = {one["order_id"] for one in truth.of("refunded")}
    first = {}
    for one in truth.paid:
        first[one["order_id"]] = min(one["at"], first.get(one["order_id"], one["at"]))
    hours = collections.defaultdict(list)
    for order, at in first.items():
        hours[DAY_MS + at // 3_600_000 * 3_600_000].append(order in back)
    return index(rows, "hour"), {hour: {"orders": len(all), "refunded_orders": sum(all), "refund_percent": percent(sum(all), len(all))}
                                 for hour, all in hours.items()}


def nothing_disappears(truth, rows):
    return index(rows, "stream"), {stream: {"read": len(records), "unexplained": 0, "category_less_channel_cny": D(0), "province_less_channel_cny": D(0)}
                                   for stream, records in truth.streams.items()}


def newest(truth):
    """The newest time of each stream."""
    return {stream: DAY_MS + max(record["at"] for record in records) for stream, records in truth.streams.items()}


def freshness(truth, rows):
    fed = [row for row in rows if row["stream"] in truth.streams]
    behind = {row["stream"]: row["as_of"] - row["watermark"] for row in fed}
    assert all(row["watermark_behind_ms"] == behind[row["stream"]] > 0 for row in fed), fed
    return index(fed, "stream"), {stream: {"as_of": at} for stream, at in newest(truth).items()}


RECKONED = {
    "presale_funnel": presale_funnel, "refund_rate_by_category": refund_rate_by_category, "refund_rate_by_day": refund_rate_by_day,
    "cancelled_orders": cancelled_orders, "live_rooms": live_rooms, "channel_mix": shares("channel"),
    "province_ranking": shares("province"), "cross_border_share": cross_border_share,
    "cross_border_countries": cross_border_countries, "wave_against_wave": wave_against_wave, "late_by_source": late_by_source,
    "visit_to_order": visit_to_order, "parcels_on_time": parcels_on_time, "parcels_waiting": parcels_waiting,
    "service_load": service_load, "service_topics": counted("service", "asked", "topic", "asked"),
    "claims_reasons": counted("claims", "opened", "reason", "opened"), "claims_outcome": claims_outcome,
    "claims_per_order": claims_per_order, "gmv_by_hour": gmv_by_hour, "best_minutes": best_minutes, "busy_minutes": busy_minutes,
    "cities_of_provinces": cities_of_provinces, "routes": routes, "category_order_value": category_order_value,
    "net_by_order_day": net_by_order_day, "currency_mix": currency_mix, "brand_concentration": brand_concentration,
    "net_of_gross": net_of_gross, "value_per_buyer": value_per_buyer, "nothing_disappears": nothing_disappears,
    "gmv_in_yuan": gmv_in_yuan, "milestones_passed": milestones_passed, "service_peak": service_peak,
    "orders_per_second_peak": orders_per_second_peak, "new_and_returning_buyers": new_and_returning_buyers,
    "refund_rate_by_hour": refund_rate_by_hour, "freshness": freshness,
}
# Those that tell of the newest day and nothing of the day before it.
OF_THE_NEWEST_DAY = {"province_ranking", "cities_of_provinces", "brand_concentration"}
# Those that keep days apart.
OF_EACH_DAY = {"gmv_by_hour", "new_and_returning_buyers", "refund_rate_by_hour", "freshness"}


def index(rows, name):
    found = {row[name]: row for row in rows}
    assert len(found) == len(rows), f"{name} is not one row each: {rows}"
    return found


def same(found, want):
    if isinstance(want, dict):
        assert isinstance(found, dict), found
        # Of nothing every row would be right.
        assert want, f"nothing was reckoned, and there is {found}"
        if isinstance(next(iter(want.values())), dict):
            assert set(found) == set(want), f"rows {sorted(map(str, found))}, not {sorted(map(str, want))}"
        assert set(want) <= set(found), f"only {sorted(map(str, found))}, and {sorted(map(str, want))} were reckoned"
        return all(same(found[key], value) for key, value in want.items())
    if isinstance(want, D) and found is not None:
        found = D(str(found))
    if found != want:
        raise AssertionError(f"{found!r}, not {want!r}")
    return True


# --- asking -------------------------------------------------------------------------------------

def feed(server, day, before=()):
    for stream in ("behaviour", "orders", "parcels", "service", "claims"):
        lines = day.lines(stream)
        for begin in range(0, len(lines), 1_000):
            body = "\n".join(lines[begin:begin + 1_000]).encode()
            ask = urllib.request.Request(f"{server.url}/api/ingest/{stream}", body, {"content-type": "application/x-ndjson"})
            with urllib.request.urlopen(ask, timeout=60) as answer:
                refused = [line for line in json.load(answer) if "error" in line]
            assert not refused, refused[:3]
    want = {stream: len(records) for stream, records in Truth(*before, day).streams.items()}
    read = lambda: {row["stream"]: row["accepted"] for row in server.sql("SELECT stream, SUM(accepted) AS accepted FROM records_accounted GROUP BY stream")}
    server.wait(lambda: all(read().get(stream) == number for stream, number in want.items()), 90, f"all of {want} are accepted")


def check(server, file, truth=None):
    """Asks; where there is a `truth` to reckon from, the rows must be what it gives."""
    text = file.read_text()
    head = dict(re.findall(r"^-- (question\.zh|question\.en|columns): (.+)$", text, re.M))
    assert len(head) == 3, f"its head has only {sorted(head)}"
    rows = server.sql(text)
    assert rows or file.stem in MAY_BE_EMPTY, "no rows"
    if rows:
        assert list(rows[0]) == [name.strip() for name in head["columns"].split(",")], f"columns {list(rows[0])}"
    for name in rows[0] if rows else []:
        shares = [D(row[name]) for row in rows if row[name] is not None] if name.startswith("share_") else []
        assert all(0 <= share <= 100 for share in shares), f"{name}: {shares}"
    if truth:
        same(*RECKONED[file.stem](truth, rows))
        return f"{len(rows)} rows as reckoned"
    return f"{len(rows)} rows"


# --- what is said of them -------------------------------------------------------------------------

UNITS = "one two three four five six seven eight nine".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
NUMBERS = {ten + (f"-{unit}" if unit else ""): tens * 10 + ones
           for tens, ten in enumerate(TENS, 2) for ones, unit in enumerate(["", *UNITS])}


def the_readme_counts_them(files):
    [said] = re.findall(r"([a-z-]+) questions to begin from", (ROOT / "README.md").read_text())
    assert NUMBERS.get(said) == len(files), f"README.md says {said}, and there are {len(files)}"
    return said


def by_the_command_line(server, file, folder):
    """The answer of the command that the README of the questions tells to type."""
    [line] = re.findall(r"^    (tidemark sql .*province_ranking.*)$", (EXAMPLES / "README.md").read_text(), re.M)
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    if not (programs / "tidemark").exists():
        (programs / "tidemark").symlink_to(BINARY)
    around = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "TIDEMARK_SERVER": server.url}
    ran = subprocess.run(["bash", "-c", line.replace("province_ranking", file.stem)], capture_output=True, text=True, cwd=ROOT,
                         env=around, timeout=60)
    assert ran.returncode == 0, f"exit {ran.returncode}: {ran.stderr.strip().partition(chr(10))[0]}"
    rows = server.sql(file.read_text())
    columns = re.search(r"^-- columns: (.+)$", file.read_text(), re.M).group(1).split(", ")
    head, _, *shown, last = ran.stdout.rstrip("\n").split("\n")
    assert head.split() == columns, head
    assert len(shown) == len(rows) and last.startswith(f"({len(rows)} row"), f"{len(rows)} rows, and it says {last}"
    for line, row in zip(shown, rows):
        missing = [cell for cell in row.values() if isinstance(cell, str) and cell not in line]
        assert not missing, f"{missing} not in {line}"
    return last


def the_catalogue_tells_how_fresh(server, truth):
    """What the page asks for its catalogue: the newest time and the watermark of each stream, by which a view shows its own."""
    streams = index(server.sql("SELECT stream, as_of, watermark FROM current_streams"), "stream")
    for stream, at in newest(truth).items():
        first = min(DAY_MS + record["at"] for record in truth.streams[stream])
        as_of, watermark = streams[stream]["as_of"], streams[stream]["watermark"]
        assert as_of == at, f"{stream} is as of {as_of}, and its newest record has {at}"
        assert first - A_DAY < watermark < as_of, f"{stream}: watermark {watermark}, as of {as_of}"
    views = server.get("/api/views")
    read = {view["name"]: view["stream"] for view in views if view["stream"] is not None}
    assert set(read.values()) <= set(streams) and read["gmv_day"] == "orders" and len(read) > len(views) // 2, read
    asked = "SELECT DISTINCT table_name FROM information_schema.columns WHERE table_schema = 'public'"
    assert set(read) <= {row["table_name"] for row in server.sql(asked)}
    return {stream: row["as_of"] for stream, row in streams.items()}


def main():
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--only", default="")
    args = ask.parse_args()
    day = Day(7, 700)
    next_day = Day(8, 60, A_DAY, day.numbers)
    counts = {"ok": 0, "FAIL": 0}

    def tell(name, ask):
        if args.only not in name:
            return
        try:
            outcome, words = "ok", ask()
        except AssertionError as error:
            outcome, words = "FAIL", error
        counts[outcome] += 1
        print(f"{outcome:4} {name}: {words}", flush=True)

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        config = folder / "tidemark.toml"
        config.write_text('[streams.orders]\nconnector = "embedded"\n')
        with Server(["serve"], folder, config=config) as server:
            feed(server, day)
            truth = Truth(day)
            files = sorted(EXAMPLES.glob("*.sql"))
            assert len(files) >= 30, f"only {len(files)} questions"
            unknown = set(RECKONED) - {file.stem for file in files}
            assert not unknown, f"reckoned and not asked: {unknown}"
            tell("README.md counts the questions", lambda: the_readme_counts_them(files))
            for when, of_all, truths in [
                ("", truth, {name: truth for name in RECKONED}),
                (" on the next day", Truth(day, next_day), {name: Truth(next_day) for name in OF_THE_NEWEST_DAY}
                 | {name: Truth(day, next_day) for name in OF_EACH_DAY}),
            ]:
                if when:
                    feed(server, next_day, [day])
                for file in files:
                    tell(f"{file.stem}{when}", lambda: check(server, file, truths.get(file.stem)))
                tell(f"the catalogue tells how fresh each stream is{when}", lambda: the_catalogue_tells_how_fresh(server, of_all))
            for file in files:
                tell(f"{file.stem} by the command line", lambda: by_the_command_line(server, file, folder))
    passed, failed = counts.values()
    print(f"{passed} passed, {failed} failed, 0 skipped")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

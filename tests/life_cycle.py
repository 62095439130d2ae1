"""Orders made up and what they amount to, told plainly: the check of the life cycle from the outside.

The rules are those of sql/streams/order_flow.sql. It shares nothing with the engine: every cent that is
given back is set against a cent that was paid, one by one.
"""
import collections
import datetime
import json
import random
import re
import urllib.request

DAY = datetime.datetime(2020, 11, 11, tzinfo=datetime.timezone(datetime.timedelta(hours=8)))
KINDS = ["placed", "deposit", "paid", "balance", "cancelled", "refunded"]
PROVINCES = ["浙江", "广东", "上海"]
MEASURES = ["placed", "cancelled", "paid", "refunded", "excess"]


def events(seed, orders):
    """Events of `orders` orders within three days, each order's in random order and often incomplete."""
    dice = random.Random(seed)
    made = []
    for number in range(orders):
        begin = dice.randrange(2 * 86_400)
        home = {"province": dice.choice(PROVINCES)}
        for _ in range(dice.randrange(1, 7)):
            kind = dice.choice(KINDS)
            bare = kind == "cancelled" and dice.random() < 0.6
            made.append({
                "order_id": f"o{number}",
                "event_type": kind,
                "event_time": (DAY + datetime.timedelta(seconds=begin + dice.randrange(86_400))).isoformat(),
                **({} if bare else {"amount": f"{dice.randrange(1, 400) / 100:.2f}", **home}),
            })
    dice.shuffle(made)
    return [{"event_id": f"e{number}", **event, "source": "till-001", "source_seq": number + 1}
            for number, event in enumerate(made)]


def cents(event):
    return round(float(event.get("amount", 0)) * 100)


def by_order(all_events):
    orders = collections.defaultdict(list)
    for event in all_events:
        orders[event["order_id"]].append(event)
    return orders


def kept(own):
    """The events of an order that are not told twice: the earliest of a kind, but every refund."""
    own = sorted(own, key=lambda event: (event["event_time"], event["event_type"], cents(event)))
    seen = set()
    return [event for event in own
            if event["event_type"] == "refunded" or not (event["event_type"] in seen or seen.add(event["event_type"]))]


def totals(all_events):
    """Cents by measure, and the number of events that wait for their order."""
    sums, waiting = collections.Counter(), 0
    for own in by_order(all_events).values():
        own = kept(own)
        of = lambda *kinds: [event for event in own if event["event_type"] in kinds]
        opened = of("placed", "deposit")
        if not opened:
            waiting += len(own)
            continue
        paid = [None for event in of("deposit", "paid", "balance") for _ in range(cents(event))]
        asked = [None for event in of("refunded") for _ in range(cents(event))]
        sums["placed"] += cents(opened[0])
        sums["cancelled"] += cents(opened[0]) if of("cancelled") else 0
        sums["paid"] += len(paid)
        sums["refunded"] += sum(1 for _ in zip(paid, asked))
        sums["excess"] += max(0, len(asked) - len(paid))
    return {name: sums[name] for name in MEASURES}, waiting


def net_by_order_day(all_events):
    """Cents of net payments by the day on which the order itself began."""
    sums = collections.Counter()
    for own in by_order(all_events).values():
        own = kept(own)
        opened = [event for event in own if event["event_type"] in ("placed", "deposit")]
        if opened:
            paid = sum(cents(event) for event in own if event["event_type"] in ("deposit", "paid", "balance"))
            asked = sum(cents(event) for event in own if event["event_type"] == "refunded")
            if paid:
                sums[opened[0]["event_time"][:10]] += paid - min(paid, asked)
    return sums


def lines(some):
    return "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in some)


def ingest(server, stream, some):
    """Records into the embedded log; they are durable when this returns."""
    ask = urllib.request.Request(f"{server.url}/api/ingest/{stream}", lines(some).encode(),
                                 {"content-type": "application/x-ndjson"})
    with urllib.request.urlopen(ask, timeout=60) as answer:
        answer.read()


def local_script(streams, path):
    """The shipped streams over a file in place of Kafka, in the order in which a script needs them."""
    text = (streams / "orders.sql").read_text()
    text = re.sub(r"'connector' = 'kafka',.*?'format' = 'json'",
                  f"'connector' = 'filesystem', 'path' = '{path}', 'format' = 'json'", text, flags=re.S)
    text = text.replace("'dedup.horizon' = '3 h'", "'dedup.horizon' = '9 d'")
    text = re.sub(r" *'max-future-skew' = '[^']*',?\n", "", text).replace("'tidemark-shadow',\n)", "'tidemark-shadow'\n)")
    return "\n".join([text, (streams / "order_flow.sql").read_text(), (streams / "order_flow_by_order.sql").read_text()])

"""Bytes that are no protocol, or one that nobody means well with: the second list of tests/hostile.py."""
import random
import re
import socket
import struct
import time
import urllib.error
import urllib.request

from wire import Wire, door

MEBI = 1_048_576


def raw(address, sent, patience=20):
    """What an open socket says to some bytes: the first of them, `closed`, or `silent`."""
    with socket.create_connection(address, timeout=patience) as stream:
        try:
            stream.sendall(sent)
            said = stream.recv(200)
        except TimeoutError:
            return "silent"
        except ConnectionError:
            return "closed"
    return "answered" if said else "closed"


def closed_within(seconds, begin):
    """Whether the server closes a connection that has begun and says no more."""
    def attack(server):
        stream, begun = begin(server), time.monotonic()
        with stream:
            stream.settimeout(seconds)
            try:
                while stream.recv(1000):
                    pass
            except TimeoutError:
                return f"open after {seconds} s"
            except ConnectionError:
                pass
        return "closed" if time.monotonic() - begun > 1 else "closed at once"
    return attack


def begun(name, sent):
    def begin(server):
        stream = socket.create_connection(door(server, name) if name != "http" else http(server), timeout=20)
        stream.sendall(sent)
        return stream
    return begin


def half_a_message(server):
    wire = Wire(door(server, "postgres")).log_in()
    wire.socket.sendall(b"Q" + struct.pack("!i", 1000) + b"SELECT")
    return wire.socket


def http(server):
    found = re.search(r"//([\d.]+):(\d+)", server.url)
    return found.group(1), int(found.group(2))


def noise(name):
    def attack(server):
        dice = random.Random(11)
        said = set()
        for length in (1, 7, 8, 100, 5_000, 100_000):
            address = http(server) if name == "http" else door(server, name)
            said.add(raw(address, bytes(dice.randrange(256) for _ in range(length)), 1))
        # A short noise may be the beginning of something.
        return "over" if said <= {"closed", "silent", "answered"} else said
    return attack


def noise_within(server):
    """Noise from somebody who has logged in."""
    dice = random.Random(12)
    for _ in range(60):
        with Wire(door(server, "postgres"), 1) as wire:
            wire.log_in()
            kind = bytes([dice.choice(b"BCDEFHPQSXdcfp\x00\xff")])
            body = bytes(dice.randrange(256) for _ in range(dice.randrange(64)))
            try:
                wire.say(kind, body)
                wire.say(b"S")
                wire.until_ready()
            except (TimeoutError, ConnectionError):
                pass
    return "over"


def length(kind, declared, more=b""):
    """A message that says it is so long."""
    def attack(server):
        with Wire(door(server, "postgres"), 10) as wire:
            wire.log_in()
            wire.socket.sendall(kind + struct.pack("!i", declared) + more)
            return wire.until_ready()
    return attack


def broken(kind, body):
    """A message that is not what its kind says, from somebody who has logged in."""
    def attack(server):
        with Wire(door(server, "postgres"), 10) as wire:
            wire.log_in()
            wire.say(b"P", b"\0SELECT $1::text\0\0\0")
            wire.say(kind, body)
            return wire.until_ready()
    return attack


def half_a_later_request(server):
    """A whole request, and then one that has begun and does not end."""
    stream = socket.create_connection(http(server), timeout=20)
    stream.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
    stream.recv(100_000)
    stream.sendall(b"GET /healthz HTTP/1.1\r\nho")
    return stream


def nothing_between_requests(server):
    """A request, 20 seconds of nothing, and another one: that is what browsers do."""
    host, port = http(server)
    with socket.create_connection((host, port), timeout=20) as stream:
        said = []
        for pause in (0, 20):
            time.sleep(pause)
            stream.sendall(b"GET /healthz HTTP/1.1\r\nhost: %s:%d\r\n\r\n" % (host.encode(), port))
            said.append(stream.recv(100_000)[:12].decode())
        return "both answered" if said == ["HTTP/1.1 200"] * 2 else said


def nothing_in_a_socket(server):
    """A WebSocket that says something every 17 seconds, letter by letter."""
    head = (b"GET /api/ws HTTP/1.1\r\nhost: %s:%d\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    host, port = http(server)
    with socket.create_connection((host, port), timeout=20) as stream:
        stream.sendall(head % (host.encode(), port))
        said = stream.recv(100_000)
        assert said.startswith(b"HTTP/1.1 101"), said[:100]
        text = b'{"type":"ping","now":1}'
        # Masked with zeros, and sent in two parts.
        frame = bytes([0x81, 0x80 | len(text)]) + bytes(4) + text
        for part in (frame[:5], frame[5:]):
            stream.sendall(part)
            time.sleep(17)
        until = time.monotonic() + 10
        while time.monotonic() < until:
            said += stream.recv(100_000)
            if b'"pong"' in said:
                return "answered"
        return "silent"


def skipped(server):
    """A message of 20 MB is refused, and the connection goes on."""
    with Wire(door(server, "postgres")) as wire:
        wire.log_in()
        refused = wire.ask("SELECT '" + "x" * 20 * MEBI + "'")
        wire.say(b"B", b"\0\0\0\0" + struct.pack("!hi", 1, 20 * MEBI) + b"x" * 20 * MEBI + b"\0\0")
        wire.say(b"S")
        return f"{refused}, {wire.until_ready()}, then {wire.ask('SELECT 1')}"


def rows_asked(count):
    """A portal is asked for so many rows."""
    def attack(server):
        with Wire(door(server, "postgres")) as wire:
            wire.log_in()
            wire.say(b"P", b"\0SELECT value FROM generate_series(1, 5)\0\0\0")
            wire.say(b"B", b"\0\0\0\0\0\0\0\0")
            wire.say(b"E", b"\0" + struct.pack("!i", count))
            wire.say(b"S")
            return f"{wire.until_ready()}, {wire.rows} rows"
    return attack


def many_prepared(server):
    """Statements that nobody closes."""
    with Wire(door(server, "postgres")) as wire:
        wire.log_in()
        for nth in range(1_100):
            wire.say(b"P", f"s{nth}".encode() + b"\0SELECT 1\0\0\0")
            wire.say(b"S")
            said = wire.until_ready()
            if said != "ready":
                return f"{said} after {nth}"
        return "1,100 of them"


def many_portals(server):
    """Portals that each hold an answer, of which one row is taken."""
    with Wire(door(server, "postgres")) as wire:
        wire.log_in()
        assert wire.ask("BEGIN") == "ready"
        wire.say(b"P", b"s\0SELECT value, lpad('x', 400, 'y') FROM generate_series(1, 60000)\0\0\0")
        for nth in range(60):
            wire.say(b"B", f"p{nth}".encode() + b"\0s\0\0\0\0\0\0\0")
            wire.say(b"E", f"p{nth}".encode() + b"\0" + struct.pack("!i", 1))
            wire.say(b"S")
            said = wire.until_ready()
            if said != "ready":
                return f"{said} after some" if nth else f"{said} at once"
        return "60 of them"


def many_parameters(server):
    """10,000 parameters, and as many as the protocol can say."""
    said = []
    for count in (10_000, 65_535):
        with Wire(door(server, "postgres")) as wire:
            wire.log_in()
            marks = ",".join(f"${nth + 1}" for nth in range(count))
            wire.say(b"P", f"\0SELECT COUNT(*) FROM gmv_by_category WHERE payments IN ({marks})".encode() + b"\0\0\0")
            wire.say(b"B", b"\0\0\0\0" + struct.pack("!H", count) + (struct.pack("!i", 1) + b"7") * count + b"\0\0")
            wire.say(b"E", b"\0\0\0\0\0")
            wire.say(b"S")
            said.append(wire.until_ready())
    return ", ".join(said)


def wrong_cancel(server):
    """Somebody else's query cannot be cancelled by guessing."""
    host = door(server, "postgres")
    for pid in range(50):
        raw(host, struct.pack("!iiii", 16, 80877102, pid, 0), 1)
    return "over"


def body_of_gigabytes(server):
    head = b"POST /api/sql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2147483647\r\n\r\n"
    return raw(http(server), head + b"{" * 100_000, 10)


def brackets(server):
    ask = urllib.request.Request(server.url + "/api/sql", b"[" * 1_000_000, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(ask, timeout=20) as answer:
            return str(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return str(error.code)


def huge_head(server):
    return raw(http(server), b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 2_000_000 + b"\r\n\r\n", 10)


def frames(server):
    """HTTP/2 as Flight speaks it, and then frames that are none."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9)
    said = set()
    for frame in (b"\xff\xff\xff\x00\x00\x00\x00\x00\x01", b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\xff\xff\xff\xff",
                  b"\x00\x40\x00\x01\x04\x00\x00\x00\x01" + b"\x82" * 16384):
        said.add(raw(door(server, "flight"), preface + frame, 5))
    return "over" if said <= {"answered", "closed"} else said


PROTOCOL = [
    ("postgres", "noise", noise("postgres"), ["over"]),
    ("postgres", "a start-up message of 2 GB", lambda server: raw(door(server, "postgres"), struct.pack("!ii", 2**31 - 1, 196608) + b"x" * 1000), ["closed", "answered"]),
    ("postgres", "a start-up message of -1", lambda server: raw(door(server, "postgres"), struct.pack("!ii", -1, 196608)), ["closed", "answered"]),
    ("postgres", "half a start-up message", closed_within(20, begun("postgres", struct.pack("!ii", 100, 196608) + b"user\0")), ["closed"]),
    ("postgres", "nothing at all", closed_within(20, begun("postgres", b"")), ["closed"]),
    ("postgres", "half a message", closed_within(40, half_a_message), ["closed"]),
    ("postgres", "noise after the log-in", noise_within, ["over"]),
    ("postgres", "a message of 2 GB", length(b"Q", 2**31 - 1, b"SELECT 1"), ["08P01"]),
    ("postgres", "values of 2 GB", length(b"B", 2**31 - 1, b"\0\0"), ["08P01"]),
    ("postgres", "a message of 100 MB", length(b"Q", 100 * MEBI, b"SELECT 1"), ["54000"]),
    ("postgres", "a message of -1", length(b"Q", -1), ["08P01"]),
    ("postgres", "an unknown message", length(b"\xff", 100, b"x" * 96), ["08P01"]),
    ("postgres", "Bind that breaks off", broken(b"B", b"\0\0\0\0\xff\xff"), ["08P01"]),
    ("postgres", "Bind with a value of 2 GB", broken(b"B", b"\0\0\0\0\0\x01\x7f\xff\xff\xffx\0\0"), ["08P01"]),
    ("postgres", "Bind with formats of others", broken(b"B", b"\0\0\0\x02\0\0\0\0\0\x01\0\0\0\x01x\0\0"), ["08P01"]),
    ("postgres", "Parse that breaks off", broken(b"P", b"s\0SELECT 1\0\xff\xff\0\0"), ["08P01"]),
    ("postgres", "Execute that breaks off", broken(b"E", b"\0"), ["08P01"]),
    ("postgres", "messages of 20 MB", skipped, ["54001, 54001, then ready"]),
    ("postgres", "2^31 - 1 rows of a portal", rows_asked(2**31 - 1), ["ready, 5 rows"]),
    ("postgres", "-1 rows of a portal", rows_asked(-1), ["ready, 5 rows"]),
    ("postgres", "statements that stay", many_prepared, ["53000 after 1000"]),
    ("postgres", "portals that stay", many_portals, ["53200 after some"]),
    ("postgres", "10,000 parameters, and 65,535", many_parameters, ["ready, 54001"]),
    ("postgres", "cancelling by guessing", wrong_cancel, ["over"]),
    ("http", "noise", noise("http"), ["over"]),
    ("http", "a body of 2 GB", body_of_gigabytes, ["answered", "closed"]),
    ("http", "a million brackets", brackets, ["400", "422"]),
    ("http", "a head of 2 MB", huge_head, ["answered", "closed"]),
    ("http", "half a request", closed_within(60, begun("http", b"GET / HTTP/1.1\r\nhost: x\r\n")), ["closed"]),
    ("http", "half a later request", closed_within(60, half_a_later_request), ["closed"]),
    ("http", "nothing between two requests", nothing_between_requests, ["both answered"]),
    ("http", "nothing for long in a socket", nothing_in_a_socket, ["answered"]),
    ("flight", "noise", noise("flight"), ["over"]),
    ("flight", "frames that are none", frames, ["over"]),
    ("flight", "half a greeting", closed_within(60, begun("flight", b"PRI * HTTP")), ["closed"]),
]

"""As much of PostgreSQL's protocol as it takes to say what no driver would."""
import base64
import hashlib
import hmac
import re
import socket
import struct


class Wire:
    """A connection by its bytes."""

    def __init__(self, address, patience=20):
        self.socket = socket.create_connection(address, timeout=patience)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def log_in(self, user="analyst", key=None):
        """Says who it is, proves it where there is a key, and waits until it may ask."""
        said = self.logged_in(user, key)
        assert said == "ready", said
        return self

    def logged_in(self, user, key):
        """What comes of it."""
        words = b"\0\3\0\0user\0" + user.encode() + b"\0database\0tidemark\0\0"
        self.socket.sendall(struct.pack("!i", len(words) + 4) + words)
        refused = key is not None and self._prove(key.encode())
        return refused or self.until_ready()

    def _prove(self, key):
        """SCRAM-SHA-256; the code of a refusal."""
        bare, nonce = "n=,r=tidemarktidemark", None
        for nth in range(2):
            message = self.message()
            if message is None or message[0] != b"R":
                return self._code(message[1]) if message else "closed"
            if nth == 0:
                first = b"n,," + bare.encode()
                self.say(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first)
                continue
            answer = message[1][4:].decode()
            nonce, salt, times = (part[2:] for part in answer.split(",")[:3])
            salted = hashlib.pbkdf2_hmac("sha256", key, base64.b64decode(salt), int(times))
            client = hmac.digest(salted, b"Client Key", "sha256")
            without = f"c=biws,r={nonce}"
            signed = hmac.digest(hashlib.sha256(client).digest(), f"{bare},{answer},{without}".encode(), "sha256")
            proof = base64.b64encode(bytes(one ^ other for one, other in zip(client, signed))).decode()
            self.say(b"p", f"{without},p={proof}".encode())
        return None

    @staticmethod
    def _code(body):
        return dict((field[:1], field[1:].decode()) for field in body.split(b"\0") if field)[b"C"]

    def say(self, kind, body=b""):
        """One message."""
        self.socket.sendall(kind + struct.pack("!i", len(body) + 4) + body)

    def ask(self, text):
        """A statement without preparing it."""
        self.say(b"Q", text.encode() + b"\0")
        return self.until_ready()

    def message(self):
        """Kind and body of the next message; `None` when the connection is over."""
        head = self._exactly(5)
        if head is None:
            return None
        return head[:1], self._exactly(struct.unpack("!i", head[1:])[0] - 4)

    def until_ready(self):
        """`ready` when the server is, the code of the first error on the way, or `closed`."""
        error, self.rows = None, 0
        while True:
            message = self.message()
            if message is None:
                return error or "closed"
            kind, body = message
            if kind == b"E":
                fields = dict((field[:1], field[1:].decode()) for field in body.split(b"\0") if field)
                error, self.words = error or fields[b"C"], fields[b"M"]
            elif kind == b"D":
                self.rows += 1
            elif kind in b"Zs" and kind == b"Z":
                return error or "ready"

    def _exactly(self, count):
        found = b""
        while len(found) < count:
            try:
                part = self.socket.recv(count - len(found))
            except ConnectionError:
                return None
            if not part:
                return None
            found += part
        return found


def door(server, name):
    """Host and port of a door, as the server says them when it begins."""
    found = re.search(rf"{name} on ([\d.]+):(\d+)", "".join(server.said))
    assert found, "".join(server.said)
    return found.group(1), int(found.group(2))

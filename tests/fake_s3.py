"""A bucket on loopback that speaks as much of S3 as checkpoints need, and can be made slow, failing or torn.

It checks no signature. Conditional writes (`If-None-Match: *`, `If-Match`) are as S3 does them.
"""
import hashlib
import re
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape

STAMP = "Wed, 11 Nov 2020 00:00:00 GMT"


class Bucket:
    """The objects, and what goes wrong with them; `address` is the endpoint."""

    def __init__(self):
        self.objects = {}
        self.lock = threading.Lock()
        self.fails = set()          # methods that answer 503
        self.put_seconds = 0.0      # how long each PUT takes
        self.asked = {}             # requests by method
        bucket = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Otherwise each answer waits 40 ms for an acknowledgement.
            disable_nagle_algorithm = True

            def log_message(self, *_):
                pass

            def do_any(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                method = self.command
                bucket.asked[method] = bucket.asked.get(method, 0) + 1
                if method in bucket.fails:
                    return self.answer(503, b"<Error><Code>SlowDown</Code><Message>made to fail</Message></Error>")
                if method == "PUT" and bucket.put_seconds:
                    time.sleep(bucket.put_seconds)
                path, _, query = self.path.partition("?")
                _, _, key = urllib.parse.unquote(path).lstrip("/").partition("/")
                with bucket.lock:
                    getattr(self, f"on_{method.lower()}")(key, urllib.parse.parse_qs(query, keep_blank_values=True), body)

            do_GET = do_PUT = do_DELETE = do_POST = do_HEAD = do_any

            def answer(self, code, body=b"", **headers):
                self.send_response(code)
                self.send_header("content-length", str(len(body)))
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def on_put(self, key, _query, body):
                there = bucket.objects.get(key)
                if self.headers.get("if-none-match") == "*" and there is not None:
                    return self.answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
                wanted = self.headers.get("if-match")
                if wanted is not None and (there is None or tag(there) != wanted):
                    return self.answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
                bucket.objects[key] = body
                self.answer(200, ETag=tag(body))

            def on_get(self, key, query, _body):
                if "list-type" in query:
                    return self.answer(200, listed(bucket.objects, query.get("prefix", [""])[0]))
                body = bucket.objects.get(key)
                if body is None:
                    return self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
                papers = {"ETag": tag(body), "Last_Modified": STAMP}
                part = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("range") or "")
                if part is None:
                    return self.answer(200, body, **papers)
                begin, end = int(part[1]), min(int(part[2]) + 1, len(body))
                if begin >= len(body):
                    return self.answer(416)
                self.answer(206, body[begin:end], Content_Range=f"bytes {begin}-{end - 1}/{len(body)}", **papers)

            on_head = on_get

            def on_delete(self, key, _query, _body):
                bucket.objects.pop(key, None)
                self.answer(204)

            def on_post(self, _key, query, body):
                assert "delete" in query, self.path
                keys = re.findall(r"<Key>([^<]*)</Key>", body.decode())
                for key in keys:
                    bucket.objects.pop(key, None)
                gone = "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys)
                self.answer(200, f"<DeleteResult>{gone}</DeleteResult>".encode())

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def tag(body):
    return f'"{hashlib.md5(body).hexdigest()}"'


def listed(objects, prefix):
    rows = "".join(
        f"<Contents><Key>{escape(key)}</Key><LastModified>2020-11-11T00:00:00.000Z</LastModified>"
        f"<ETag>{escape(tag(body))}</ETag><Size>{len(body)}</Size></Contents>"
        for key, body in sorted(objects.items()) if key.startswith(prefix))
    return f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>".encode()

"""A bucket on loopback that speaks as much of S3 as checkpoints and histories need, and can be made slow, failing or torn.

It checks no signature. Conditional writes (`If-None-Match: *`, `If-Match`) are as S3 does them.
"""
import datetime
import email.utils
import hashlib
import re
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape


class Quiet(ThreadingHTTPServer):
    """Says nothing of those who are killed while they are answered."""

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Bucket:
    """The objects, and what goes wrong with them; `address` is the endpoint."""

    def __init__(self):
        self.objects = {}
        self.written = {}           # when each was, in whole seconds, as S3 tells it
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
                bucket.objects[key], bucket.written[key] = body, int(time.time())
                self.answer(200, ETag=tag(body))

            def on_get(self, key, query, _body):
                if "list-type" in query:
                    return self.answer(200, listed(bucket, *(query.get(name, [""])[0] for name in ("prefix", "start-after", "delimiter"))))
                body = bucket.objects.get(key)
                if body is None:
                    return self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
                papers = {"ETag": tag(body), "Last_Modified": email.utils.formatdate(bucket.written[key], usegmt=True)}
                part = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("range") or "")
                if part is None:
                    return self.answer(200, body, **papers)
                # `bytes=-8` are the last eight.
                begin = int(part[1]) if part[1] else max(0, len(body) - int(part[2]))
                end = min(int(part[2]) + 1, len(body)) if part[1] and part[2] else len(body)
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

        self.server = Quiet(("127.0.0.1", 0), Handler)
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


def listed(bucket, prefix, after, delimiter):
    rows, folders = "", set()
    for key, body in sorted(bucket.objects.items()):
        if not key.startswith(prefix) or key <= after:
            continue
        rest = key.removeprefix(prefix)
        if delimiter and delimiter in rest:
            folders.add(prefix + rest.partition(delimiter)[0] + delimiter)
            continue
        at = datetime.datetime.fromtimestamp(bucket.written[key], datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        rows += (f"<Contents><Key>{escape(key)}</Key><LastModified>{at}</LastModified>"
                 f"<ETag>{escape(tag(body))}</ETag><Size>{len(body)}</Size></Contents>")
    rows += "".join(f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in sorted(folders))
    return f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>".encode()

"""A running tidemark for tests: started on free ports, stopped by its own process id."""
import collections
import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = os.environ.get("TIDEMARK", str(ROOT / "target/release/tidemark"))
START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 30
POLL_SECONDS = 0.1


class Server:
    """`tidemark demo` or `tidemark serve` with its addresses; leaves nothing running behind."""

    def __init__(self, command, folder, sql_dir=None, config=None, may_end=False):
        """`may_end`: a fail point may end it before it says where it listens."""
        arguments = [BINARY, *command, "--listen", "127.0.0.1:0", "--postgres", "127.0.0.1:0",
                     "--flight", "127.0.0.1:0", "--data-dir", str(folder / "data")]
        if sql_dir:
            arguments += ["--sql-dir", str(sql_dir)]
        if config:
            arguments += ["--config", str(config)]
        self.said = collections.deque(maxlen=400)
        self.url = None
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True, cwd=ROOT, errors="replace")
        self._listening = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()
        if not self._listening.wait(START_SECONDS_MAX) or self.url is None and not may_end:
            self.stop(signal.SIGKILL)
            raise AssertionError("it did not say where it listens:\n" + "".join(self.said))

    def _read(self):
        for line in self.process.stdout:
            self.said.append(line)
            address = re.search(r"listening on (http://127\.0\.0\.1:\d+)", line)
            if address:
                self.url = address.group(1)
                self._listening.set()
        self._listening.set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop(signal.SIGKILL)

    def stop(self, how):
        """Sends a signal and answers the exit code; what has ended already keeps its code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                return f"none in {STOP_SECONDS_MAX} s after signal {how}"
        return self.process.returncode

    def get(self, path):
        """The JSON at a path."""
        with urllib.request.urlopen(self.url + path, timeout=20) as answer:
            return json.load(answer)

    def health(self):
        """What /healthz answers, also when it is unwell (503)."""
        try:
            return self.get("/healthz")
        except urllib.error.HTTPError as error:
            with error:
                return json.load(error)

    def view(self, name):
        """A view at the newest cut."""
        return self.get(f"/api/views/{name}")

    def sql(self, query, params=()):
        """The rows of a query."""
        body = json.dumps({"sql": query, "params": list(params)}).encode()
        ask = urllib.request.Request(self.url + "/api/sql", body,
                                     {"content-type": "application/json", "accept": "application/json"})
        try:
            with urllib.request.urlopen(ask, timeout=60) as answer:
                found = json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{query}: {error.read().decode(errors='replace')}") from error
        names = [column["name"] for column in found["columns"]]
        return [row if isinstance(row, dict) else dict(zip(names, row)) for row in found["rows"]]

    def wait(self, holds, seconds, what):
        """What `holds` answers as soon as it is true; an error with the last words otherwise."""
        end = time.monotonic() + seconds
        while True:
            try:
                found = holds()
            except (urllib.error.URLError, ConnectionError) as error:
                # Before the first cut there is no view to answer with.
                found, what = None, f"{what.split(' (last answer')[0]} (last answer: {error})"
            if found:
                return found
            if self.process.poll() is not None:
                raise AssertionError(f"{what}: it ended with {self.process.returncode}:\n" + "".join(self.said))
            if time.monotonic() > end:
                raise AssertionError(f"{what}: not in {seconds} s")
            time.sleep(POLL_SECONDS)

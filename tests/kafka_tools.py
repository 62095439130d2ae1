"""Kafka's own tools, as an independent client for tests, and brokers to use them on."""
import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
BROKER = ROOT / "tests/kafka/broker.sh"
LIBS = pathlib.Path(
    os.environ.get("TIDEMARK_KAFKA_CACHE", pathlib.Path.home() / ".cache/tidemark/kafka")) / "libs-4.1.0"
WAIT_MS = 4_000  # without a record, until a reader takes a topic to have ended
SECONDS_MAX = 180
HEADER = "tidemark-sequence:"


def command(tool, *arguments, bootstrap):
    return ["java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp",
            f"{LIBS}/*", f"org.apache.kafka.tools.{tool}", "--bootstrap-server", bootstrap, *map(str, arguments)]


def kafka(tool, *arguments, bootstrap, lines=None):
    """Runs one of the tools; answers what it printed."""
    done = subprocess.run(command(tool, *arguments, bootstrap=bootstrap), input=lines, capture_output=True, text=True,
                          timeout=SECONDS_MAX)
    assert done.returncode == 0, f"{tool}: {done.stdout}{done.stderr}"
    return done.stdout


def committed(topics, bootstrap, isolation="read_committed"):
    """Every record of each topic, oldest first, as a reader with this isolation gets it: (key, value, sequence)."""
    show = [f"print.{what}=true" for what in ("key", "headers", "offset")]
    show = [word for pair in (("--property", one) for one in [*show, "null.literal=<none>"]) for word in pair]

    def reader(topic, wait_ms):
        return subprocess.Popen(
            command("consumer.ConsoleConsumer", "--topic", topic, "--from-beginning", "--timeout-ms", str(wait_ms),
                    "--isolation-level", isolation, *show, bootstrap=bootstrap),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    reading = {topic: reader(topic, WAIT_MS) for topic in topics}
    found = {}
    for topic, first in reading.items():
        out, err = first.communicate(timeout=SECONDS_MAX)
        if not out:
            # On a busy machine the tool may not have been given its partition by then.
            out, err = reader(topic, 5 * WAIT_MS).communicate(timeout=SECONDS_MAX)
        assert out, f"{topic} is empty: {err[:1000]}"
        found[topic] = [record(line) for line in out.splitlines() if line.startswith("Offset:")]
    return found


def record(line):
    offset, headers, key, value = line.split("\t", 3)
    assert headers.startswith(HEADER), line
    value = None if value == "<none>" else json.loads(value)
    return int(offset.removeprefix("Offset:")), key, value, int(headers.removeprefix(HEADER))

"""Kafka as it really is: brokers that stop, leaders that move, logs that are cut, transactions, codecs, SASL_SSL.

Every check runs the real binary against a real broker; what is shown is what was produced.
"""
import json
import os
import pathlib
import signal
import subprocess
import time
import urllib.error

import kafka_tools
import result_topics
from admission import counts, order
from kafka_tools import BROKER, kafka
from process import BINARY, ROOT, Server

RUN = pathlib.Path(os.environ.get("TIDEMARK_KAFKA_RUN", kafka_tools.LIBS.parent / "run"))
SASL = {"properties.security.protocol": "SASL_SSL", "properties.sasl.mechanism": "SCRAM-SHA-256",
        "properties.sasl.username": "tidemark", "properties.sasl.password": "only-for-tests",
        "properties.ssl.ca.location": str(RUN / "certificate.pem")}


def config(folder, topic, bootstrap, more="", **properties):
    file = folder / "tidemark.toml"
    options = {"connector": "kafka", "topic": topic, "properties.bootstrap.servers": bootstrap, **properties}
    file.write_text("[pipeline]\ncheckpoint-every-ms = 200\n[streams.orders]\n"
                    + "".join(f'"{key}" = "{value}"\n' for key, value in options.items()) + more)
    return file


def create(topic, bootstrap, *arguments):
    kafka("TopicCommand", "--create", "--topic", topic, *(arguments or ("--partitions", "1")), bootstrap=bootstrap)


def lines(numbers):
    return "".join(order(number) + "\n" for number in numbers)


def produce(topic, bootstrap, numbers, *arguments):
    kafka("ConsoleProducer", "--topic", topic, *arguments, bootstrap=bootstrap, lines=lines(numbers))


def holds(server, accepted, seconds=90, **more):
    """Waits until so many orders are accepted, and checks the sum that is shown and every identity."""
    server.wait(lambda: counts(server).get("accepted") == accepted, seconds, f"{accepted} orders")
    found = counts(server)
    assert all(found[name] == count for name, count in more.items()), (found, more)
    [row] = server.sql("SELECT SUM(gmv) AS gmv FROM gmv_by_province")
    assert round(float(row["gmv"])) == 10 * accepted, (row, accepted)


def readiness(server):
    """The answer of /readyz, ready or not."""
    try:
        return server.get("/readyz")
    except urllib.error.HTTPError as error:
        return json.load(error)


def ours(ground):
    """The broker, when it is ours to be stopped and looked into."""
    bootstrap = ground.bootstrap
    if ground.broker_pid is None:
        raise ground.skip("the broker is not ours to be stopped")
    return bootstrap


def a_broker_stops_and_comes_back(ground):
    """A broker that is stopped is a problem on the wall; once it is back every order counts once"""
    folder, bootstrap = ground.fresh(), ours(ground)
    topic = ground.topic("restart")
    create(topic, bootstrap)
    produce(topic, bootstrap, range(50))
    with Server(["serve"], folder, config=config(folder, topic, bootstrap)) as server:
        holds(server, 50)
        subprocess.run([BROKER, "halt"], check=True, timeout=60)
        try:
            server.wait(lambda: readiness(server)["state"] == "stale", 90, "that it says so")
            assert "reach" in readiness(server)["reason"], readiness(server)
            holds(server, 50)
        finally:
            done = subprocess.run([BROKER, "resume"], capture_output=True, text=True, timeout=240)
            assert done.returncode == 0, done.stderr
            ground.found(done.stdout)
        produce(topic, bootstrap, range(40, 100))
        holds(server, 100, duplicate=10)
        server.wait(lambda: readiness(server)["status"] == "ready", 90, "that it is ready again")
        assert server.stop(signal.SIGTERM) == 0


def a_leader_moves(ground):
    """Reading goes on when a partition's leader moves to another node, and when that node is killed"""
    folder, bootstrap = ground.fresh(), ours(ground)
    done = subprocess.run([BROKER, "second"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    topic = ground.topic("leader")

    def leader():
        told = kafka("TopicCommand", "--describe", "--topic", topic, bootstrap=bootstrap)
        return told.split("Leader: ")[1].split()[0], "2" in told.split("Isr: ")[1].split()[0]

    try:
        wait_until(lambda: "id: 2 " in kafka("BrokerApiVersionsCommand", bootstrap=bootstrap), 90, "the second node")
        create(topic, bootstrap, "--replica-assignment", "1:2")
        produce(topic, bootstrap, range(50))
        with Server(["serve"], folder, config=config(folder, topic, bootstrap)) as server:
            holds(server, 50)
            wait_until(lambda: leader() == ("1", True), 90, "both replicas in sync")
            reassign(folder, topic, bootstrap)
            wait_until(lambda: leader()[0] == "2", 90, "the move to node 2")
            produce(topic, bootstrap, range(50, 100))
            holds(server, 100, duplicate=0)
            subprocess.run([BROKER, "leave"], check=True, timeout=30)
            wait_until(lambda: leader()[0] == "1", 90, "the move back to node 1")
            produce(topic, bootstrap, range(100, 150))
            holds(server, 150, 120, duplicate=0)
            assert server.stop(signal.SIGTERM) == 0
        with Server(["serve"], folder, config=config(folder, topic, bootstrap)) as server:
            holds(server, 150, duplicate=0)
    finally:
        subprocess.run([BROKER, "leave"], check=True, timeout=30)


def reassign(folder, topic, bootstrap):
    """Makes node 2 the preferred leader and lets it be elected."""
    plan = folder / "plan.json"
    plan.write_text(json.dumps({"version": 1, "partitions": [{"topic": topic, "partition": 0, "replicas": [2, 1]}]}))
    kafka("reassign.ReassignPartitionsCommand", "--reassignment-json-file", plan, "--execute", bootstrap=bootstrap)
    kafka("LeaderElectionCommand", "--election-type", "preferred", "--topic", topic, "--partition", "0",
          bootstrap=bootstrap)


def wait_until(holds_now, seconds, what):
    end = time.monotonic() + seconds
    while not holds_now():
        assert time.monotonic() < end, f"{what}: not in {seconds} s"


def delete_before(folder, topic, bootstrap, offset):
    file = folder / "delete.json"
    file.write_text(json.dumps({"version": 1, "partitions": [{"topic": topic, "partition": 0, "offset": offset}]}))
    kafka("DeleteRecordsCommand", "--offset-json-file", file, bootstrap=bootstrap)


def a_log_cut_under_the_reader(ground):
    """A log cut past a running reader stops it loudly, naming both offsets; it never jumps over what is lost"""
    folder, bootstrap = ground.fresh(), ground.bootstrap
    topic = ground.topic("cut")
    create(topic, bootstrap)
    produce(topic, bootstrap, range(50))
    with Server(["serve"], folder, config=config(folder, topic, bootstrap)) as server:
        holds(server, 50)
        server.process.send_signal(signal.SIGSTOP)
        # The answer to the request that is under way holds nothing.
        time.sleep(1.5)
        produce(topic, bootstrap, range(50, 150))
        delete_before(folder, topic, bootstrap, 120)
        server.process.send_signal(signal.SIGCONT)
        server.wait(lambda: says_lost(readiness(server).get("reason", ""), topic, 50, 120), 90, "a stop that says why")
        produce(topic, bootstrap, range(150, 160))
        time.sleep(2)
        assert says_lost(readiness(server)["reason"], topic, 50, 120), readiness(server)
        assert counts(server)["read"] == 50, "it jumped"
        server.stop(signal.SIGTERM)


def a_log_cut_past_the_checkpoint(ground):
    """A start whose checkpoint is before the earliest record is refused with both offsets and what to do; then that helps"""
    folder, bootstrap = ground.fresh(), ground.bootstrap
    topic = ground.topic("retention")
    create(topic, bootstrap)
    produce(topic, bootstrap, range(50))
    file = config(folder, topic, bootstrap)
    with Server(["serve"], folder, config=file) as server:
        holds(server, 50)
        assert server.stop(signal.SIGTERM) == 0
    produce(topic, bootstrap, range(50, 100))
    delete_before(folder, topic, bootstrap, 80)
    done = refused_start(folder, file)
    assert says_lost(done, topic, 50, 80) and "checkpoints" in done, done
    (folder / "data/checkpoints").rename(folder / "moved-away")
    with Server(["serve"], folder, config=file) as server:
        holds(server, 20)
        assert server.stop(signal.SIGTERM) == 0
    # At the other end: a topic made anew is shorter than the checkpoint.
    kafka("TopicCommand", "--delete", "--topic", topic, bootstrap=bootstrap)
    create(topic, bootstrap)
    produce(topic, bootstrap, range(3))
    # The history says so first, and once that is away the checkpoint does.
    done = refused_start(folder, file)
    assert "offset 100" in done and "ends at 3" in done and "move the table" in done, done
    (folder / "data/history").rename(folder / "history-moved-away")
    done = refused_start(folder, file)
    assert "offset 100" in done and "ends at 3" in done and topic in done, done


def refused_start(folder, file):
    """What a start that must fail says."""
    done = subprocess.run(
        [BINARY, "serve", "--listen", "127.0.0.1:0", "--postgres", "127.0.0.1:0", "--flight", "127.0.0.1:0", "--data-dir", folder / "data",
         "--config", file], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode != 0, done.stdout
    return done.stderr


def says_lost(text, topic, stands, earliest):
    return all(word in text for word in (topic, "partition 0", f"offset {stands}", f"log is {earliest} "))


def transactions(ground):
    """Of a transactional producer only what was committed counts, and neither gaps nor a killed producer hold it up"""
    folder, bootstrap = ground.fresh(), ground.bootstrap
    topic = ground.topic("transactions")
    create(topic, bootstrap)
    good, bad = folder / "good", folder / "bad"
    good.write_text(lines(range(200)))
    bad.write_text("".join(order(number, amount="999999.00") + "\n" for number in range(10_000, 10_050)))

    def perform(payload, count, throughput, name, duration, timeout):
        return subprocess.Popen(
            [word for word in kafka_tools.command(
                "ProducerPerformance", "--topic", topic, "--num-records", count, "--payload-file", payload,
                "--throughput", throughput, "--transactional-id", f"{topic}-{name}", "--transaction-duration-ms",
                duration, "--producer-props", f"bootstrap.servers={bootstrap}", f"transaction.timeout.ms={timeout}",
                bootstrap=bootstrap) if word not in ("--bootstrap-server", bootstrap)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    with Server(["serve"], folder, config=config(folder, topic, bootstrap)) as server:
        committing = perform(good, 3_000, 3_000, "good", 50, 10_000)
        told, _ = committing.communicate(timeout=60)
        assert committing.returncode == 0, told
        server.wait(lambda: counts(server).get("read") == 3_000, 90, "what was committed")
        distinct = counts(server)["accepted"]
        holds(server, distinct, duplicate=3_000 - distinct)
        produce(topic, bootstrap, range(200, 250))
        holds(server, distinct + 50, 60)
        # Killed in the middle of its transaction, which the broker takes back after its time-out.
        killed = perform(bad, 1_000_000, 2_000, "bad", 60_000, 2_000)
        wait_until(lambda: end_of(topic, bootstrap) > 6_000, 90, "records of the open transaction")
        killed.kill()
        killed.wait()
        # Nothing is left to be read, although the last thousands of offsets are those of no record that counts.
        has_no_lag(server)
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    with Server(["serve"], folder, config=config(folder, topic, bootstrap)) as server:
        holds(server, distinct + 50, rejected=0)
        has_no_lag(server)
        produce(topic, bootstrap, range(250, 260))
        holds(server, distinct + 60)
        assert server.stop(signal.SIGTERM) == 0


def end_of(topic, bootstrap):
    told = kafka("GetOffsetShell", "--topic", topic, bootstrap=bootstrap)
    return int(told.strip().rsplit(":", 1)[1])


def has_no_lag(server):
    """Waits until no record is said to wait, five frames in a row."""
    looks = []

    def stays():
        looks.append(lag(server))
        return len(looks) >= 5 and not any(looks[-5:])

    try:
        server.wait(stays, 90, "no lag")
    except AssertionError as error:
        raise AssertionError(f"{error}; it was {looks[-5:]}") from error


def lag(server):
    """Records in the log that are not read, as the status frame says."""
    status = json.loads(next(line for line in events(server) if '"status"' in line))
    return status["lagRecords"]


def events(server):
    """The lines of the event stream, without their field names."""
    import urllib.request
    with urllib.request.urlopen(server.url + "/api/events?views=gmv_day", timeout=20) as answer:
        for line in answer:
            text = line.decode().strip()
            if text.startswith("data:"):
                yield text.removeprefix("data:").strip()


def every_codec(ground):
    """Records compressed with gzip, snappy, lz4 and zstd are read"""
    folder, bootstrap = ground.fresh(), ground.bootstrap
    topic = ground.topic("codecs")
    create(topic, bootstrap)
    codecs = ("gzip", "snappy", "lz4", "zstd")
    for nth, codec in enumerate(codecs):
        produce(topic, bootstrap, range(nth * 20, nth * 20 + 20), "--compression-codec", codec)
    if ground.broker_pid is not None:
        log = RUN / f"data/{topic}-0/00000000000000000000.log"
        words = [word for word in kafka_tools.command("DumpLogSegments", "--files", log, bootstrap=bootstrap)
                 if word not in ("--bootstrap-server", bootstrap)]
        told = subprocess.run([word.replace("org.apache.kafka.tools.Dump", "kafka.tools.Dump") for word in words],
                              capture_output=True, text=True, timeout=60).stdout
        assert all(f"compresscodec: {codec}" in told.lower() for codec in codecs), told[-2000:]
    with Server(["serve"], folder, config=config(folder, topic, bootstrap)) as server:
        holds(server, 80)
        assert server.stop(signal.SIGTERM) == 0


def over_sasl_ssl(ground):
    """Orders come and results go over SASL_SSL; a wrong password and a strange certificate are refused in plain words"""
    folder, bootstrap = ground.fresh(), ours(ground)
    secure = (RUN / "secure").read_text().strip()
    topic, result = ground.topic("secure"), ground.topic("secure-result")
    create(topic, bootstrap)
    produce(topic, bootstrap, range(30))
    to = f'[result-topics]\ntopic = "{result}.{{view}}"\n"properties.bootstrap.servers" = "{secure}"\n' \
        + "".join(f'"{key}" = "{value}"\n' for key, value in SASL.items())
    with Server(["serve"], folder, config=config(folder, topic, secure, to, **SASL)) as server:
        holds(server, 30)
        server.wait(lambda: result_topics.metric(server, "cuts_total"), 90, "a cut in the topics")
        # A first hand-shake that takes its time may raise an alarm; it has to go by itself.
        server.wait(lambda: server.get("/healthz")["alarms"] == [], 30, "no alarm")
        assert server.stop(signal.SIGTERM) == 0
    [records] = kafka_tools.committed([f"{result}.gmv_by_province"], bootstrap).values()
    assert any(value and value.get("payments") == 30 for _, _, value, _ in records), records
    said = refused_start(folder, config(folder, topic, secure, **{**SASL, "properties.sasl.password": "wrong"}))
    assert "uthentication" in said and secure in said, said
    without = {key: value for key, value in SASL.items() if "ca.location" not in key}
    said = refused_start(folder, config(folder, topic, secure, **without))
    assert "certificate" in said, said


CHECKS = [a_log_cut_under_the_reader, a_log_cut_past_the_checkpoint, transactions, every_codec, over_sasl_ssl,
          a_broker_stops_and_comes_back, a_leader_moves]

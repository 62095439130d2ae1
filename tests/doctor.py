"""`tidemark doctor`: what is wrong before the night is named, and what is right is not."""
import socket
import subprocess

from kafka_tools import kafka
from process import BINARY, ROOT


def doctor(folder, config, *more, listen="127.0.0.1:0"):
    """Exit code and lines, each as (level, about, text)."""
    file = folder / "tidemark.toml"
    file.write_text(config)
    done = subprocess.run(
        [BINARY, "doctor", "--config", str(file), "--data-dir", str(folder / "data"), "--listen", listen,
         "--postgres", "127.0.0.1:0", "--flight", "127.0.0.1:0", *more], capture_output=True, text=True, cwd=ROOT, timeout=120)
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines() if line.strip()]
    return done.returncode, lines, done.stdout + done.stderr


def told(lines, level):
    return [text for found, text in lines if found == level]


EMBEDDED = '[streams.%s]\nconnector = "embedded"\n'


def embedded():
    declared = [path.stem for path in sorted((ROOT / "sql/streams").glob("*.sql"))]
    with_kafka = [name for name in declared if "'kafka'" in (ROOT / f"sql/streams/{name}.sql").read_text()]
    return "".join(EMBEDDED % name for name in with_kafka)


def the_doctor_finds_what_is_wrong(ground):
    """tidemark doctor: go on a sound machine; a taken port, a folder that cannot be written and mistakes are no go"""
    folder = ground.fresh()
    code, lines, said = doctor(folder, embedded())
    assert code == 0 and not told(lines, "FAIL") and "go: nothing failed" in said, said
    # There is no place for checkpoints before the first start.
    for about in ("config", "sql", "data", "disk", "clock", "port", "stream"):
        assert any(text.startswith(about) for text in told(lines, "ok")), (about, said)
    assert not (folder / "data").exists(), "it leaves nothing behind"

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, lines, said = doctor(folder, embedded(), listen=address)
    assert code == 1 and [text for text in told(lines, "FAIL") if f"server.listen {address}" in text], said

    (folder / "data").write_text("a file where the folder should be\n")
    code, lines, said = doctor(folder, "publish-evry = 1\n" + embedded())
    assert code == 1 and any("publish-evry" in text and "tidemark.toml:1" in text for text in told(lines, "FAIL")), said

    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        nowhere = f"127.0.0.1:{nobody.getsockname()[1]}"
        unreachable = embedded().replace(
            EMBEDDED % "orders",
            f'[streams.orders]\nconnector = "kafka"\ntopic = "x"\n"properties.bootstrap.servers" = "{nowhere}"\n')
        (folder / "data").unlink()
        code, lines, said = doctor(folder, unreachable)
    assert code == 1 and any("stream orders" in text for text in told(lines, "FAIL")), said


def the_doctor_asks_the_brokers(ground):
    """tidemark doctor: partitions, records and whose clock stamps them, from a real Kafka"""
    folder, topic = ground.fresh(), ground.topic("doctor")
    kafka("TopicCommand", "--create", "--topic", topic, "--partitions", "2", bootstrap=ground.bootstrap)
    config = embedded().replace(
        EMBEDDED % "orders",
        f'[streams.orders]\nconnector = "kafka"\ntopic = "{topic}"\n'
        f'"properties.bootstrap.servers" = "{ground.bootstrap}"\n')
    code, lines, said = doctor(folder, config)
    assert code == 0, said
    assert any(f"topic {topic} has 2 partitions" in text for text in told(lines, "ok")), said
    assert any("CreateTime" in text for text in told(lines, "warn")), said


CHECKS = [the_doctor_finds_what_is_wrong, the_doctor_asks_the_brokers]

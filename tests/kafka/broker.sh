#!/bin/sh
# A real Apache Kafka broker for tests: one KRaft node on loopback, on free ports.
#
#   broker.sh start    prints bootstrap=127.0.0.1:PORT and pid_file=…; the same again when it runs already
#   broker.sh status   the same, or exit 1 when none runs
#   broker.sh stop     stops it by its process id and removes its data
#   broker.sh halt     stops it and keeps its data; broker.sh resume goes on with them
#   broker.sh second   starts a second node of the same cluster and prints second=… and second_pid_file=…
#   broker.sh leave    kills the second node
#
# A third port speaks SASL_SSL (SCRAM-SHA-256, user and password as `secure_user` below); its address stands in
# $TIDEMARK_KAFKA_RUN/secure, its certificate in certificate.pem beside it.
#
# With KAFKA_BOOTSTRAP set, that broker is used: start prints it, stop leaves it alone.
# Exit 77 when no broker can be had here (no Java 17, no Maven, no repository): callers say "skipped".
#
# Environment: TIDEMARK_KAFKA_CACHE (downloaded jars, 54 MB; default ~/.cache/tidemark/kafka),
# TIDEMARK_KAFKA_RUN (data and log of the broker; default the cache's run/), KAFKA_HEAP (default 512m).
set -eu

version=4.1.0
cache=${TIDEMARK_KAFKA_CACHE:-${HOME:-/tmp}/.cache/tidemark/kafka}
run=${TIDEMARK_KAFKA_RUN:-$cache/run}
heap=${KAFKA_HEAP:-512m}
libs=$cache/libs-$version
pid_file=$run/broker.pid
wait_seconds=150
secure_user=tidemark
secure_password=only-for-tests

skip() {
    echo "skipped: $1" >&2
    exit 77
}

fail() {
    echo "broker.sh: $1" >&2
    exit 1
}

# Whether the process in the pid file is the broker we started, and not a later one with its number.
is_running() {
    [ -f "$pid_file" ] && pid=$(cat "$pid_file") && kill -0 "$pid" 2>/dev/null &&
        tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q "$run/server.properties"
}

report() {
    echo "bootstrap=$(cat "$run/bootstrap")"
    echo "pid_file=$pid_file"
}

need_java() {
    command -v java >/dev/null 2>&1 || skip "no java on the PATH; Kafka $version needs Java 17: apt-get install openjdk-17-jre-headless"
    major=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
    [ "${major:-0}" -ge 17 ] || skip "java is version ${major:-unknown}; Kafka $version needs 17"
}

fetch() {
    [ -f "$libs/.complete" ] && return
    command -v mvn >/dev/null 2>&1 || skip "no mvn on the PATH to fetch Kafka $version with: apt-get install maven"
    mkdir -p "$cache"
    rm -rf "$libs"
    cat >"$cache/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tidemark</groupId>
  <artifactId>kafka-broker</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>$version</version>
    </dependency>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka-tools</artifactId>
      <version>$version</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
POM
    echo "fetching Kafka $version (54 MB, once)" >&2
    mvn -q -B -f "$cache/pom.xml" dependency:copy-dependencies \
        -DoutputDirectory="$libs" >"$cache/fetch.log" 2>&1 ||
        skip "Maven could not fetch Kafka $version; its words are in $cache/fetch.log"
    touch "$libs/.complete"
}

# Three different ports nobody listens on, from the range below the ephemeral one. A port taken
# between this look and the broker's start makes the start fail, with the reason in its log.
free_ports() {
    start=$((20000 + $$ % 10000))
    found=0
    port=$start
    while [ "$found" -lt 3 ]; do
        hex=$(printf '%04X' "$port")
        if ! grep -qs ":$hex 0*:0000 0A" /proc/net/tcp /proc/net/tcp6; then
            echo "$port"
            found=$((found + 1))
        fi
        port=$((port + 1))
        [ "$port" -lt $((start + 500)) ] || fail "no free port between $start and $port"
    done
}

configure() {
    ports=$(free_ports)
    client=$(echo "$ports" | sed -n 1p)
    controller=$(echo "$ports" | sed -n 2p)
    secure=$(echo "$ports" | sed -n 3p)
    rm -rf "$run"
    mkdir -p "$run"
    echo "127.0.0.1:$client" >"$run/bootstrap"
    echo "127.0.0.1:$controller" >"$run/controller"
    echo "127.0.0.1:$secure" >"$run/secure"
    certify
    cat >"$run/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$client,SASL_SSL://127.0.0.1:$secure,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$client,SASL_SSL://127.0.0.1:$secure
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL
sasl.enabled.mechanisms=SCRAM-SHA-256
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location=$run/keystore.pem
log.dirs=$run/data
num.partitions=1
# On, as many brokers out there have it: reading must not create topics even so.
auto.create.topics.enable=true
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
# A killed node is given up soon.
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=1000
# Transactions of killed producers are looked for often.
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
log.segment.bytes=268435456
log.retention.ms=-1
PROPERTIES
}

# A certificate of our own for 127.0.0.1, as PEM, which Kafka reads as it is.
certify() {
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 \
        -keyout "$run/key.pem" -out "$run/certificate.pem" >"$run/certificate.log" 2>&1 ||
        fail "openssl cannot make a certificate; see $run/certificate.log"
    cat "$run/key.pem" "$run/certificate.pem" >"$run/keystore.pem"
}

format() {
    # A `-` at the head would be read as an option.
    id=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=' | sed 's/^-/A/')
    echo "$id" >"$run/cluster"
    java -Xmx256m -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$libs/*" \
        kafka.tools.StorageTool format --standalone -t "$id" -c "$run/server.properties" \
        --add-scram "SCRAM-SHA-256=[name=$secure_user,password=$secure_password]" \
        >"$run/format.log" 2>&1 || fail "formatting the storage failed; see $run/format.log"
}

launch() {
    # A session of its own: the broker outlives this shell and any terminal.
    setsid java "-Xmx$heap" -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$libs/*" \
        kafka.Kafka "$run/server.properties" >>"$run/broker.log" 2>&1 </dev/null &
    echo $! >"$pid_file"
}

# Ready when the broker answers an API request, not when its port is open.
answers() {
    java -Xmx128m -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$libs/*" \
        org.apache.kafka.tools.BrokerApiVersionsCommand --bootstrap-server "$(cat "$run/bootstrap")" \
        >"$run/answer.log" 2>&1
}

port_is_open() {
    hex=$(printf '%04X' "$(cut -d: -f2 "$run/bootstrap")")
    grep -qs ":$hex 0*:0000 0A" /proc/net/tcp /proc/net/tcp6
}

wait_until_ready() {
    waited=0
    until port_is_open; do
        is_running || fail "the broker ended at start; see $run/broker.log"
        [ "$waited" -lt "$wait_seconds" ] || fail "no answer in $wait_seconds s; see $run/broker.log"
        sleep 1
        waited=$((waited + 1))
    done
    answers || fail "the broker does not answer; see $run/answer.log and $run/broker.log"
}

start() {
    if [ -n "${KAFKA_BOOTSTRAP:-}" ]; then
        echo "bootstrap=$KAFKA_BOOTSTRAP"
        return
    fi
    if is_running; then
        report
        return
    fi
    [ -r /proc/net/tcp ] || skip "starting a broker needs Linux; set KAFKA_BOOTSTRAP to use another"
    need_java
    fetch
    configure
    format
    launch
    wait_until_ready
    report
}

# The second node: a broker only, so that the first can do without it.
second() {
    is_running || fail "the first node does not run"
    node=$run/second
    port=$(free_ports | sed -n 1p)
    rm -rf "$node"
    mkdir -p "$node"
    sed -e 's/^process.roles=.*/process.roles=broker/' -e 's/^node.id=.*/node.id=2/' \
        -e "s,^listeners=.*,listeners=PLAINTEXT://127.0.0.1:$port," \
        -e "s,^advertised.listeners=.*,advertised.listeners=PLAINTEXT://127.0.0.1:$port," \
        -e "s,^log.dirs=.*,log.dirs=$node/data," -e '/sasl/d' -e '/^ssl/d' \
        "$run/server.properties" >"$node/server.properties"
    echo "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT" >>"$node/server.properties"
    java -Xmx256m -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$libs/*" kafka.tools.StorageTool format \
        --no-initial-controllers -t "$(cat "$run/cluster")" -c "$node/server.properties" >"$node/format.log" 2>&1 ||
        fail "formatting the second storage failed; see $node/format.log"
    setsid java -Xmx256m -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$libs/*" \
        kafka.Kafka "$node/server.properties" >"$node/broker.log" 2>&1 </dev/null &
    echo $! >"$node/broker.pid"
    echo "second=127.0.0.1:$port"
    echo "second_pid_file=$node/broker.pid"
}

leave() {
    [ -f "$run/second/broker.pid" ] || return 0
    other=$(cat "$run/second/broker.pid")
    if tr '\0' ' ' <"/proc/$other/cmdline" 2>/dev/null | grep -q "$run/second/server.properties"; then
        kill -9 "$other" 2>/dev/null || true
    fi
    rm -f "$run/second/broker.pid"
}

halt() {
    if is_running; then
        kill "$pid"
        waited=0
        while kill -0 "$pid" 2>/dev/null; do
            [ "$waited" -lt 20 ] || { kill -9 "$pid" 2>/dev/null || true; break; }
            sleep 1
            waited=$((waited + 1))
        done
    fi
}

resume() {
    is_running && return
    launch
    wait_until_ready
    report
}

stop() {
    [ -z "${KAFKA_BOOTSTRAP:-}" ] || return 0
    leave
    halt
    rm -rf "$run"
}

status() {
    if [ -n "${KAFKA_BOOTSTRAP:-}" ]; then
        echo "bootstrap=$KAFKA_BOOTSTRAP"
    elif is_running; then
        report
    else
        echo "no broker runs" >&2
        exit 1
    fi
}

case "${1:-}" in
start) start ;;
stop) stop ;;
status) status ;;
halt) halt ;;
resume) resume ;;
second) second ;;
leave) leave ;;
*)
    echo "usage: broker.sh start|stop|status|halt|resume|second|leave" >&2
    exit 2
    ;;
esac

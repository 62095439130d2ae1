#!/bin/bash
# What the engine costs on this machine, one table: stages, views beside DataFusion, checkpoints, a drain
# of Kafka beside a bare consumer, event to frame, restart, memory. Options are those of `tidemark bench`
# (--quick, --only drain, --topic-records N, --rounds N …). What needs Kafka is left out where none can be
# had; KAFKA_BOOTSTRAP names one that runs.
set -eu
. "$(dirname "$0")/environment.sh"
"$root/scripts/setup.sh"
build_page
build_binary

kafka=()
broker=$root/tests/kafka/broker.sh
# One that ran before is left running.
"$broker" status >/dev/null 2>&1 || trap '"$broker" stop' EXIT
if found=$("$broker" start); then
    eval "$found"
    kafka=(--bootstrap "$bootstrap")
fi
"$TIDEMARK" bench --sql-dir "$root/sql" "${kafka[@]}" "$@"

# What a picture of the wall costs, in a browser that renders in software; left out where there is none.
case " $* " in
    *" --only "*) ;;
    *) node "$root/tests/page/frames.mjs" || [ $? = 77 ] ;;
esac

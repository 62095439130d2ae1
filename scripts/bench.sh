#!/bin/bash
# What the engine costs on this machine, one table: stages, views beside DataFusion, checkpoints, a drain
# of Kafka beside a bare consumer, event to frame, restart, memory; then what a picture costs in a browser, and what
# analysts wait for beside DuckDB. What needs Kafka is left out where none can be had; KAFKA_BOOTSTRAP names one that runs.
#
#   bench.sh [--quick] [--rounds N] [--only NAMES]   names of `tidemark bench`, and `pictures` and `analysts`
#            [--orders N] [--explain RATIO]          for analysts: 10,000,000 orders, up to 100 million
#            others                                  those of `tidemark bench`: --topic-records N …
set -eu
. "$(dirname "$0")/environment.sh"

# Options by whose they are; `only` is all names with commas around, empty for everything.
only='' engine=() analysts=()
while [ $# -gt 0 ]; do
    case $1 in
        --only) only=,$2, && shift ;;
        --only=*) only=,${1#*=}, ;;
        --orders | --explain) analysts+=("$1" "$2") && shift ;;
        --orders=* | --explain=*) analysts+=("$1") ;;
        --rounds) engine+=("$1" "$2") && analysts+=("$1" "$2") && shift ;;
        --quick | --rounds=*) engine+=("$1") && analysts+=("$1") ;;
        *) engine+=("$1") ;;
    esac
    shift
done
wants() { [ -z "$only" ] || [[ $only == *,$1,* ]]; }
# What is left for `tidemark bench`.
rows=$(tr ',' '\n' <<<"$only" | grep -vxE 'pictures|analysts|' | paste -sd, || true)
[ -z "$rows" ] || engine+=(--only "$rows")

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
if [ -z "$only" ] || [ -n "$rows" ]; then
    "$TIDEMARK" bench --sql-dir "$root/sql" "${kafka[@]}" "${engine[@]}"
fi

# What a picture of the wall costs, in a browser that renders in software; left out where there is none.
if wants pictures; then
    node "$root/tests/page/frames.mjs" || [ $? = 77 ]
fi

# What analysts wait for, beside DuckDB on the same files; left out where DuckDB cannot be had.
if wants analysts; then
    if python=$(client_tools); then
        "$python" "$root/tests/analysts_bench.py" "${kafka[@]}" "${analysts[@]}"
    else
        echo "analysts: left out, the tools of tests/clients.txt cannot be had here"
    fi
fi

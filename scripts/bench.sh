#!/bin/bash
# Orders per second of the engine: decode, admit, fold and publish, one partition of JSON lines from
# disk, the day's total by the second beside a total by category; the best of three runs. Then what
# dedup keys cost.
set -eu
. "$(dirname "$0")/environment.sh"
"$root/scripts/setup.sh"
build_page
build_binary
python3 "$root/tests/bench.py" "$@"

# Bytes and seconds a million dedup keys, in memory and on disk.
cargo test --release --workspace --locked --lib -- --ignored --nocapture --test-threads 1 measure_dedup_keys \
    | grep '^dedup '

#!/bin/bash
# Orders per second of the engine: decode, admit, fold and publish, one partition of JSON lines from
# disk, the day's total by the second beside a total by category; the best of three runs.
set -eu
. "$(dirname "$0")/environment.sh"
"$root/scripts/setup.sh"
build_page
build_binary
exec python3 "$root/tests/bench.py" "$@"

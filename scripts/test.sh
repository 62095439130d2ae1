#!/bin/bash
# Runs every suite, even after one has failed, and ends with one line for each and a total.
#
#   scripts/test.sh              all suites
#   scripts/test.sh page cargo   these only: page cargo conformance kafka clients crashes wall
#
# Each suite has a time-out, so that something that hangs fails instead of eating the hour.
# Logs: $TIDEMARK_TEST_LOGS, or a temporary folder that is named when something failed.
set -u
. "$(dirname "$0")/environment.sh"
cd "$root" || exit 1

logs=${TIDEMARK_TEST_LOGS:-$(mktemp -d)}
mkdir -p "$logs"
wanted=${*:-page cargo conformance kafka clients crashes wall}
passed_all=0
failed_all=0
skipped_all=0
lines=()
broken=()

plain() { sed 's/\x1b\[[0-9;]*[A-Za-z]//g' "$1"; }

# Sum over the last `N passed, N failed, N skipped` line: what our own suites print.
count_plain() { plain "$1" | grep -oE '[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped' | tail -n 1 | tr -dc '0-9 ' ; }
# Sum over every `test result:` line of cargo.
count_cargo() {
    plain "$1" | awk '/^test result:/ { gsub(/;/, ""); p += $4; f += $6; i += $8 } END { if (NR) print p + 0, f + 0, i + 0 }'
}
count_vitest() {
    plain "$1" | awk '/^ *Tests  / {
        for (n = 2; n <= NF; n++) { if ($n == "passed") p = $(n-1); if ($n == "failed") f = $(n-1); if ($n == "skipped") s = $(n-1) }
    } END { print p + 0, f + 0, s + 0 }'
}
# A step that has no count of its own: it went through or it did not.
count_none() { echo 0 0 0; }

# What a failed suite said of it: its lines of failure with what follows them, or else how it ended.
what_failed() {
    plain "$1" | grep -A 15 -E '^ *(failed|FAIL|not ok|FAILED)\b|\.\.\. FAILED|panicked at|^error' | cut -c 1-400 | head -n 80 |
        grep . || plain "$1" | tail -n 20
}

# suite NAME SECONDS COUNTER COMMAND…
suite() {
    local name=$1 seconds=$2 counter=$3 log status began passed failed skipped reason
    shift 3
    log=$logs/$(echo "$name" | tr ' ' '-').log
    say "$name"
    began=$SECONDS
    timeout --kill-after=30 "$seconds" "$@" 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    read -r passed failed skipped < <("$counter" "$log")
    passed=${passed:-0} failed=${failed:-0} skipped=${skipped:-0} reason=
    if [ "$status" = 77 ]; then
        # The suite cannot run here; it says why in a line that begins with `skipped:`.
        reason=$(plain "$log" | sed -n 's/^skipped: //p' | tail -n 1)
        skipped=$((skipped > 0 ? skipped : 1))
    elif [ "$status" != 0 ]; then
        failed=$((failed > 0 ? failed : 1))
        reason="exit $status"
        [ "$status" = 124 ] && reason="no end in $seconds s"
        reason="$reason, see $log"
        broken+=("$log")
    elif [ "$((passed + failed + skipped))" = 0 ]; then
        passed=1
    fi
    [ -n "$reason" ] || reason=$(plain "$log" | sed -n 's/^skipped: //p' | paste -sd ';')
    passed_all=$((passed_all + passed)) failed_all=$((failed_all + failed)) skipped_all=$((skipped_all + skipped))
    lines+=("$(printf '%-24s %5d passed %3d failed %3d skipped %6d s  %s' \
        "$name" "$passed" "$failed" "$skipped" "$((SECONDS - began))" "$reason")")
    return "$status"
}

includes() { [[ " $wanted " == *" $1 "* ]]; }
export -f build_page build_binary
export root

suite setup 900 count_none "$root/scripts/setup.sh" --test
suite "build page" 900 count_none bash -c build_page
if includes page; then
    suite "page types" 300 count_none npm --prefix web run check
    suite "page units" 300 count_vitest npm --prefix web test
fi
suite "build binary" 3000 count_none bash -c build_binary
# The tests in Rust with a real Kafka, where one can be had; without it those that need it count as skipped.
rust_tests() {
    local started=no bootstrap status
    tests/kafka/broker.sh status >/dev/null 2>&1 || started=yes
    bootstrap=$(tests/kafka/broker.sh start | sed -n 's/^bootstrap=//p')
    if [ -n "$bootstrap" ]; then
        KAFKA_BOOTSTRAP=$bootstrap cargo test --release --workspace --locked --no-fail-fast -- --show-output --include-ignored
    else
        cargo test --release --workspace --locked --no-fail-fast -- --show-output
    fi
    status=$?
    [ -n "$bootstrap" ] && [ $started = yes ] && tests/kafka/broker.sh stop
    return $status
}
export -f rust_tests

if includes cargo; then
    suite "rust" 2400 count_cargo bash -c rust_tests
fi
if includes conformance; then
    suite "conformance" 600 count_plain python3 tests/conformance.py
fi
if includes kafka; then
    suite "analysts' questions" 300 count_plain python3 tests/examples.py
    suite "the past" 300 count_plain python3 tests/past.py
    suite "live queries" 300 count_plain python3 tests/subscribe.py
    suite "end to end" 1800 count_plain python3 tests/end_to_end.py
fi
if includes clients; then
    suite "analysts' tools" 600 count_plain "$root/scripts/clients.sh"
    suite "hostile input" 400 count_plain python3 tests/hostile.py
fi
if includes crashes; then
    suite "kills" 900 count_plain python3 tests/crashes.py
fi
if includes wall; then
    suite "wall in a browser" 300 count_plain python3 tests/page/demo.py
    suite "page in a browser" 2400 count_plain node tests/page/run.mjs
fi

say "summary"
# Reasons are cut to one line of a terminal; what failed stands below.
printf '%.200s\n' "${lines[@]}"
for log in "${broken[@]}"; do
    say "what failed: $log"
    what_failed "$log"
done
[ "$failed_all" = 0 ] || echo "logs: $logs"
echo "$passed_all passed, $failed_all failed, $skipped_all skipped"
[ "$failed_all" = 0 ]

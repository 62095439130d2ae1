#!/bin/bash
# The random suites of `make test`, many times as long: about an hour on two cores.
#
#   LOGS=50000 MALFORMED=1000000 KILLS=200 scripts/soak.sh
#
# KILLS: of a real server, at fail points and at any instant, and a third as many over Kafka. LOGS: random logs
# served and compared with the slow reference, with crashes. LIVES: logs of orders' lives. MALFORMED: broken records.
# What fails prints its seed: TIDEMARK_SEED=n runs that log alone.
set -eu
. "$(dirname "$0")/environment.sh"
cd "$root"
export TIDEMARK_LOGS=${LOGS:-50000} TIDEMARK_SEEDS=${SEEDS:-3000} TIDEMARK_MALFORMED=${MALFORMED:-1000000}
export TIDEMARK_LIVES=${LIVES:-10000}
build_binary
python3 tests/crashes.py --kills "${KILLS:-200}"
cargo test --release --workspace --locked --test engine -- --nocapture

#!/bin/bash
# The quick half of the tests: formatting, lints and types, in the dev profile; no release build.
set -u
. "$(dirname "$0")/environment.sh"
cd "$root" || exit 1
failed=0
run() {
    say "$*"
    "$@" || failed=1
}
"$root/scripts/setup.sh" || failed=1
run cargo fmt --all -- --check
run cargo clippy --workspace --all-targets --locked
run python3 -m py_compile tests/end_to_end.py tests/conformance.py
find tests -name __pycache__ -type d -exec rm -rf {} +
run build_page
run npm --prefix web run check
exit $failed

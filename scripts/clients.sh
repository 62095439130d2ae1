#!/bin/bash
# Runs tests/clients.py with the tools it needs, which are kept outside of the clone: scripts/clients.sh [--only TEXT]
set -eu
. "$(dirname "$0")/environment.sh"
cd "$root"
tools=$HOME/.cache/tidemark/clients
wanted=$(sha256sum tests/clients.txt)
if [ "$(cat "$tools/made-of" 2>/dev/null)" != "$wanted" ]; then
    rm -rf "$tools"
    python3 -m venv "$tools"
    if ! "$tools/bin/pip" install --quiet --disable-pip-version-check --requirement tests/clients.txt; then
        echo "skipped: the tools of tests/clients.txt cannot be had here"
        echo "0 passed, 0 failed, 1 skipped"
        exit 0
    fi
    printf '%s\n' "$wanted" > "$tools/made-of"
fi
exec "$tools/bin/python" tests/clients.py "$@"

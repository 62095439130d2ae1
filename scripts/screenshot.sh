#!/bin/bash
# A picture of the wall, as the demo shows it in a real browser. First argument: the file.
set -eu
. "$(dirname "$0")/environment.sh"
"$root/scripts/setup.sh" --test
build_page
build_binary
exec python3 "$root/tests/page/demo.py" --shot "${1:-$root/docs/wall.png}" --settle-ms 12000

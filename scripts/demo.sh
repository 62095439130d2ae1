#!/bin/bash
# Builds the page and the binary where they are not up to date, then runs `tidemark demo`.
set -eu
. "$(dirname "$0")/environment.sh"
"$root/scripts/setup.sh"
say "page"
build_page
say "binary (the first build takes half an hour on two cores, later ones seconds)"
build_binary
say "demo"
cd "$root"
exec "$TIDEMARK" demo "$@"

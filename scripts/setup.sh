#!/bin/bash
# Installs what building and testing need and this machine lacks, or names the command that does.
# Debian as root: through apt-get. Rust and Node must be there; their versions are checked.
#
#   scripts/setup.sh            for building, running and the page's tests
#   scripts/setup.sh --test     also what the tests need: a browser, fonts, Java, Maven, psql
#   scripts/setup.sh --rust     only Rust and Node are checked, nothing is installed
set -u
. "$(dirname "$0")/environment.sh"

problems=()

# At least `$2` in the order of version numbers.
is_at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

need_version() {
    local program=$1 wanted=$2 install=$3 found
    if ! command -v "$program" >/dev/null 2>&1; then
        problems+=("$program is missing: $install")
        return
    fi
    found=$("$program" --version | grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1)
    is_at_least "$found" "$wanted" || problems+=("$program is $found, $wanted or later is needed: $install")
}

missing=()
# `need TEST PACKAGE`: the package, when the test does not hold.
need() { eval "$1" >/dev/null 2>&1 || missing+=("$2"); }

need_version cargo 1.95 "curl --proto '=https' -sSf https://sh.rustup.rs | sh -s -- -y; or rustup update stable"
need_version node 20.19 "see https://nodejs.org/en/download; or apt-get install nodejs npm where Debian's is new enough"
need_version npm 9.0 "it comes with Node"

if [ "${1:-}" != --rust ]; then
    need "command -v cc && command -v c++ && command -v make" build-essential
    need "command -v cmake" cmake
    need "command -v pkg-config" pkg-config
    need "test -e /usr/include/openssl/ssl.h" libssl-dev
    need "test -e /usr/include/sasl/sasl.h" libsasl2-dev
    need "test -e /usr/include/zlib.h" zlib1g-dev
    need "command -v python3" python3
fi
if [ "${1:-}" = --test ]; then
    need "command -v chromium" chromium
    # A real Kafka comes from Maven Central; psql knocks at the PostgreSQL door as analysts do.
    need "command -v java" openjdk-17-jre-headless
    need "command -v mvn" maven
    need "command -v psql" postgresql-client
    need "python3 -c 'import ensurepip'" python3-venv
    need "ls /usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc" fonts-noto-cjk
fi

if [ ${#missing[@]} -gt 0 ]; then
    install="apt-get install -y --no-install-recommends ${missing[*]}"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "installing ${missing[*]}"
        export DEBIAN_FRONTEND=noninteractive
        { apt-get update -qq && $install; } || problems+=("installing failed; by hand: $install")
    else
        problems+=("missing: ${missing[*]}; install with: sudo $install")
    fi
fi

for problem in "${problems[@]}"; do
    echo "setup: $problem" >&2
done
[ ${#problems[@]} = 0 ]

# Sourced by the other scripts: where things are, and the one target directory that running and
# testing share, so that DataFusion is compiled once.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$HOME/.cache/tidemark/target}
export PYTHONDONTWRITEBYTECODE=1
export TIDEMARK=${TIDEMARK:-$CARGO_TARGET_DIR/release/tidemark}
# rustup puts cargo here; a shell that was open before the installation does not know it.
[ -d "$HOME/.cargo/bin" ] && PATH=$PATH:$HOME/.cargo/bin

say() { printf '\n== %s\n' "$*"; }

# The page, only when a source of it is newer than what was built.
build_page() {
    cd "$root/web" || return 1
    if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
        npm ci --no-audit --no-fund || return 1
    fi
    if [ ! -e dist/index.html ] || [ -n "$(find . -path ./node_modules -prune -o -path ./dist -prune -o -type f -newer dist/index.html -print -quit)" ]; then
        npm run build || return 1
    fi
    cd "$root" || return 1
}

# The binary with the page in it. The same flags as the tests use, so that nothing is built twice.
build_binary() {
    cd "$root" && cargo build --release --workspace --locked
}

# The Python of the tools in tests/clients.txt, kept outside of the clone; 1 where they cannot be had.
client_tools() {
    local tools=$HOME/.cache/tidemark/clients wanted
    wanted=$(cd "$root" && sha256sum tests/clients.txt)
    if [ "$(cat "$tools/made-of" 2>/dev/null)" != "$wanted" ]; then
        rm -rf "$tools"
        python3 -m venv "$tools" >&2 || return 1
        "$tools/bin/pip" install --quiet --disable-pip-version-check --requirement "$root/tests/clients.txt" >&2 || return 1
        printf '%s\n' "$wanted" > "$tools/made-of"
    fi
    printf '%s\n' "$tools/bin/python"
}

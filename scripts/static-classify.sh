#!/usr/bin/env bash
# `classify` as one static file that runs on any Linux of this kind of processor.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=$(uname -m)-unknown-linux-musl
if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    cat <<TEXT
Usage: scripts/static-classify.sh

Builds classify with tract, without burn, ONNX Runtime and SQLite, for $target:
target/$target/dist/classify, linked statically and stripped. It and an .onnx file are all
that a machine needs. Needs rustup, which fetches the target, and musl-gcc (Debian: musl-tools).

Example:
  scripts/static-classify.sh && scp target/$target/dist/classify server:
TEXT
    exit 0
fi
(($# == 0)) || { echo "static-classify.sh: unknown argument $1; see --help" >&2 && exit 2; }

command -v musl-gcc > /dev/null || {
    echo "static-classify.sh: no musl-gcc; on Debian: apt-get install musl-tools" >&2
    exit 1
}
rustup target add "$target"
# A fixed address needs no table of what to move: 2 MB less.
cargo rustc --profile dist --no-default-features --features tract --bin classify \
    --target "$target" -- -C relocation-model=static
# The profile's own strip leaves the symbols of a static program.
strip "target/$target/dist/classify"
ls -l "target/$target/dist/classify"

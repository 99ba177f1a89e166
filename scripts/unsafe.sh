#!/usr/bin/env bash
# The files with `unsafe` blocks, alone in a crate of their own, under the address sanitizer and Miri.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    cat <<TEXT
Usage: scripts/unsafe.sh

Runs the tests of src/cli/allocator.rs and src/model/layers/product.rs under the address
sanitizer (vector instructions of gemm included) and under Miri, which sees every wrong access
to memory, also inside of a block. They need \`rustup toolchain install nightly\`, Miri also its
component; what is not there is said and left out. Miri sees gemm without vector instructions,
and the system's allocator in the place of mimalloc, whose C it cannot run. The rest of the crate
has no \`unsafe\` (lint unsafe_code).
TEXT
    exit 0
fi

crate=$(mktemp -d)
trap 'rm -rf "$crate"' EXIT
version() { sed -n "s/^$1 = .*version = \"\([^\"]*\)\".*/\1/p" Cargo.toml; }
mkdir "$crate/src"
cat >"$crate/Cargo.toml" <<TEXT
[package]
name = "unsafe-blocks"
version = "0.0.0"
edition = "2024"
[dependencies]
mimalloc = { version = "0.1", default-features = false }
gemm = { version = "$(version gemm)", default-features = false }
[dev-dependencies]
proptest = { version = "1", default-features = false, features = ["std"] }
[workspace]
TEXT
cat >"$crate/src/lib.rs" <<TEXT
#![allow(dead_code)]
#[path = "$PWD/src/cli/allocator.rs"]
mod allocator;
#[path = "$PWD/src/model/layers/product.rs"]
mod product;
TEXT
cd "$crate"
target=$(rustc -vV | sed -n 's/^host: //p')
if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "NOT run: there is no nightly toolchain" && exit
fi
RUSTFLAGS=-Zsanitizer=address cargo +nightly test --target "$target" --target-dir "$OLDPWD/target/unsafe"
if cargo +nightly miri --version >/dev/null 2>&1; then
    MIRIFLAGS=-Zmiri-disable-isolation cargo +nightly miri test --target-dir "$OLDPWD/target/miri"
else
    echo "NOT run: the nightly toolchain has no Miri (rustup component add miri --toolchain nightly)"
fi

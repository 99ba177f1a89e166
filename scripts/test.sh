#!/usr/bin/env bash
# All tests, with what they need installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    cat <<TEXT
Usage: scripts/test.sh [cargo test options]

Fetches ONNX Runtime and, into .venv, the onnx package whose checker reads what we
export; then runs the tests of the whole workspace and, unless given options, the
examples in other languages (examples/test.sh).

GENRE_TRANSFER_TEST_DATA may name a folder with real data (gtzan/, backbones/,
vggish_fixtures/, frontend_fixtures/); tests that need it are skipped without it.

tests/interrupted.rs kills the programs 28 times; by hand GENRE_TRANSFER_KILLS=200 and
GENRE_TRANSFER_SEED=N, which it prints, say how often and when.
TEXT
    exit 0
fi

scripts/setup.sh
if ! .venv/bin/python -c 'import onnx' 2>/dev/null; then
    rm -rf .venv
    python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check onnx==1.23.2
fi
export GENRE_TRANSFER_REQUIRE_ORT=1 GENRE_TRANSFER_PYTHON=$PWD/.venv/bin/python
cargo test --release --workspace "$@"
[[ $# -gt 0 ]] || examples/test.sh

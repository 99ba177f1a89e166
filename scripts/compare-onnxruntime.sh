#!/usr/bin/env bash
# Compares our ort runtime with Python's onnxruntime: same library version, file, batch, threads.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
    cat <<TEXT
Usage: scripts/compare-onnxruntime.sh [MODEL.onnx] [--batch 1,8,32] [--threads 1,2] [--seconds 8]

Measures MODEL (default: models/yamnet.onnx) through this crate's ort runtime and
through Python's onnxruntime, taking turns within one run, and prints the ratio of
the median latencies. Exits with 1 if ours is more than 10 % slower anywhere.

Needs scripts/setup.sh to have run, and python3 with pip: the first run makes a
virtual environment with the same version of onnxruntime in .onnxruntime-python/,
which git ignores.

Examples:
  scripts/compare-onnxruntime.sh
  scripts/compare-onnxruntime.sh models/musicnn_msd_vgg.onnx --batch 1 --threads 1
TEXT
}

case "${1:-}" in
    -h | --help) usage && exit 0 ;;
esac

venv=$root/.onnxruntime-python
version=$(cat "$root/.onnxruntime/VERSION" 2>/dev/null) || {
    echo "compare-onnxruntime.sh: run scripts/setup.sh first" >&2
    exit 1
}
if ! "$venv/bin/python" -c "import onnxruntime, numpy; assert onnxruntime.__version__ == '$version'" 2>/dev/null; then
    echo "Making a Python environment with onnxruntime $version in $venv ..."
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" --disable-pip-version-check install --quiet "onnxruntime==$version" numpy
fi

cargo build --quiet --release --manifest-path "$root/Cargo.toml" --bin bench-runtimes
target=$(cargo metadata --no-deps --format-version 1 --manifest-path "$root/Cargo.toml" |
    "$venv/bin/python" -c "import json, sys; print(json.load(sys.stdin)['target_directory'])")
exec "$venv/bin/python" "$root/scripts/compare_onnxruntime.py" "$target/release/bench-runtimes" \
    --default-model "$root/models/yamnet.onnx" "$@"

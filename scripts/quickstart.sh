#!/usr/bin/env bash
# The main job in one command: fine-tune, export, benchmark.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    cat <<TEXT
Usage: scripts/quickstart.sh [finetune options]

Fetches ONNX Runtime, trains a genre head on a pretrained network (on data/gtzan if
it is there, else on a synthesized demo set), exports it to ONNX and benchmarks the
file in burn, ort and tract. Everything lands in runs/quickstart.

Examples:
  scripts/quickstart.sh
  scripts/quickstart.sh --data ~/music/genres --backbone musicnn
TEXT
    exit 0
fi

scripts/setup.sh
cargo run --release --bin finetune -- --name quickstart --force "$@"
cargo run --release --bin export-onnx -- runs/quickstart
cargo run --release --bin bench-runtimes -- runs/quickstart --quick --output runs/quickstart/bench

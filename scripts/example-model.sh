#!/usr/bin/env bash
# The model that the examples run, and what it must say of their clips.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    cat <<TEXT
Usage: scripts/example-model.sh [finetune options]

Trains a model (on data/gtzan if it is there, else on the synthesized demo set), exports it
to examples/genres.onnx with --input clip, labels.txt and preprocessor.json beside it, and
writes examples/expected.json: the probabilities of the clips in examples/clips by this
crate's own front end, and the model's probes into examples/probes. git ignores them all. CLIPS=FOLDER takes other clips.

Examples:
  scripts/example-model.sh
  scripts/example-model.sh --data ~/music/genres
TEXT
    exit 0
fi

scripts/setup.sh
run=runs/example
cargo run --release --bin finetune -- --name example --force "$@"
cargo run --release --bin export-onnx -- $run --input clip -o examples/genres.onnx
cp $run/labels.txt $run/preprocessor.json $run/trust.json examples/
cargo run --release --bin classify -- --verify examples/genres.onnx --probes examples/probes
# The run itself, not the file: its log-mels come from the native front end.
cargo run --release --bin classify -- "${CLIPS:-examples/clips}" --model $run --json --top 1000 |
    python3 -c '
import json, pathlib, sys
answers = map(json.loads, sys.stdin)
expected = {pathlib.Path(a["file"]).name: a["probabilities"] for a in answers}
json.dump(expected, sys.stdout, indent=1, sort_keys=True)
' > examples/expected.json.part
mv examples/expected.json.part examples/expected.json
echo "Written: examples/genres.onnx and examples/expected.json"

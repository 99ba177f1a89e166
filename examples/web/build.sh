#!/usr/bin/env bash
# Puts the page, ONNX Runtime and the model into dist/, a folder that any web server can show.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    cat <<TEXT
Usage: examples/web/build.sh [MODEL.onnx]

MODEL (default: ../genres.onnx) must be exported with --input clip and have labels.txt
and preprocessor.json beside it, as in a run's folder. Needs npm.

  examples/web/build.sh
  python3 -m http.server --directory examples/web/dist    # http://localhost:8000
TEXT
    exit 0
fi

model=${1:-../genres.onnx}
# The page shows the one most probable genre.
if grep -aq multi-label "$model"; then
    echo "build.sh: $model tells several labels a recording, and the page shows one genre" >&2
    exit 1
fi
ort=node_modules/onnxruntime-web/dist
npm install --ignore-scripts --no-audit --no-fund
rm -rf dist
mkdir -p dist/ort dist/model
cp index.html style.css *.js ../node/{labels,probes}.mjs dist/
cp "$ort/ort.wasm.bundle.min.mjs" "$ort/ort-wasm-simd-threaded.wasm" dist/ort/
cp "$model" dist/model/genres.onnx
cp "$(dirname "$model")"/{labels.txt,preprocessor.json} dist/model/
# How a recording's mean is calibrated, where the run knows.
cp "$(dirname "$model")/trust.json" dist/model/ 2>/dev/null || echo '{"temperature": 1}' >dist/model/trust.json
# Only for the page with ?verify; `classify --verify MODEL --probes DIR` writes it.
cp "$(dirname "$model")/probes/probes.json" dist/model/ 2>/dev/null || true

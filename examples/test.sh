#!/usr/bin/env bash
# Every example on the same three clips: all must say the same.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    cat <<TEXT
Usage: examples/test.sh [NAME...]

Makes the model (scripts/example-model.sh), installs what each example needs into folders
that git ignores, runs it on examples/clips and compares the probabilities with
examples/expected.json: none may be off by more than 0.0001. Each must also pass the model's own
probes (docs/verify.md), and of mistakes made in the Python example all must be noticed. NAMEs: python, node, web, c,
rust-ort, rust-tract; all of them unless named. What is missing on the machine (node, a C
compiler, Chromium) is installed where apt-get can; else its examples are skipped, and said so.

CLIPS=FOLDER takes other clips (16-bit mono wavs at 16 kHz), CHROMIUM=FILE names the browser,
SCREENSHOTS=FOLDER keeps pictures of the web page.

Examples:
  examples/test.sh
  CLIPS=~/clips examples/test.sh web rust-tract
TEXT
    exit 0
fi

[[ $# -gt 0 ]] || set -- python node web c rust-ort rust-tract
for name in "$@"; do
    [[ -d $name && $name != clips ]] || { echo "test.sh: there is no example \"$name\"; see --help" >&2 && exit 2; }
done

export CLIPS=${CLIPS:-$PWD/clips}
../scripts/example-model.sh || exit
answers=$(mktemp -d)
trap 'rm -rf "$answers"' EXIT
target=$(cargo metadata --no-deps --format-version 1 | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
library=$(ls "$PWD"/../.onnxruntime/libonnxruntime.* | head -1)

# Finds a command, or installs its Debian packages: need COMMAND PACKAGE...
need() {
    command -v "$1" >/dev/null && return
    [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null || return
    { apt-get update && apt-get install -y --no-install-recommends "${@:2}"; } >/dev/null 2>&1
    command -v "$1" >/dev/null
}

# Prints what a program says of each clip as one JSON object: each_clip PROGRAM...
each_clip() {
    for clip in "$CLIPS"/*.wav; do
        "$@" genres.onnx "$clip" >"$answers/$(basename "$clip")" || return
    done
    python3 - "$answers"/*.wav <<'PYTHON'
import json, pathlib, sys
table = lambda path: dict(line.split("\t") for line in path.read_text().splitlines())
paths = map(pathlib.Path, sys.argv[1:])
print(json.dumps({p.name: {k: float(v) for k, v in table(p).items()} for p in paths}))
PYTHON
}

# What a program says of its own way to probabilities (docs/verify.md): itself PROGRAM...
itself() {
    "$@" --verify genres.onnx >&2 || { echo "${*} --verify fails" >&2 && return 1; }
}

# The examples: each prints {clip: {genre: probability}}; 77 says what is missing and skips.
run-python() {
    python3 -m venv python/.venv &&
        python/.venv/bin/pip install --quiet --disable-pip-version-check -r python/requirements.txt &&
        itself python/.venv/bin/python python/genres.py &&
        python/.venv/bin/python mistakes.py genres.onnx "$target/release/classify" >&2 &&
        each_clip python/.venv/bin/python python/genres.py
}
run-node() {
    need npm nodejs npm || { echo "there is no node" >&2 && return 77; }
    npm install --prefix node --ignore-scripts --no-audit --no-fund >&2 &&
        node node/test.mjs && itself node node/genres.mjs && each_clip node node/genres.mjs
}
run-web() {
    need npm nodejs npm || { echo "there is no node" >&2 && return 77; }
    if [[ -z ${CHROMIUM:-} ]]; then
        CHROMIUM=$(command -v chromium chromium-browser google-chrome | head -1)
        [[ -n $CHROMIUM ]] || { need chromium chromium && CHROMIUM=$(command -v chromium); } ||
            { echo "there is no Chromium" >&2 && return 77; }
    fi
    web/build.sh >&2 && CHROMIUM=$CHROMIUM node web/test.mjs "$CLIPS"/*.wav
}
run-c() {
    need cc gcc libc6-dev make && need make make || { echo "there is no C compiler" >&2 && return 77; }
    make -C c >&2 && make -C c test >&2 && itself c/genres && each_clip c/genres
}
# Built as a part of the workspace: what is compiled for this crate already is not compiled again.
run-rust-ort() {
    cmp rust-ort/src/probes.rs rust-tract/src/probes.rs >&2 || return # copies, so that each stands alone
    export ORT_DYLIB_PATH=$library
    cargo build --release --workspace --bin genres-ort >&2 &&
        itself "$target/release/genres-ort" && each_clip "$target/release/genres-ort"
}
run-rust-tract() {
    cargo build --release --workspace --bin genres-tract >&2 &&
        itself "$target/release/genres-tract" && each_clip "$target/release/genres-tract"
}

passed=0 failed=0 skipped=0
for name in "$@"; do
    said=$(run-$name)
    status=$?
    if [[ $status == 77 ]]; then
        echo "$name: skipped" && skipped=$((skipped + 1))
    elif [[ $status == 0 ]] && python3 - "$name" "$said" <<'PYTHON'; then
import json, sys
name, said = sys.argv[1], json.loads(sys.argv[2])
expected = json.load(open("expected.json"))
if {clip: set(genres) for clip, genres in said.items()} != {clip: set(genres) for clip, genres in expected.items()}:
    sys.exit(f"{name}: other clips or genres than in expected.json: {said}")
worst = max(abs(p - expected[clip][genre]) for clip in said for genre, p in said[clip].items())
print(f"{name}: at most {worst:.1e} off")
sys.exit(not worst <= 1e-4)
PYTHON
        passed=$((passed + 1))
    else
        echo "$name: FAILED" && failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed, $skipped skipped"
[[ $failed == 0 ]]

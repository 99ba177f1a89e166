#!/usr/bin/env bash
# Fuzz targets: all that was ever found is read again, then each target runs for some seconds.
set -euo pipefail

usage() {
    cat <<TEXT
Usage: scripts/fuzz.sh [--seconds N] [--keep] [TARGET...]

Builds fuzz/ with the installed compiler (no nightly one is needed, but one of C++ for
libFuzzer), reads every input in fuzz/regressions and fuzz/corpus again, and then runs each
target, two at a time, for N seconds (20; hours for a search). An input that breaks a limit
(fuzz/README.md) is kept in target/fuzz/TARGET/found, and the script fails.

  --seconds N   how long each target runs
  --keep        put a small choice of what was found interesting into fuzz/corpus
TEXT
}

seconds=20 keep=false
while [[ ${1:-} == -* ]]; do
    case $1 in
    -h | --help) usage && exit ;;
    --seconds) seconds=${2:?"--seconds needs a number"} && shift 2 ;;
    --keep) keep=true && shift ;;
    *) usage >&2 && exit 2 ;;
    esac
done

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
output=$(realpath -m "${CARGO_TARGET_DIR:-$root/target}")
# Only what reads is built anew, with its branches counted; burn and the mathematics are those
# that the release build has left in the same folder.
(cd "$root/fuzz" && RUSTC_WRAPPER=$PWD/instrument.sh cargo build --release --locked --target-dir "$output")
program=$output/release/any
targets=("$@")
[[ $# -gt 0 ]] || mapfile -t targets < <(GENRE_TRANSFER_FUZZ=? "$program" 2>/dev/null)

# Whatever the input, and whoever else needs the processors (limits count processor time).
limits=(-timeout=60 -rss_limit_mb=4096 -max_len=16384 -print_final_stats=1)
# A few kilobytes a target are enough to begin with.
most_files=60 most_bytes=90000

fuzz() {
    local target=$1 work=$output/fuzz/$1 log=$output/fuzz/$1.log folder
    mkdir -p "$work/corpus" "$work/found"
    export GENRE_TRANSFER_FUZZ=$target
    GENRE_TRANSFER_FUZZ_SEEDS=$work/corpus "$program" 2>/dev/null
    case $target in
    audio | audio-sealed | tags) cp "$root"/tests/fixtures/{sine1k*,video_only.mp4} "$work/corpus" ;;
    parquet) find "$root/tests/fixtures" -name '*.parquet' -exec cp {} "$work/corpus" \; ;;
    picture) cp "$root"/fuzz/pictures/* "$work/corpus" ;;
    esac
    for folder in "$root/fuzz/regressions/$target" "$root/fuzz/corpus/$target"; do
        [[ ! -d $folder ]] || "$program" "$folder" -runs=0 -artifact_prefix="$work/found/" \
            "${limits[@]}" >"$log" 2>&1 || { report "$target" "$log" || true; return 1; }
        [[ ! -d $folder ]] || cp "$folder"/* "$work/corpus"
    done
    "$program" "$work/corpus" -artifact_prefix="$work/found/" -max_total_time="$seconds" \
        -seed=1 "${limits[@]}" >"$log" 2>&1 || { report "$target" "$log" || true; return 1; }
    local runs coverage
    runs=$(grep -a -o 'executed_units: *[0-9]*' "$log" | grep -o '[0-9]*$')
    coverage=$(grep -a -o 'cov: [0-9]*' "$log" | tail -1 | grep -o '[0-9]*$')
    printf '%-14s %9s inputs, %6s branches\n' "$target" "$runs" "$coverage"
}

report() {
    echo "$1: FAILED" >&2
    grep -a -A3 -e '^limit:' -e 'ERROR: libFuzzer' -e 'Test unit written' "$2" | cut -c1-400 >&2
}

keep() {
    local target=$1 work=$output/fuzz/$1 file count=0 bytes=0
    rm -rf "$work/small" && mkdir -p "$work/small"
    GENRE_TRANSFER_FUZZ=$target "$program" -merge=1 "$work/small" "$work/corpus" "${limits[@]}" 2>/dev/null
    rm -rf "$root/fuzz/corpus/$target" && mkdir -p "$root/fuzz/corpus/$target"
    while read -r file; do
        bytes=$((bytes + $(stat -c %s "$file"))) count=$((count + 1))
        [[ $count -le $most_files && $bytes -le $most_bytes ]] || break
        cp "$file" "$root/fuzz/corpus/$target/"
    done < <(find "$work/small" -type f -size +0 -printf '%f\t%p\n' | sort | cut -f2)
}

failed=0 running=0
for target in "${targets[@]}"; do
    [[ $running -lt 2 ]] || { wait -n || failed=1 && running=$((running - 1)); }
    fuzz "$target" &
    running=$((running + 1))
done
while [[ $running -gt 0 ]]; do
    wait -n || failed=1
    running=$((running - 1))
done
if [[ $keep == true ]]; then
    for target in "${targets[@]}"; do keep "$target"; done
fi
exit $failed

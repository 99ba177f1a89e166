#!/usr/bin/env bash
# Every model on one split, and the report that compares them, from a data folder alone.
set -euo pipefail

usage() {
    cat <<TEXT
Usage: scripts/reproduce.sh --data DIR [--quick] [--seed N] [--runs DIR]

Trains the classical baselines, CNNs from scratch, a searched CNN and heads on pretrained
backbones, all on the split of the first run; benchmarks them in ort and tract; and writes
  docs/results.md with docs/figures/    tables, charts, discussion
  RUNS/report/report.html, report.pdf   the same, with pictures of the clips

  --data DIR   GTZAN (genres_original, images_original, features_*_sec.csv, as far as they
               are there) or any folder with one folder of recordings a genre
  --quick      a small search, default hyper-parameters, one seed: under an hour on 2 cores
  --seed N     seed of the split and of everything else [default: 0]
  --runs DIR   where the runs go [default: runs/reproduce]

What is finished is not done again, so that an interrupted run goes on where it was.

Examples:
  scripts/reproduce.sh --data data/gtzan --quick
  scripts/reproduce.sh --data ~/music/genres
TEXT
}

fail() {
    echo "reproduce.sh: $*" >&2
    exit 2
}

data="" quick="" seed=0 runs=""
while (($#)); do
    case $1 in
        --data | --seed | --runs)
            (($# > 1)) || fail "$1 needs a value; see --help"
            printf -v "${1#--}" %s "$2"
            shift 2
            ;;
        --quick) quick=--quick && shift ;;
        -h | --help) usage && exit ;;
        *) fail "unknown argument $1; see --help" ;;
    esac
done
[[ -n $data ]] || fail "give --data DIR; see --help"
[[ -d $data ]] || fail "--data $data: no such folder"
[[ $seed =~ ^[0-9]+$ ]] || fail "--seed $seed: give a number"
data=$(realpath "$data")
[[ -z $runs ]] || runs=$(realpath -m "$runs")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
runs=${runs:-$PWD/runs/reproduce}
mkdir -p "$runs"

scripts/setup.sh
cargo build --release --bins
# The report needs neither burn nor tract; built alone, the PDF's typesetter leaves their
# builds as they are.
cargo build --release --no-default-features --features pdf --bin report
bin=target/release

# Runs the program, unless the run it is to leave is there already.
train() {
    local run=$1
    shift
    if [[ -f $runs/$run/metrics.json ]]; then
        echo "$run: already there"
    else
        echo "== $run"
        "$@"
    fi
}

# The first run draws the split that all others follow.
cnn=("$bin/train-cnn" --data "$data" --seed "$seed" --runs "$runs")
train cnn-simple "${cnn[@]}" --preset simple --name cnn-simple --force
split=(--split "$runs/cnn-simple/split.json")

baseline() {
    local name=$1
    shift
    # mlp is the last of them.
    train "$name-mlp" "$bin/baseline" --data "$data" --model all --seed "$seed" \
        --runs "$runs" --name "$name" --force $quick "$@"
}
if [[ -f $data/features_30_sec.csv ]]; then
    baseline features-30 --features 30 "${split[@]}"
else
    [[ -f $runs/features.csv ]] || "$bin/extract-features" "$data" --output "$runs/features.csv"
    baseline features --features "$runs/features.csv" "${split[@]}"
fi
if [[ -f $data/features_3_sec.csv ]]; then
    baseline features-3 --features 3 "${split[@]}"
    baseline features-3-leaky --features 3 --leaky
fi

if [[ -n $(find "$data" -iregex '.*\.\(wav\|mp3\|flac\|ogg\|m4a\|aac\|aiff\)' -print -quit) ]]; then
    for backbone in yamnet musicnn; do
        for n in $(seq 0 $([[ -n $quick ]] && echo 0 || echo 2)); do
            train "$backbone-$n" "$bin/finetune" --data "$data" --backbone "$backbone" \
                --seed $((seed + n)) --folds 5 --runs "$runs" --name "$backbone-$n" --force \
                "${split[@]}"
        done
    done
else
    echo "no recordings in $data: the pretrained backbones are left out"
fi

if [[ -f $runs/cnn-search/config.json && ! -f $runs/cnn-search/metrics.json ]]; then
    "$bin/train-cnn" --resume "$runs/cnn-search"
else
    train cnn-search "${cnn[@]}" --search $quick "${split[@]}" --name cnn-search
fi

models=()
for metrics in "$runs"/*/metrics.json; do
    models+=("$(dirname "$metrics")")
done
"$bin/bench-runtimes" "${models[@]}" --runtimes ort,tract --batch 1 --threads 1 $quick \
    --output "$runs/bench" > "$runs/bench.txt"

"$bin/report" "$runs" --bench "$runs/bench/bench.json" --data "$data" --output "$runs/report"
mkdir -p docs
rm -rf docs/figures
cp -r "$runs/report/results.md" "$runs/report/figures" docs/
echo "written: docs/results.md"

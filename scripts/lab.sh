#!/usr/bin/env bash
# The whole lab on one split: every kind of model, one test each, and the report to hand in.
set -euo pipefail

usage() {
    cat <<TEXT
Usage: scripts/lab.sh [--data DIR] [--quick] [--author NAME]... [--link URL] [--title TEXT]
                      [--seed N] [--runs DIR]

Trains the classical baselines, CNNs from scratch, a searched CNN and heads on pretrained
backbones, all on the split of the first run; benchmarks them in ort and tract; and writes
RUNS/report: report.html, report.pdf, results.md with its figures.

  --data DIR     GTZAN (genres_original, images_original, features_*_sec.csv, as far as they
                 are there) or any folder with one folder of recordings a genre
                 [default: data/gtzan if it is there, else a small set of synthesized clips]
  --quick        a rehearsal: nobody looks at the test part, the validation part is tested in its
                 place; a small search, default hyper-parameters, one seed
  --author NAME  who hands it in; may be given several times
  --link URL     an address to stand below the authors
  --title TEXT   [default: Music genres: models compared]; of a rehearsal it says that it is one
  --seed N       seed of the split and of everything else [default: 0]
  --runs DIR     where the runs go [default: runs/lab, of a rehearsal runs/rehearsal]

What is finished is not done again, so that an interrupted run goes on where it was. No file
under version control is written. For Linux.

Examples:
  scripts/lab.sh --data data/gtzan --quick
  scripts/lab.sh --data data/gtzan --author "Ada Lovelace" --link https://example.org/lab
TEXT
}

fail() {
    echo "lab.sh: $*" >&2
    exit 2
}

data="" quick="" seed=0 runs="" link="" title="" authors=()
while (($#)); do
    case $1 in
        --data | --seed | --runs | --link | --title)
            [[ -n ${2:-} && $2 != --* ]] || fail "$1 needs a value; see --help"
            printf -v "${1#--}" %s "$2"
            shift 2
            ;;
        --author)
            [[ -n ${2:-} && $2 != --* ]] || fail "$1 needs a value; see --help"
            authors+=(--author "$2")
            shift 2
            ;;
        --quick) quick=--quick && shift ;;
        -h | --help) usage && exit ;;
        *) fail "unknown argument $1; see --help" ;;
    esac
done
[[ -z $data || -d $data ]] || fail "--data $data: no such folder"
[[ $seed =~ ^[0-9]{1,18}$ ]] || fail "--seed $seed: give a number"
seed=$((10#$seed))
[[ -z $data ]] || data=$(realpath -- "$data")
[[ -z $runs ]] || runs=$(realpath -m -- "$runs")
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.."
runs=${runs:-$PWD/runs/$([[ -n $quick ]] && echo rehearsal || echo lab)}
[[ -n $data || ! -d data/gtzan ]] || data=$PWD/data/gtzan

# What is finished is taken again only for the same question.
asked="data ${data:-synthesized}, seed $seed${quick:+, a rehearsal}"
if [[ -f $runs/lab.txt && $(< "$runs/lab.txt") != "$asked" ]]; then
    fail "$runs holds runs of: $(< "$runs/lab.txt"); for $asked give another --runs, or remove it"
fi
[[ -f $runs/lab.txt || ! -e $runs || -d $runs && -z $(ls -A "$runs") ]] ||
    fail "--runs $runs: something else lies there; give another folder"

scripts/setup.sh
cargo build --release --bins
mkdir -p "$runs"
echo "$asked" > "$runs/lab.txt"
bin=$(realpath -m "${CARGO_TARGET_DIR:-target}")/release

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
cnn=("$bin/train-cnn" ${data:+--data "$data"} --seed "$seed" --runs "$runs")
drawn=(--split "$([[ -n $quick ]] && echo rehearsal || echo stratified)")
train cnn-simple "${cnn[@]}" "${drawn[@]}" --preset simple --name cnn-simple --force
split=(--split "$runs/cnn-simple/split.json")
# It has made the synthesized clips where there is nothing else.
data=${data:-$PWD/data/demo}

baseline() {
    local name=$1
    shift
    # mlp is the last of them.
    train "$name-mlp" "$bin/baseline" --data "$data" --model all --seed "$seed" \
        --runs "$runs" --name "$name" --force $quick "$@"
}
recordings=$(find -L "$data" -type f -iregex \
    '.*\.\(wav\|mp3\|mp2\|flac\|ogg\|oga\|opus\|m4a\|m4b\|mp4\|aac\|aiff?\|aifc\|au\|caf\|w64\|webm\|mka\|wma\|wv\|ape\)' \
    -print -quit)
if [[ -f $data/features_30_sec.csv ]]; then
    baseline features-30 --features 30 "${split[@]}"
elif [[ -z $recordings ]]; then
    echo "no table of features and no recordings in $data: the classical models are left out"
else
    [[ -f $runs/features.csv ]] || "$bin/extract-features" "$data" --output "$runs/features.csv"
    baseline features --features "$runs/features.csv" "${split[@]}"
fi
if [[ -f $data/features_3_sec.csv ]]; then
    baseline features-3 --features 3 "${split[@]}"
    # Its windows are split anew, so a rehearsal would look at some of the test songs.
    [[ -n $quick ]] || baseline features-3-leaky --features 3 --leaky
fi

if [[ -n $recordings ]]; then
    for backbone in yamnet musicnn; do
        for n in $(seq 0 $([[ -n $quick ]] && echo 0 || echo 2)); do
            # Folds test every track, which a rehearsal must not.
            folds=(--folds 5)
            [[ -z $quick ]] || folds=()
            train "$backbone-$n" "$bin/finetune" --data "$data" --backbone "$backbone" \
                --seed $((seed + n)) "${folds[@]}" --runs "$runs" --name "$backbone-$n" --force \
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

if [[ -n $quick ]]; then
    title="${title:-Music genres}: a rehearsal, tested on validation tracks"
fi
page=("${authors[@]}")
[[ -z $title ]] || page+=(--title "$title")
[[ -z $link ]] || page+=(--link "$link")
# What is handed in has a date; without authors the same runs give the same files.
((${#authors[@]} == 0)) || page+=(--date "$(date +%F)")
"$bin/report" "$runs" --bench "$runs/bench/bench.json" --data "$data" --output "$runs/report" "${page[@]}"

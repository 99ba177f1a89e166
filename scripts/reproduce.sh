#!/usr/bin/env bash
# The lab (scripts/lab.sh) for this repository's own page of results.
set -euo pipefail

usage() {
    cat <<TEXT
Usage: scripts/reproduce.sh --data DIR [--seed N] [--runs DIR]

Does what scripts/lab.sh does, in runs/reproduce unless --runs says otherwise, and then puts the
report in the place of docs/results.md and docs/figures, which are under version control. Without
--quick: a rehearsal is no result.

Example:
  scripts/reproduce.sh --data data/gtzan
TEXT
}

fail() {
    echo "reproduce.sh: $*; see --help" >&2
    exit 2
}

data="" seed=0 runs=""
while (($#)); do
    case $1 in
        --data | --seed | --runs)
            (($# > 1)) || fail "$1 needs a value"
            printf -v "${1#--}" %s "$2"
            shift 2
            ;;
        -h | --help) usage && exit ;;
        *) fail "unknown argument $1" ;;
    esac
done
[[ -n $data ]] || fail "give --data DIR"

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
runs=$(realpath -m "${runs:-$root/runs/reproduce}")
"$root/scripts/lab.sh" --data "$data" --seed "$seed" --runs "$runs"
[[ -f $runs/report/results.md && -d $runs/report/figures ]] || fail "$runs/report is not complete"
rm -rf "$root/docs/figures"
cp -r "$runs/report/results.md" "$runs/report/figures" "$root/docs/"
echo "written: docs/results.md"

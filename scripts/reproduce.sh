#!/usr/bin/env bash
# The lab (scripts/lab.sh) for this repository's own page of results.
set -euo pipefail

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    cat <<TEXT
Usage: scripts/reproduce.sh --data DIR [options of scripts/lab.sh]

Does what scripts/lab.sh does, in runs/reproduce unless --runs says otherwise, and then puts the
report in the place of docs/results.md and docs/figures, which are under version control.

Example:
  scripts/reproduce.sh --data data/gtzan
TEXT
    exit 0
fi

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
runs=$root/runs/reproduce
arguments=("$@")
for ((n = 0; n < $#; n++)); do
    [[ ${arguments[n]} != --runs ]] || runs=$(realpath -m "${arguments[n + 1]:-}")
done
"$root/scripts/lab.sh" --runs "$runs" "$@"
rm -rf "$root/docs/figures"
cp -r "$runs/report/results.md" "$runs/report/figures" "$root/docs/"
echo "written: docs/results.md"

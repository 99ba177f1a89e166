#!/usr/bin/env python3
"""Two tables of features, column by column: correlation and relative differences.

Usage: compare-features.py OURS.csv THEIRS.csv

Compares the rows whose file names (without folders) are in both. Needs numpy.
Exits with 1 if a column falls short: correlation 0.99 and a median relative difference
of 2 % at most; 0.9 for harmony and perceptr; for the tempo, 4 % or an octave in 80 % of
the rows.

Example:
  target/release/extract-features data/gtzan --output features.csv
  scripts/compare-features.py features.csv data/gtzan/features_30_sec.csv
"""

import csv
import sys
from pathlib import PurePosixPath

import numpy as np


def read(path: str) -> dict[str, dict[str, str]]:
    with open(path, newline="") as file:
        return {PurePosixPath(row["filename"]).name: row for row in csv.DictReader(file)}


def same_tempo(ours: np.ndarray, theirs: np.ndarray) -> float:
    ratio = ours / theirs
    return np.any([abs(ratio / octave - 1) <= 0.04 for octave in (0.5, 1, 2)], axis=0).mean()


def main() -> None:
    if len(sys.argv) != 3 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    ours, theirs = map(read, sys.argv[1:])
    names = sorted(ours.keys() & theirs.keys())
    columns = [c for c in next(iter(theirs.values())) if c not in ("filename", "length", "label")]
    print(f"{len(names)} rows in both\n{'column':24} {'correlation':>11} {'median':>8} {'largest':>8}")
    short = []
    for column in columns:
        a, b = (np.array([float(t[n][column]) for n in names]) for t in (ours, theirs))
        correlation = np.corrcoef(a, b)[0, 1]
        relative = abs(a - b) / np.maximum(abs(b), 1e-12)
        print(f"{column:24} {correlation:11.6f} {np.median(relative):8.1e} {relative.max():8.1e}")
        if column == "tempo":
            share = same_tempo(a, b)
            print(f"{'':24} within 4 % or an octave: {share:.0%} of the rows")
            good = share >= 0.8
        elif column.startswith(("harmony", "perceptr")):
            good = correlation >= 0.9
        else:
            good = correlation >= 0.99 and np.median(relative) <= 0.02
        short += [] if good else [column]
    sys.exit(f"fall short: {', '.join(short)}" if short else 0)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Shares of the branches of each reader that fuzzing takes.

Usage: scripts/fuzz-coverage.py PROGRAM CORPORA

PROGRAM is target/release/any, CORPORA the folder target/fuzz that scripts/fuzz.sh has left. Every
input in it is read once more. A branch belongs to the function in whose code it stands, so a small
function that was inlined counts for those that call it.
"""

import collections
import os
import re
import subprocess
import sys
import tempfile


def symbols(program):
    """Addresses and names of the program's functions, sorted."""
    text = subprocess.run(["nm", "-C", program], capture_output=True, text=True, check=True).stdout
    lines = (line.split(" ", 2) for line in text.splitlines())
    return sorted((int(at, 16), name) for at, kind, name in lines if at and kind in "tT")


def module(name):
    """The crate, or the module of our own, that a function is of."""
    name = re.sub(r"^<+(?:&mut |&|\*const |\*mut )?", "", name)
    name = re.search(r"(genre_transfer::[a-z_]+|\b[a-z_0-9]+)::", name)
    return name.group(1) if name else "other"


def main():
    program, corpora = map(os.path.abspath, sys.argv[1:3])
    taken = {}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "branches")
        for target in sorted(os.listdir(corpora)):
            corpus = os.path.join(corpora, target, "corpus")
            if not os.path.isdir(corpus):
                continue
            environment = dict(os.environ, GENRE_TRANSFER_FUZZ=target, GENRE_TRANSFER_FUZZ_COVERAGE=path)
            subprocess.run([program, corpus, "-runs=0"], env=environment, capture_output=True, check=True)
            with open(path) as lines:
                for line in lines:
                    at, was = line.split()
                    taken[int(at, 16)] = taken.get(int(at, 16), False) or was == "1"
    names, counts, at = symbols(program), collections.Counter(), 0
    seen = collections.Counter()
    for place in sorted(taken):
        while at + 1 < len(names) and names[at + 1][0] <= place:
            at += 1
        name = module(names[at][1])
        counts[name] += 1
        seen[name] += taken[place]
    for name, count in sorted(counts.items()):
        if count >= 100:
            print(f"| `{name}` | {count} | {100 * seen[name] / count:.0f} % |")
    total = sum(counts.values())
    print(f"| all | {total} | {100 * sum(seen.values()) / total:.0f} % |")


main()

#!/usr/bin/env python3
"""How long tract and burn take beside ONNX Runtime for the same file: their p50 over its.

Usage: compare-runtimes.py MODEL.onnx|RUN... [--rounds N] [--runtimes ort,tract,burn]
                           [--batch 1,8] [--threads 1,2] [--seconds S] [--isa LIST]

Runs `bench-runtimes` N times (5 unless given), all runtimes in each, and prints the median of the
N ratios, the least and the most of them, and the largest difference of any output, as Markdown.
--isa sets TRACT_CPU_ISA for all of them, such as -avx512f, which takes vectors of sixteen from
tract (not from ONNX Runtime). Needs `cargo build --release` and an idle machine.

Examples:
  scripts/compare-runtimes.py models/yamnet.onnx models/musicnn_msd_vgg.onnx
  scripts/compare-runtimes.py runs/cnn --rounds 3 --batch 1 --threads 1
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

PROGRAM = Path("target/release/bench-runtimes")


def measure(models: list, options: argparse.Namespace) -> list:
    with tempfile.TemporaryDirectory() as folder:
        command = [str(PROGRAM), *models, "--runtimes", options.runtimes, "--batch", options.batch,
                   "--threads", options.threads, "--seconds", str(options.seconds),
                   "--output", folder, "--json"]
        environment = dict(os.environ)
        if options.isa:
            environment["TRACT_CPU_ISA"] = options.isa
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout)["rows"]


def case(row: dict) -> tuple:
    return row["model"], row["threads"], row["batch"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runtimes", default="ort,tract,burn")
    parser.add_argument("--batch", default="1,8")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--isa", default="")
    options = parser.parse_args()
    if "ort" not in options.runtimes.split(","):
        parser.error("--runtimes must have ort, which the others are compared with")
    if not PROGRAM.exists():
        sys.exit(f"there is no {PROGRAM}: cargo build --release")
    ratios, times, off = defaultdict(list), defaultdict(list), defaultdict(float)
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
        rows = measure(options.models, options)
        ort = {case(row): row["latency"]["p50_ms"] for row in rows
               if row["runtime"] == "ort" and row.get("latency")}
        for row in rows:
            if not row.get("latency"):
                print(f"not measured: {row['runtime']} with {row['model']}: {row['reason']}", file=sys.stderr)
                continue
            key = (*case(row), row["runtime"])
            times[key].append(row["latency"]["p50_ms"])
            if case(row) in ort:
                ratios[key].append(row["latency"]["p50_ms"] / ort[case(row)])
            off[key] = max(off[key], row.get("max_difference") or 0)
    print("| model | threads | batch | runtime | p50 | of ONNX Runtime's | largest difference |")
    print("|---|--:|--:|---|--:|--:|--:|")
    for key in sorted(ratios):
        model, threads, batch, runtime = key
        if runtime == "ort":
            continue
        found = ratios[key]
        print(f"| {model} | {threads} | {batch} | {runtime} | {statistics.median(times[key]):.2f} ms "
              f"| **{statistics.median(found):.2f}** ({min(found):.2f}-{max(found):.2f}) "
              f"| {off[key]:.0e} |")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""How much faster more threads are, and what of the work is done by one alone, as Markdown.

Usage: measure-threads.py DATA [--threads 1,2] [--rounds N] [--only NAME,...]

DATA is GTZAN as Kaggle has it: genres_original (recordings), images_original (pictures) and
features_30_sec.csv. Each job runs N times (3 unless given) with each number of threads, in turn;
the table has the median of its time, how many times as fast the most threads are as one, the share
of the work that only one of them did, if the rest was shared evenly (Amdahl 1967), and how many
times as fast 16 and 64 threads would then be at most. Some ten minutes on 2 cores, which must be
idle. Needs `cargo build --release`.

Example:
  scripts/measure-threads.py data/gtzan --threads 1,2,4,8,16
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAMS = Path("target/release").resolve()
YAMNET = Path("models/yamnet.onnx").resolve()


def run(threads: int, program: str, *arguments, folder=None) -> tuple:
    """Seconds, and what the program says; caches lie in the folder it runs in."""
    command = [str(PROGRAMS / program), *map(str, arguments)]
    environment = {**os.environ, "RAYON_NUM_THREADS": str(threads)}
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return time.perf_counter() - begun, done.stdout


def seconds_an_example(speed: dict) -> float:
    return speed["seconds"] / speed["examples"]


class Jobs:
    """Each gives the seconds that a job took, of whatever: only ratios are looked at."""

    def __init__(self, data: Path, folder: Path):
        self.data, self.folder, self.count = data, folder, 0
        self.do(2, "finetune", "--data", data, "--runs", folder, "--name", "model")
        self.model = folder / "model"

    def do(self, threads: int, program: str, *arguments) -> tuple:
        return run(threads, program, *arguments, folder=self.folder)

    def fresh(self) -> Path:
        self.count += 1
        return self.folder / f"run{self.count}"

    def classify(self, threads: int) -> float:
        """`classify`, 100 clips, tract"""
        return self.do(threads, "classify", self.data / "genres_original", "--model", self.model / "model.onnx",
                       "--runtime", "tract", "--threads", threads, "--json")[0]

    def frozen(self, threads: int) -> float:
        """`finetune`, 100 clips, nothing cached"""
        with tempfile.TemporaryDirectory() as empty:
            return run(threads, "finetune", "--data", self.data, "--runs", empty, folder=empty)[0]

    def unfrozen(self, threads: int) -> float:
        """`finetune --unfreeze all`, YAMNet, steps of 32: a patch"""
        said = self.do(threads, "finetune", "--data", self.data, "--runs", self.fresh(), "--unfreeze", "all",
                       "--deep-epochs", 2, "--deep-batch", 32, "--epochs", 1, "--json")[1]
        return seconds_an_example(json.loads(said)["metrics"]["unfrozen_speed"])

    def cnn(self, threads: int) -> float:
        """`train-cnn`, `searched`, steps of 32: a patch"""
        said = self.do(threads, "train-cnn", "--data", self.data, "--validate", "--epochs", 2, "--json")[1]
        return seconds_an_example(json.loads(said)["members"][0]["speed"])

    def baselines(self, threads: int) -> float:
        """`baseline`, six models on 1000 rows"""
        return self.do(threads, "baseline", "--data", self.data, "--runs", self.fresh())[0]

    def patch(self, threads: int, batch: int) -> float:
        said = self.do(threads, "bench-runtimes", YAMNET, "--runtimes", "tract", "--batch", batch, "--threads", threads,
                       "--seconds", 2, "--output", self.fresh(), "--json")[1]
        return json.loads(said)["rows"][0]["latency"]["p50_ms"] / 1000

    def one_patch(self, threads: int) -> float:
        """tract, YAMNet, batch 1"""
        return self.patch(threads, 1)

    def eight_patches(self, threads: int) -> float:
        """tract, YAMNet, batch 8"""
        return self.patch(threads, 8)


NAMES = ["classify", "frozen", "unfrozen", "cnn", "baselines", "one_patch", "eight_patches"]


def counts(text: str) -> list:
    threads = [int(count) for count in text.split(",")]
    if threads[0] != 1 or len(threads) < 2 or min(threads) < 1:
        raise ValueError
    return threads


def names(text: str) -> list:
    chosen = text.split(",")
    if not set(chosen) <= set(NAMES):
        raise ValueError
    return chosen


def duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.2f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--threads", type=counts, default="1,2", help="numbers of threads, 1 first")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", type=names, default=",".join(NAMES), help=f"some of {', '.join(NAMES)}")
    options = parser.parse_args()
    threads = options.threads
    with tempfile.TemporaryDirectory() as folder:
        jobs = Jobs(options.data.resolve(), Path(folder))
        print("| what | " + " | ".join(map(str, threads)) + " | times as fast | share of one alone | at most with 16 | with 64 |")
        print("|---|" + "--:|" * (len(threads) + 4))
        for name in options.only:
            job = getattr(jobs, name)
            found = {count: [] for count in threads}
            for _ in range(options.rounds):
                for count in threads:
                    found[count].append(job(count))
            median = [statistics.median(found[count]) for count in threads]
            most, faster = threads[-1], median[0] / median[-1]
            alone = max((most / faster - 1) / (most - 1), 0)
            bounds = [f"{1 / (alone + (1 - alone) / count):.1f}x" for count in (16, 64)]
            print(f"| {job.__doc__} | " + " | ".join(map(duration, median))
                  + f" | {faster:.2f} | {100 * alone:.0f} % | " + " | ".join(bounds) + " |", flush=True)


if __name__ == "__main__":
    main()

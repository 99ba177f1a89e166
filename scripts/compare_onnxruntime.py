"""The measuring half of compare-onnxruntime.sh, which see.

Our side is the child process of bench-runtimes (bench-runtimes --case), spoken to in the
JSON lines of src/bench/case.rs; the Python side runs in this process. Both take turns of
0.2 seconds, so that whatever else the machine does meets both alike.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import numpy as np
import onnxruntime

TURN = 0.2  # seconds
ALLOWED = 1.10


class Ours:
    """The ort runtime of this crate, in the benchmark's child process."""

    def __init__(self, program, model, batch, threads):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.child = subprocess.Popen([program, "--case"], **pipes)
        self.ask({"model": model, "runtime": "ort", "device": "cpu", "threads": threads,
                  "batch": batch, "seed": 0})

    def ask(self, order):
        self.child.stdin.write(json.dumps(order) + "\n")
        self.child.stdin.flush()
        answer = json.loads(self.child.stdout.readline() or '{"Failed": "the child died"}')
        if "Failed" in answer:
            sys.exit(f"ours: {answer['Failed']}")
        return answer

    def run(self, iterations):
        return self.ask({"Run": {"iterations": iterations}})["Ran"]["seconds"]

    def close(self):
        self.child.stdin.close()
        self.child.wait()


class Python:
    """onnxruntime, with the options that src/runtime/ort.rs sets."""

    def __init__(self, model, batch, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        entry = self.session.get_inputs()[0]
        patch = np.random.default_rng(0).uniform(-1, 1, (batch, *entry.shape[1:]))
        self.feed = {entry.name: patch.astype(np.float32)}

    def run(self, iterations):
        seconds = []
        for _ in range(iterations):
            start = time.perf_counter()
            self.session.run(None, self.feed)
            seconds.append(time.perf_counter() - start)
        return seconds


def compare(program, model, batch, threads, limit):
    """Median seconds of ours and of Python's."""
    ours, python = Ours(program, model, batch, threads), Python(model, batch, threads)
    per_turn = max(1, int(TURN / statistics.median(ours.run(5) + python.run(5))))
    sides = [(ours, []), (python, [])]
    for side, _ in sides:
        side.run(per_turn)
    turns = max(4, int(limit / TURN / 2))
    for turn in range(turns):
        # Who goes first alternates.
        for side, seconds in sides if turn % 2 == 0 else reversed(sides):
            seconds += side.run(per_turn)
    ours.close()
    return [statistics.median(seconds) for _, seconds in sides]


def numbers(text):
    return [int(part) for part in text.split(",")]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("model", nargs="?")
    parser.add_argument("--default-model")
    parser.add_argument("--batch", type=numbers, default=[1, 8, 32])
    parser.add_argument("--threads", type=numbers, default=sorted({1, os.cpu_count() or 1}))
    parser.add_argument("--seconds", type=float, default=8, help="for each pair")
    arguments = parser.parse_args()
    model = os.path.abspath(arguments.model or arguments.default_model)
    if not os.path.isfile(model):
        sys.exit(f"{model}: no such file")
    print(f"{model}, onnxruntime {onnxruntime.__version__}")
    print("threads  batch   ours p50   Python p50   ours / Python")
    worst = 0.0
    for threads in arguments.threads:
        for batch in arguments.batch:
            ours, python = compare(arguments.program, model, batch, threads, arguments.seconds)
            ratio = ours / python
            worst = max(worst, ratio)
            print(f"{threads:7} {batch:6} {ours * 1e3:7.2f} ms {python * 1e3:9.2f} ms {ratio:15.3f}",
                  flush=True)
    if worst > ALLOWED:
        sys.exit(f"ours is up to {worst:.2f} times as slow; allowed is {ALLOWED:.2f}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""What docs/trust.md says of how far answers can be trusted, measured: its tables, as Markdown.

Usage: measure-trust.py DATA [--splits N] [--seeds N] [--backbone FILE] [--front-end NAME]

DATA is GTZAN as Kaggle has it: genres_original (recordings) and features_30_sec.csv. Four things
are measured with the release build:
  1. `baseline --model logistic --quick` on N random splits of the table (100 unless given)
  2. `finetune` on N splits of the recordings (10 unless given)
  3. each genre left out of what both learn from, and then asked for
  4. white noise, a sine, mains hum, a buzz like a voice's, and silence, asked of the first run of 2
Intervals are Clopper and Pearson's, 95 %. Some ten minutes on 2 cores. Needs numpy, scipy and
onnxruntime (pip install numpy scipy onnxruntime) and `cargo build --release`.

Example:
  scripts/measure-trust.py data/gtzan
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

import numpy as np
import onnxruntime
from scipy.stats import binomtest

PROGRAMS = Path("target/release")
RATE = 16000


def run(program: str, *arguments) -> str:
    command = [str(PROGRAMS / program), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout


def baseline(table: Path, runs: Path, seed: int) -> Path:
    run("baseline", "--features", table, "--model", "logistic", "--quick", "--seed", seed,
        "--runs", runs, "--name", f"s{seed}")
    return runs / f"s{seed}-logistic"


def tested(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text())["calibration"]


def share(part: int, whole: int) -> str:
    low, high = binomtest(int(part), int(whole)).proportion_ci(method="exact")
    return f"{part} of {whole} ({100 * part / whole:.1f} %, {100 * low:.1f} to {100 * high:.1f} %)"


def summary(what: str, found: list) -> None:
    """What many test parts come to."""
    covered = np.array([c["tested"]["covered"] / c["tested"]["tracks"] for c in found])
    total = {key: sum(c["tested"][key] or 0 for c in found) for key in found[0]["tested"]}
    before, after = (100 * np.mean([c[key]["error"] for c in found]) for key in ("before", "after"))
    print(f"\n{what}: {len(found)} splits, {found[0]['tested']['tracks']} to test in each\n")
    print("| | |\n|---|--:|")
    print(f"| in sets that promise 90 % | {100 * covered.mean():.1f} % on average, {100 * covered.min():.1f} % to "
          f"{100 * covered.max():.1f} %; {share(total['covered'], total['tracks'])} |")
    print(f"| genres in a set | {total['in_sets'] / total['tracks']:.2f} |")
    print(f"| known ones refused as outsiders | {share(total['refused'], total['tracks'])} |")
    print(f"| calibration error before, after | {before:.1f} %, {after:.1f} % |", flush=True)


def without(table: Path, genre: str, at: Path) -> Path:
    rows = list(csv.reader(table.open(newline="", encoding="utf-8-sig")))
    with at.open("w", newline="") as file:
        csv.writer(file).writerows(row for row in rows if row[-1] != genre)
    return at


def refused_of_table(model: Path, table: Path, genre: str) -> tuple:
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    names, above = json.loads(metadata["features"]), json.loads(metadata["trust"])["refuse_above"]
    rows = csv.DictReader(table.open(newline="", encoding="utf-8-sig"))
    values = [[float(row[name]) for name in names] for row in rows if row["label"] == genre]
    (outsider,) = session.run(["outsider"], {"features": np.array(values, np.float32)})
    return int((outsider[:, 0] > above).sum()), len(values)


def refused_of_recordings(model: Path, folder: Path) -> tuple:
    lines = run("classify", "--json", "--model", model, folder).splitlines()
    return sum(json.loads(line)["genre"] == "unknown" for line in lines), len(lines)


def left_out(data: Path, table: Path, work: Path, finetune) -> None:
    """Each genre, of models that have not learned from it."""
    genres = sorted(folder.name for folder in (data / "genres_original").iterdir() if folder.is_dir())
    sums = np.zeros((2, 4), int)
    print("\none genre left out\n\n| genre | recordings refused | songs of the table refused |\n|---|--:|--:|")
    for seed, genre in enumerate(genres, 1):
        known = work / f"without-{genre}"
        known.mkdir()
        for other in genres:
            if other != genre:
                (known / other).symlink_to((data / "genres_original" / other).resolve())
        folder = finetune(known, work / f"runs-{genre}", seed)
        sound = refused_of_recordings(folder, data / "genres_original" / genre)
        lesser = baseline(without(table, genre, work / f"{genre}.csv"), work / f"table-{genre}", seed)
        rows = refused_of_table(lesser / "model.onnx", table, genre)
        for row, refused, run_folder in ((0, sound, folder), (1, rows, lesser)):
            found = tested(run_folder)["tested"]
            sums[row] += [*refused, found["refused"] or 0, found["tracks"]]
        print(f"| {genre} | {sound[0]} of {sound[1]} | {rows[0]} of {rows[1]} |", flush=True)
    print("\n| | outsiders refused | known ones refused |\n|---|--:|--:|")
    for what, (out, of, known, among) in zip(("recordings", "the table"), sums):
        print(f"| {what} | {share(out, of)} | {share(known, among)} |", flush=True)


def sounds(folder: Path) -> None:
    """Ten seconds each of what is no music."""
    folder.mkdir()
    time = np.arange(10 * RATE) / RATE
    tones = lambda pitch, count: sum(np.sin(2 * np.pi * pitch * n * time) / n for n in range(1, count + 1))
    voice = tones(120, 30) * (0.5 + 0.5 * np.sin(2 * np.pi * 4 * time))
    kinds = {
        "noise": np.random.default_rng(0).normal(size=len(time)),
        "sine": np.sin(2 * np.pi * 440 * time),
        "hum": tones(50, 8),
        "voice": voice,
        "silence": np.zeros(len(time)),
    }
    for name, samples in kinds.items():
        loudest = np.abs(samples).max() or 1.0
        with wave.open(str(folder / f"{name}.wav"), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            file.writeframes((samples / loudest * 16000).astype("<i2").tobytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--splits", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--backbone", type=Path, default=Path("models/yamnet.onnx"))
    parser.add_argument("--front-end", default="yamnet")
    options = parser.parse_args()
    table = options.data / "features_30_sec.csv"

    def finetune(data: Path, runs: Path, seed: int) -> Path:
        run("finetune", "--data", data, "--backbone", options.backbone, "--front-end", options.front_end,
            "--seed", seed, "--runs", runs, "--name", f"s{seed}")
        return runs / f"s{seed}"

    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        tables = [baseline(table, work / "table", seed) for seed in range(options.splits)]
        summary("the table, logistic regression", [tested(folder) for folder in tables])
        heads = [finetune(options.data / "genres_original", work / "heads", seed)
                 for seed in range(1, options.seeds + 1)]
        summary(f"recordings, frozen {options.front_end}", [tested(folder) for folder in heads])
        left_out(options.data, table, work, finetune)
        sounds(work / "sounds")
        print("\n| sound | answer | outsider |\n|---|---|--:|")
        for line in run("classify", "--json", "--model", heads[0], work / "sounds").splitlines():
            said = json.loads(line)
            print(f"| {Path(said['file']).stem} | {said['genre']} | {said.get('outsider') or '-'} |")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Our heads against scikit-learn's logistic regression: same embeddings, same folds.

Usage: compare-scikit-learn.py DATA [BACKBONE] [SEEDS]

Runs `finetune --folds 5` for each seed, reads the cached embeddings and the folds it
wrote, and fits StandardScaler + LogisticRegression (C = 1) on the very same patches.
A track is the mean of its patches' probabilities in both. Needs numpy and scikit-learn
(pip install numpy scikit-learn) and a release build.

Example:
  scripts/compare-scikit-learn.py data/gtzan yamnet 5
"""

import hashlib
import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def embeddings(cache: Path, audio: Path) -> np.ndarray:
    """One cache entry: 32 bytes of digest, the row length as u64, then float32 rows."""
    entry = (cache / hashlib.sha256(audio.read_bytes()).hexdigest()).read_bytes()
    features = int.from_bytes(entry[32:40], "little")
    return np.frombuffer(entry[40:], "<f4").reshape(-1, features)


def finetune(data: str, backbone: str, seed: int, runs: str) -> Path:
    command = ["target/release/finetune", "--data", data, "--backbone", backbone]
    command += ["--seed", str(seed), "--folds", "5", "--runs", runs, "--json"]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return Path(json.loads(result.stdout)["run"])


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    data, backbone, seeds = sys.argv[1], *(sys.argv[2:] + ["yamnet", "5"][len(sys.argv) - 2 :])
    root = Path(data) / "genres_original"
    root = root if root.is_dir() else Path(data)
    ours, theirs = [], []
    for seed in range(int(seeds)):
        with tempfile.TemporaryDirectory() as runs:
            run = finetune(data, backbone, seed, runs)
            folds = json.loads((run / "folds.json").read_text())
        caches = sorted(Path("data/cache/embeddings").glob(f"{backbone}-*"), key=lambda c: c.stat().st_mtime)
        tracks = {t["track"]: (embeddings(caches[-1], root / t["track"]), t["genre"]) for f in folds for t in f}
        right = 0
        for fold in folds:
            test = {t["track"] for t in fold}
            train = [rows for name, rows in tracks.items() if name not in test]
            x = np.concatenate([rows for rows, _ in train])
            y = np.concatenate([[genre] * len(rows) for rows, genre in train])
            model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(x, y)
            for name in test:
                rows, genre = tracks[name]
                right += model.classes_[model.predict_proba(rows).mean(0).argmax()] == genre
        ours.append(np.mean([t["genre"] == t["predicted"] for f in folds for t in f]))
        theirs.append(right / len(tracks))
        print(f"seed {seed}: ours {ours[-1]:.3f}, scikit-learn {theirs[-1]:.3f}", flush=True)
    print(f"{backbone}, mean of {seeds} seeds: ours {np.mean(ours):.3f}, scikit-learn {np.mean(theirs):.3f}")


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=UserWarning)
    main()

#!/usr/bin/env python3
"""Our heads against scikit-learn's logistic regression: same embeddings, same folds.

Usage: compare-scikit-learn.py DATA [BACKBONE[,BACKBONE...]] [SEEDS]

The folds are scikit-learn's: StratifiedKFold(5, shuffle=True, random_state=SEED) over the
tracks in the order of their names, for seeds 0, 1, ... For each it runs `finetune --folds`
with them and that seed, reads the cached embeddings, and fits StandardScaler +
LogisticRegression (C = 1) on the very same patches. A track is the mean of its patches'
probabilities, arithmetic or geometric: ours is the one that the validation part of each fold
chooses, of scikit-learn's both are shown. Needs numpy and scikit-learn (pip install numpy scikit-learn) and a
release build.

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
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def embeddings(cache: Path, audio: Path) -> np.ndarray:
    """One cache entry: 32 bytes of digest, the row length as u64, one for padding, float32 rows."""
    entry = (cache / hashlib.sha256(audio.read_bytes()).hexdigest()).read_bytes()
    features = int.from_bytes(entry[32:40], "little")
    return np.frombuffer(entry[41:], "<f4").reshape(-1, features)


def draw(names: list[str], seed: int) -> list[list[str]]:
    """Five folds of tracks such as "blues/blues.00000.wav"."""
    genres = [name.split("/")[0] for name in names]
    folds = StratifiedKFold(5, shuffle=True, random_state=seed).split(names, genres)
    return [[names[track] for track in test] for _, test in folds]


def ours(data: str, backbone: str, seed: int, folds: list[list[str]]) -> float:
    """Accuracy of our heads over the folds."""
    with tempfile.TemporaryDirectory() as runs:
        lists = Path(runs) / "lists.json"
        lists.write_text(json.dumps(folds))
        command = ["target/release/finetune", "--data", data, "--backbone", backbone]
        command += ["--seed", str(seed), "--folds", str(lists), "--runs", runs, "--json"]
        result = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        tested = json.loads((Path(json.loads(result.stdout)["run"]) / "folds.json").read_text())
    return np.mean([t["genre"] == t["predicted"] for fold in tested for t in fold])


def theirs(tracks: dict[str, np.ndarray], folds: list[list[str]]) -> np.ndarray:
    """Accuracy of scikit-learn over the folds, with the arithmetic and the geometric mean."""
    right = np.zeros(2)
    for test in folds:
        train = [name for name in tracks if name not in test]
        x = np.concatenate([tracks[name] for name in train])
        y = np.concatenate([[name.split("/")[0]] * len(tracks[name]) for name in train])
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(x, y)
        for name in test:
            patches = model.predict_proba(tracks[name])
            means = [patches.mean(0), np.log(patches + 1e-9).mean(0)]
            right += [model.classes_[mean.argmax()] == name.split("/")[0] for mean in means]
    return right / len(tracks)


def show(what: str, figures: tuple[float, ...]) -> None:
    """Prints accuracies: ours, and both of scikit-learn's."""
    found, arithmetic, geometric = figures
    print(f"{what}: ours {found:.3f}, scikit-learn {arithmetic:.3f}, geometric {geometric:.3f}", flush=True)


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    data, backbone, seeds = sys.argv[1], *(sys.argv[2:] + ["yamnet", "5"][len(sys.argv) - 2 :])
    root = Path(data) / "genres_original"
    root = root if root.is_dir() else Path(data)
    names = sorted(path.relative_to(root).as_posix() for path in root.glob("*/*") if path.is_file())
    # Fills the cache, from which files that cannot be read are missing.
    ours(data, backbone, 0, draw(names, 0))
    # Several side by side are called one+other.
    name = backbone.replace(",", "+")
    caches = Path("data/cache/embeddings").glob(f"{name}-*")
    cache = max(caches, key=lambda folder: folder.stat().st_mtime)
    tracks = {}
    for name in names:
        try:
            tracks[name] = embeddings(cache, root / name)
        except FileNotFoundError:
            print(f"left out: {name}", file=sys.stderr)
    figures = []
    for seed in range(int(seeds)):
        folds = draw(list(tracks), seed)
        found = ours(data, backbone, seed, folds)
        figures.append((found, *theirs(tracks, folds)))
        show(f"seed {seed}", figures[-1])
    show(f"{backbone}, mean of {seeds} seeds", np.mean(figures, axis=0))


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=UserWarning)
    main()

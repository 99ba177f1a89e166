#!/usr/bin/env python3
"""Our baselines against scikit-learn's: same rows, same splits, same hyper-parameters.

Usage: compare-baselines.py DATA [FEATURES] [SEEDS]

Runs `baseline --data DATA --features FEATURES` (30 unless given; 3 or a CSV file) for each
of SEEDS seeds (3 unless given), and fits scikit-learn's models to the same rows with the
hyper-parameters that were chosen. A song is the mean of its rows' probabilities in both.
Exits with 1 if, on average over the seeds, a model is more than two points apart.
Needs numpy and scikit-learn (pip install numpy scikit-learn) and a release build.

AdamW's decoupled weight decay has no counterpart in MLPClassifier; its L2 penalty has the
same weight here. All else is the same.

Example:
  scripts/compare-baselines.py data/gtzan 30 3
"""

import csv
import json
import re
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC


def counterpart(model: str, p: dict, seed: int):
    """scikit-learn's model with the hyper-parameters `p`."""
    match model:
        case "knn":
            return KNeighborsClassifier(p["neighbors"])
        case "logistic":
            return LogisticRegression(C=p["c"], max_iter=2000)
        case "svm":
            return SVC(C=p["c"], gamma=p["gamma"], probability=True, random_state=seed)
        case "forest":
            return RandomForestClassifier(p["trees"], max_features=p["features_per_split"], random_state=seed)
        case "boosting":
            return GradientBoostingClassifier(
                n_estimators=p["rounds"], max_depth=p["depth"], learning_rate=p["learning_rate"],
                criterion="squared_error", random_state=seed)
        case "mlp":
            return MLPClassifier((p["hidden"],), alpha=p["weight_decay"], batch_size=64, random_state=seed,
                                 learning_rate_init=1e-3, max_iter=p["epochs"], n_iter_no_change=p["epochs"])
    raise ValueError(model)


class Table:
    """Rows of a table of features, by song or by window."""

    def __init__(self, path: Path, windows: bool):
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
        columns = [c for c in rows[0] if c not in ("filename", "length", "label")]
        self.x = np.array([[float(row[c]) for c in columns] for row in rows])
        self.y = np.array([row["label"] for row in rows])
        ids = [row["filename"] if row["filename"].startswith(row["label"] + "/") else
               f"{row['label']}/{row['filename']}" for row in rows]
        songs = [re.sub(r"\.\d+(\.[^.]+)$", r"\1", i) for i in ids] if windows else ids
        self.songs = np.array(songs)

    def accuracy(self, model, split: dict) -> float:
        train = np.isin(self.songs, split["train"] + split["validation"])
        test = np.isin(self.songs, split["test"])
        fitted = make_pipeline(StandardScaler(), model).fit(self.x[train], self.y[train])
        probabilities = fitted.predict_proba(self.x[test])
        songs, truth = self.songs[test], self.y[test]
        means = {s: probabilities[songs == s].mean(0) for s in np.unique(songs)}
        right = [fitted.classes_[means[s].argmax()] == truth[songs == s][0] for s in means]
        return float(np.mean(right))


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    data, features, seeds = sys.argv[1], *(sys.argv[2:] + ["30", "3"][len(sys.argv) - 2 :])
    path = Path(data) / f"features_{features}_sec.csv" if features in ("30", "3") else Path(features)
    ours, theirs, table = {}, {}, None
    for seed in range(int(seeds)):
        with tempfile.TemporaryDirectory() as runs:
            command = ["target/release/baseline", "--data", data, "--features", features]
            command += ["--seed", str(seed), "--runs", runs, "--json"]
            found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
            for run in found:
                metrics = run["metrics"]
                table = table or Table(path, metrics["windows"])
                split = json.loads((Path(run["run"]) / "split.json").read_text())
                model, settings = metrics["model"], metrics["hyper_parameters"]
                ours.setdefault(model, []).append(metrics["test"]["tracks"]["accuracy"])
                theirs.setdefault(model, []).append(table.accuracy(counterpart(model, settings, seed), split))
                print(f"seed {seed} {model:9} ours {ours[model][-1]:.3f}  scikit-learn {theirs[model][-1]:.3f}"
                      f"  {settings}", flush=True)
    print(f"\nmean of {seeds} seeds")
    apart = []
    for model in ours:
        a, b = np.mean(ours[model]), np.mean(theirs[model])
        print(f"{model:9} ours {a:.3f}  scikit-learn {b:.3f}  {100 * (a - b):+.1f} points")
        apart += [model] if abs(a - b) > 0.02 else []
    sys.exit(f"more than two points apart: {', '.join(apart)}" if apart else 0)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    main()

#!/usr/bin/env python3
"""How often networks as others trained them name the folder that a recording lies in.

Usage: measure-ready-made.py FOLDER [--classify PROGRAM]

FOLDER holds GTZAN's ten genre folders. Each genre is taken for the classes named in this script, and
a recording is right if the likeliest of all classes so named is its folder's. For comparison: a head
that has learned from such recordings (`finetune --folds 5`).

Example:
  scripts/measure-ready-made.py data/gtzan/genres_original
"""

import argparse
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

GENRES = {
    "yamnet-genres": {
        "blues": ["Blues"],
        "classical": ["Classical music", "Opera"],
        "country": ["Country", "Bluegrass"],
        "disco": ["Disco"],
        "hiphop": ["Hip hop music"],
        "jazz": ["Jazz", "Swing music"],
        "metal": ["Heavy metal"],
        "pop": ["Pop music"],
        "reggae": ["Reggae"],
        "rock": ["Rock music", "Punk rock", "Grunge", "Progressive rock", "Rock and roll",
                 "Psychedelic rock"],
    },
    "musicnn": {
        "blues": ["blues"],
        "classical": ["instrumental", "ambient"],
        "country": ["country"],
        "disco": ["dance"],
        "hiphop": ["Hip-Hop"],
        "jazz": ["jazz"],
        "metal": ["metal", "heavy metal"],
        "pop": ["pop"],
        "reggae": [],
        "rock": ["rock", "classic rock", "hard rock", "alternative rock"],
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--classify", default="target/release/classify")
    options = parser.parse_args()
    for model, genres in GENRES.items():
        measure(model, genres, options)


def measure(model: str, genres: dict, options: argparse.Namespace) -> None:
    command = [options.classify, str(options.folder), "--model", model, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    lines = [line for line in map(json.loads, done.stdout.splitlines()) if line.get("file")]
    if not lines:
        sys.exit(f"{options.folder}: no recordings")
    of_class = {name: genre for genre, names in genres.items() for name in names}
    right, told, total = Counter(), Counter(), Counter()
    hits = wrong = missed = none = 0
    for line in lines:
        genre = Path(line["file"]).parent.name
        if genre not in genres:
            sys.exit(f"{line['file']}: its folder is none of {', '.join(genres)}")
        best = max(of_class, key=line["probabilities"].get)
        total[genre] += 1
        right[genre] += of_class[best] == genre
        told[of_class[best]] += 1
        found = {of_class[name] for name in line["genres"] if name in of_class}
        hits += genre in found
        missed += genre not in found
        wrong += len(found - {genre})
        none += not line["genres"]
    print(f"{model}: the likeliest is right for {sum(right.values())} of {len(lines)} recordings")
    for genre in genres:
        print(f"  {genre:10} {right[genre]} of {total[genre]}, told {told[genre]} times")
    print(f"  of the genres that reach their threshold {hits / max(1, hits + wrong):.2f} are right; "
          f"{hits / (hits + missed):.2f} of the recordings have their own among them; "
          f"F1 {2 * hits / max(1, 2 * hits + wrong + missed):.2f}; {none} recordings have none")


if __name__ == "__main__":
    main()

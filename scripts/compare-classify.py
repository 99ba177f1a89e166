#!/usr/bin/env python3
"""classify against the obvious Python program: same recordings, same model file, one run.

Usage: compare-classify.py MODEL.onnx FOLDER [--rounds N] [--classify PROGRAM] [--runtime ort|tract]

The Python program loads every recording with librosa at the model's rate, makes log-mels with
numpy and librosa, and runs ONNX Runtime on all patches of a recording at once, on all cores.
It is imported and the model opened before its clock starts; classify's clock is that of the
whole process. Both run in turn, N times; wall time, processor time, peak memory and the
genres they agree on are printed. Needs numpy, librosa and onnxruntime, and a model whose
input is log_mel (finetune's RUN/model.onnx) behind the front end of yamnet, vggish or musicnn.

Example:
  scripts/compare-classify.py runs/yamnet-gtzan/model.onnx data/gtzan/genres_original --rounds 3
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

EXTENSIONS = {".wav", ".mp3", ".flac", ".ogg", ".m4a"}


def log_mel(samples, front_end, librosa, np):
    """Log-mels [frames, mels] as VGGish, YAMNet or musicnn want them."""
    rate, mels, hop = (front_end[key] for key in ("sample_rate", "mels", "hop"))
    log = front_end["log"]
    if front_end["filterbank"] == "slaney":
        mel = librosa.feature.melspectrogram(
            y=samples, sr=rate, n_fft=front_end["fft"], hop_length=hop, n_mels=mels, pad_mode="constant"
        ).T
        return np.log10(log["scale"] * mel + log["offset"])
    window = front_end["window"]
    hann = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, window)[::hop]
    spectrum = np.abs(np.fft.rfft(frames * hann, front_end["fft"]))
    to_mel = lambda hz: 1127 * np.log(1 + hz / 700)  # noqa: E731
    edges = np.linspace(to_mel(front_end["min_hz"]), to_mel(front_end["max_hz"]), mels + 2)
    bins = to_mel(np.linspace(0, rate / 2, front_end["fft"] // 2 + 1))[:, None]
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    slopes = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre))
    return np.log(spectrum @ np.maximum(0, slopes) + log["offset"])


def python_program(model: str, files: list[str]) -> None:
    """The obvious program; prints what it found as JSON."""
    import librosa
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(model)
    metadata = session.get_modelmeta().custom_metadata_map
    front_end, labels = json.loads(metadata["front_end"]), json.loads(metadata["labels"])
    size, step = front_end["patch_frames"], front_end["patch_hop"]
    librosa.load(files[0], sr=front_end["sample_rate"])  # its first call imports more
    started, processor, seconds, genres = time.perf_counter(), time.process_time(), 0.0, {}
    for file in files:
        samples, rate = librosa.load(file, sr=front_end["sample_rate"])
        seconds += len(samples) / rate
        mel = log_mel(samples, front_end, librosa, np).astype(np.float32)
        patches = np.stack([mel[i : i + size] for i in range(0, len(mel) - size + 1, step)])
        (probabilities,) = session.run(["probabilities"], {"log_mel": patches})
        if json.loads(metadata.get("trust", "{}")).get("average") == "geometric":
            mean = np.exp(np.log(probabilities + 1e-9).mean(axis=0))
            mean /= mean.sum()
        else:
            mean = probabilities.mean(axis=0)
        mean = (mean + 1e-30) ** (1 / json.loads(metadata.get("trust", "{}")).get("temperature", 1))
        mean /= mean.sum()
        genres[file] = [labels[mean.argmax()], float(mean.max())]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, processor = time.perf_counter() - started, time.process_time() - processor
    print(json.dumps({"seconds": seconds, "wall": wall, "cpu": processor, "kib": peak, "genres": genres}))


def run(command: list[str]) -> tuple[str, float, float, int]:
    """Output, wall time, processor time and peak memory of a program."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command[0]} failed; run it by hand: {' '.join(command[:6])} ...")
    return output, time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def main() -> None:
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("model")
    parser.add_argument("folder")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--classify", default="target/release/classify")
    parser.add_argument("--runtime", default="ort")
    parser.add_argument("--python-program", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    files = sorted(str(p) for p in Path(arguments.folder).rglob("*") if p.suffix in EXTENSIONS)
    if arguments.python_program:
        return python_program(arguments.model, files)
    if not files:
        sys.exit(f"{arguments.folder}: no recordings")
    best = {}
    for number in range(1, arguments.rounds + 1):
        output, *_ = run([sys.executable, __file__, arguments.model, arguments.folder, "--python-program"])
        python = json.loads(output)
        command = [arguments.classify, *files, "--model", arguments.model, "--json"]
        output, wall, cpu, kib = run([*command, "--runtime", arguments.runtime])
        ours = {line["file"]: line for line in map(json.loads, output.splitlines())}
        rows = {"python": (python["wall"], python["cpu"], python["kib"]), "classify": (wall, cpu, kib)}
        for name, (wall, cpu, kib) in rows.items():
            best[name] = min(best.get(name, (wall, cpu)), (wall, cpu))
            print(f"round {number}  {name:8}  {wall:6.2f} s  {python['seconds'] / wall:5.0f}x real time  "
                  f"{cpu:6.2f} s of processor  {kib / 1024:4.0f} MiB", flush=True)
    # Also of a recording that classify calls unknown.
    likeliest = {file: max(line["probabilities"], key=line["probabilities"].get) for file, line in ours.items()}
    same = [file for file, (genre, _) in python["genres"].items() if likeliest[file] == genre]
    worst = max(abs(p - ours[f]["probabilities"].get(g, 0)) for f, (g, p) in python["genres"].items())
    print(f"same genre: {len(same)} of {len(files)}; its probability differs by {worst:.4f} at most "
          "(the resamplers differ)")
    ratios = [best["python"][i] / best["classify"][i] for i in (0, 1)]
    print(f"best rounds: classify is {ratios[0]:.1f}x as fast; it takes 1/{ratios[1]:.1f} of the processor time")


if __name__ == "__main__":
    main()

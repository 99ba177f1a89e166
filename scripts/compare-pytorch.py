#!/usr/bin/env python3
"""Training throughput of our CNNs beside PyTorch's: same architecture, batch, threads, float32.

    scripts/compare-pytorch.py --data gtzan [--threads 2] [--epochs 2] [--preset simple ...]

Ours is `train-cnn --validate`, which also reads, varies and averages weights; PyTorch is given
ready batches. Needs `pip install torch`. The two take turns, so that drift hits both.
"""

import argparse
import json
import os
import subprocess
import sys
import time

import torch
from torch import nn


class Block(nn.Module):
    """One block of our CnnConfig (src/run/architecture.rs)."""

    def __init__(self, inputs, outputs, config):
        super().__init__()
        k, norm = config["kernel"], config["batch_norm"]
        layers = []
        for n in range(config["convolutions"]):
            layers.append(nn.Conv2d(inputs if n == 0 else outputs, outputs, k, padding=k // 2, bias=not norm))
            if norm:
                layers.append(nn.BatchNorm2d(outputs))
            if n + 1 < config["convolutions"] or not config["residual"]:
                layers.append(nn.ReLU(inplace=True))
        self.body = nn.Sequential(*layers)
        self.residual = config["residual"]
        self.shortcut = nn.Identity()
        if self.residual and inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=not norm), *([nn.BatchNorm2d(outputs)] if norm else []))
        self.excite = None
        if config["squeeze_excitation"]:
            hidden = max(outputs // 8, 4)
            self.excite = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(outputs, hidden, 1, bias=False), nn.ReLU(), nn.Conv2d(hidden, outputs, 1, bias=False), nn.Sigmoid())
        self.pool = nn.MaxPool2d(2) if config["pooling"] == "max" else nn.AvgPool2d(2)

    def forward(self, x):
        y = self.body(x)
        if self.excite is not None:
            y = y * self.excite(y)
        if self.residual:
            y = torch.relu(y + self.shortcut(x))
        return self.pool(y)


class Network(nn.Module):
    def __init__(self, config, classes, patch):
        super().__init__()
        filters, layers, inputs = config["filters"], [], 1
        if config["stem_stride"]:
            k = config["kernel"]
            layers += [nn.Conv2d(1, filters[0], k, stride=config["stem_stride"], padding=k // 2, bias=False), nn.BatchNorm2d(filters[0]), nn.ReLU(inplace=True)]
            inputs = filters[0]
        for outputs in filters:
            layers.append(Block(inputs, outputs, config))
            inputs = outputs
        self.body, self.kind = nn.Sequential(*layers), config["global_pooling"]
        # Over time alone, or over the bands as well.
        self.over = (2,) if config["keep_bands"] else (2, 3)
        bands = self.body(torch.zeros(1, 1, *patch)).shape[3] if config["keep_bands"] else 1
        features = inputs * bands * (2 if self.kind == "average-max" else 1)
        head = config["head"]
        self.head = nn.Sequential(nn.Dropout(config["dropout"]), *([nn.Linear(features, head), nn.ReLU()] if head else []), nn.Linear(head or features, classes))

    def forward(self, x):
        x = self.body(x)
        parts = []
        if "average" in self.kind:
            parts.append(x.mean(self.over).flatten(1))
        if "max" in self.kind:
            parts.append(x.amax(self.over).flatten(1))
        return self.head(torch.cat(parts, 1))


def pytorch(config, examples, batch, patch):
    """Examples of one epoch a second."""
    torch.manual_seed(0)
    model = Network(config, 10, patch).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
    x, y = torch.randn(batch, 1, *patch), torch.softmax(torch.randn(batch, 10), 1)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    step()
    started, steps = time.perf_counter(), max(1, examples // batch)
    for _ in range(steps):
        step()
    return steps * batch / (time.perf_counter() - started)


def ours(arguments, preset):
    command = [arguments.program, "--data", arguments.data, "--validate", "--json", "--preset", preset,
               "--epochs", str(arguments.epochs), "--batch", str(arguments.batch),
               "--patch-frames", str(arguments.frames), "--mels", str(arguments.mels)]
    environment = {**os.environ, "RAYON_NUM_THREADS": str(arguments.threads)}
    result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)
    speed = result["members"][0]["speed"]
    return speed["examples"] / speed["seconds"], speed["waiting"] / speed["seconds"], result["architecture"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--program", default="target/release/train-cnn")
    parser.add_argument("--preset", nargs="+", default=["simple", "searched"])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--frames", type=int, default=128)
    parser.add_argument("--mels", type=int, default=128)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"PyTorch {torch.__version__}, {arguments.threads} threads, batch {arguments.batch}, patches of {arguments.frames} x {arguments.mels}")
    print(f"{'preset':<10} {'round':>5} {'ours':>8} {'PyTorch':>8} {'ratio':>6} {'waiting':>8}")
    for preset in arguments.preset:
        for number in range(arguments.rounds):
            mine, waiting, architecture = ours(arguments, preset)
            theirs = pytorch(architecture, 640, arguments.batch, (arguments.frames, arguments.mels))
            print(f"{preset:<10} {number + 1:>5} {mine:>8.1f} {theirs:>8.1f} {mine / theirs:>6.2f} {waiting:>8.3f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

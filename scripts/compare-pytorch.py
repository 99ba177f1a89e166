#!/usr/bin/env python3
"""Training throughput beside PyTorch's: same network, batch, threads, float32.

    scripts/compare-pytorch.py --data gtzan [--threads 2] [--epochs 2] [--preset simple ...]
    scripts/compare-pytorch.py --data gtzan --backbone models/yamnet.onnx --front-end yamnet

Ours is `train-cnn --validate` or, with --backbone, `finetune --unfreeze`, both of which also read,
vary and check; PyTorch is given ready batches, and the ONNX file by way of onnx2torch. Only
training steps are counted. Needs `pip install torch`, and onnx2torch for backbones. The two take
turns, so that drift hits both.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
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


class OnBackbone(nn.Module):
    """A genre head on an ONNX file whose last layers with weights learn."""

    def __init__(self, path, unfreeze, classes):
        super().__init__()
        import onnx
        import onnx2torch
        import onnx.version_converter

        model = onnx.load(path)
        try:
            self.backbone = onnx2torch.convert(model)
        except NotImplementedError:  # of a newer version of the operators
            self.backbone = onnx2torch.convert(onnx.version_converter.convert_version(model, 13))
        self.shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim][1:]
        # What onnx2torch makes parameters of layers; shapes and scalars stay as they are.
        layers = []
        for module in self.backbone.modules():
            if isinstance(module, nn.BatchNorm2d) and layers:
                layers[-1].append(module)  # learns with the layer that it follows
            elif list(module.parameters(recurse=False)):
                layers.append([module])
        self.backbone.requires_grad_(False)
        for layer in layers if unfreeze == "all" else layers[len(layers) - int(unfreeze):]:
            for module in layer:
                module.requires_grad_(True)
        # The normalizations use the file's statistics, as finetune's do.
        self.backbone.eval()
        with torch.no_grad():
            features = self.embed(torch.zeros(2, *self.shape)).shape[1]
        self.head = nn.Linear(features, classes)

    def embed(self, x):
        y = self.backbone(x)
        y = y[0] if isinstance(y, (tuple, list)) else y
        return y.flatten(1) if y.dim() != 4 else y.mean((2, 3))

    def forward(self, x):
        return self.head(self.embed(x))


def pytorch(make, examples, batch):
    """Examples of one epoch a second, with the network and shape of an example that `make` gives."""
    torch.manual_seed(0)
    model, shape = make()
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=1e-3, weight_decay=0.05)
    x, y = torch.randn(batch, *shape), torch.softmax(torch.randn(batch, 10), 1)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learning, 1.0)
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


def ours_on(arguments, backbone):
    """Patches a second, the share of waiting and the largest memory in MB of finetune."""
    with tempfile.TemporaryDirectory() as folder:
        return run_finetune(arguments, backbone, folder)


def run_finetune(arguments, backbone, folder):
    command = [arguments.program, "--data", arguments.data, "--backbone", backbone, "--front-end", arguments.front_end, "--json", "--runs", f"{folder}/runs",
               "--unfreeze", arguments.unfreeze, "--deep-epochs", str(arguments.epochs), "--deep-batch", str(arguments.batch),
               "--patches-per-track", str(arguments.patches), "--epochs", "1"]
    environment = {**os.environ, "RAYON_NUM_THREADS": str(arguments.threads)}
    with open(f"{folder}/said", "w") as said, open(f"{folder}/notes", "w") as notes:
        running = subprocess.Popen(command, stdout=said, stderr=notes, env=environment)
    megabytes = 0
    # wait4's figure would be that of this process, of which it was a copy for a moment.
    while running.poll() is None:
        with open(f"/proc/{running.pid}/status") as status:
            lines = [line.split() for line in status if line.startswith("VmHWM")]
        megabytes = max([megabytes] + [int(line[1]) / 1024 for line in lines])
        time.sleep(0.1)
    if running.returncode:
        with open(f"{folder}/notes") as notes:
            sys.exit(f"{' '.join(command)} failed with {running.returncode}: {notes.read().strip()}")
    with open(f"{folder}/said") as said:
        speed = json.load(said)["metrics"]["unfrozen_speed"]
    return speed["examples"] / speed["seconds"], speed["waiting"] / speed["seconds"], megabytes


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--program", help="target/release/train-cnn or, with --backbone, finetune")
    parser.add_argument("--preset", nargs="+", default=["simple", "searched"])
    parser.add_argument("--backbone", nargs="+", default=[], help="ONNX files, in place of presets")
    parser.add_argument("--front-end", default="yamnet", help="the front end of the backbones")
    parser.add_argument("--unfreeze", default="all", help="how many of a backbone's layers learn")
    parser.add_argument("--patches", type=int, default=6, help="patches of a track that finetune learns from in an epoch")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--frames", type=int, default=128)
    parser.add_argument("--mels", type=int, default=128)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    arguments.program = arguments.program or ("target/release/finetune" if arguments.backbone else "target/release/train-cnn")
    torch.set_num_threads(arguments.threads)
    print(f"PyTorch {torch.__version__}, {arguments.threads} threads, batch {arguments.batch}")
    print(f"{'network':<24} {'round':>5} {'ours':>8} {'PyTorch':>8} {'ratio':>6} {'waiting':>8} {'MB':>6}")
    for network in arguments.backbone or arguments.preset:
        ratios = []
        for number in range(arguments.rounds):
            if arguments.backbone:
                mine, waiting, megabytes = ours_on(arguments, network)

                def make():
                    model = OnBackbone(network, arguments.unfreeze, 10)
                    return model, model.shape
            else:
                mine, waiting, architecture = ours(arguments, network)
                megabytes, patch = 0, (arguments.frames, arguments.mels)

                def make():
                    return Network(architecture, 10, patch).train(), (1, *patch)
            theirs = pytorch(make, max(3, 640 // arguments.batch) * arguments.batch if not arguments.backbone else 10 * arguments.batch, arguments.batch)
            ratios.append(mine / theirs)
            name = os.path.basename(network)
            print(f"{name:<24} {number + 1:>5} {mine:>8.1f} {theirs:>8.1f} {ratios[-1]:>6.2f} {waiting:>8.3f} {megabytes:>6.0f}", flush=True)
        print(f"{name:<24} median ratio {sorted(ratios)[len(ratios) // 2]:.2f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

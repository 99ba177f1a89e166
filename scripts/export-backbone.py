#!/usr/bin/env python3
"""A pretrained network as an ONNX file that finetune takes, with its front end as JSON.

The classifier is cut off, so that the output "embeddings" is what it was fed with; the batch
axis is free. The file appears only once ONNX Runtime answers what PyTorch answers (within 1e-4
of the largest value), and each row the same alone as among others. NAME.json says how the
network's input is made; `inspect-onnx NAME.onnx` shows the rest.

Needs pip packages, in an environment of your own:
    python3 -m venv export-venv && export-venv/bin/pip install torch torchvision timm \\
        transformers onnx onnxscript onnxruntime
of which timm and transformers only where their networks are exported.
"""

import argparse
import contextlib
import importlib.util
import json
import math
import os
import re
import sys
import tempfile

EXAMPLES = """examples:
  export-backbone.py --torchvision resnet18                   pretrained on ImageNet
  export-backbone.py --torchvision resnet18 --weights none    random weights, needs no network
  export-backbone.py --timm mobilenetv3_small_100 --size 96 320
  export-backbone.py --hugging-face MIT/ast-finetuned-audioset-10-10-0.4593 --seconds 10.24
  export-backbone.py --hugging-face facebook/wav2vec2-base --seconds 3
  export-backbone.py --python panns.py -o models/cnn14        model() and FRONT_END in panns.py

The file given to --python defines model(), which returns the torch.nn.Module without its
classifier, and FRONT_END: the name of a preset (vggish, yamnet, musicnn, spectrogram) or the
dict of a front-end file (docs/backbones.md). The module is given log-mels [N, frames, mels],
pictures [N, channels, height, width] or samples [N, samples], whichever FRONT_END describes.
It may define LICENSE and SOURCE, which are written into the file."""

# Frames and mel bands of the presets (src/features/front_end.rs).
PRESETS = {"vggish": (96, 64), "yamnet": (96, 64), "musicnn": (187, 96), "spectrogram": (128, 128)}
TOLERANCE = 1e-4


def fail(text):
    sys.exit(f"export-backbone: {text}")


def need(module):
    try:
        return importlib.import_module(module)
    except ImportError as error:
        fail(f"{module} is missing ({error}); pip install {module}")


class Network:
    """A module, the front end that feeds it, and where it comes from."""

    def __init__(self, name, module, front_end, source, license=None):
        self.name, self.module, self.front_end = name, module, front_end
        self.source, self.license = source, license


def without_classifier(module, classes):
    """Replaces the last linear layer, which answers `classes` values, by the identity."""
    from torch import nn

    linear = [name for name, part in module.named_modules() if isinstance(part, nn.Linear) and part.out_features == classes]
    if not linear:
        fail(f"no linear layer answers {classes} classes; cut the classifier yourself and use --python")
    parent, _, last = linear[-1].rpartition(".")
    setattr(module.get_submodule(parent), last, nn.Identity())
    print(f"cut off: {linear[-1]}")
    return module


def picture(name, size, mean, deviation, channels=3):
    height, width = size
    return {"kind": "image", "name": name, "channels": channels, "height": height, "width": width, "white": 1,
            "mean": [round(float(m), 6) for m in mean], "deviation": [round(float(d), 6) for d in deviation]}


def from_torchvision(args):
    import torchvision

    names = torchvision.models.list_models(module=torchvision.models)
    if args.torchvision not in names:
        fail(f"torchvision has no \"{args.torchvision}\"; it has {', '.join(names)}")
    weights = torchvision.models.get_model_weights(args.torchvision).DEFAULT
    preset = weights.transforms()
    pretrained = weights if args.weights == "default" else None
    extra = {"aux_logits": True} if "googlenet" in args.torchvision or "inception" in args.torchvision else {}
    module = torchvision.models.get_model(args.torchvision, weights=pretrained, **({} if pretrained else extra))
    side = preset.crop_size[0]
    front_end = picture(args.torchvision, args.size or (side, side), preset.mean, preset.std)
    source = f"torchvision {torchvision.__version__}, {args.torchvision}, weights {pretrained or 'random'}"
    # torchvision's code is BSD-3-Clause; its weights were trained on ImageNet, whose terms are its own.
    return Network(args.torchvision, without_classifier(module, len(weights.meta["categories"])), front_end, source)


def from_timm(args):
    timm = need("timm")
    if not timm.is_model(args.timm.split(".")[0]):
        fail(f"timm has no \"{args.timm}\"; like it: {', '.join(timm.list_models('*' + args.timm.split('_')[0] + '*')[:20])}")
    pretrained = args.weights == "default"
    extra = {"img_size": tuple(args.size)} if args.size and "vit" in args.timm else {}
    module = timm.create_model(args.timm, pretrained=pretrained, num_classes=0, in_chans=args.channels, **extra)
    config = timm.data.resolve_model_data_config(module)
    front_end = picture(args.timm, args.size or config["input_size"][1:], config["mean"][: args.channels], config["std"][: args.channels], args.channels)
    source = f"timm {timm.__version__}, {args.timm}, weights {'pretrained' if pretrained else 'random'}"
    license = module.pretrained_cfg.get("license") if pretrained else None
    return Network(args.timm, module, front_end, source, license)


def from_hugging_face(args):
    transformers = need("transformers")
    name = args.hugging_face
    try:
        config = transformers.AutoConfig.from_pretrained(name)
        made = transformers.AutoModel.from_pretrained(name) if args.weights == "default" else transformers.AutoModel.from_config(config)
    except (OSError, ValueError) as error:
        fail(f"{name}: {str(error).splitlines()[0]}")
    short = re.sub(r"[^A-Za-z0-9._-]", "-", os.path.basename(os.path.normpath(name)))
    source = f"Hugging Face {name}, transformers {transformers.__version__}, weights {'pretrained' if args.weights == 'default' else 'random'}"
    if config.model_type == "audio-spectrogram-transformer":
        count = args.samples(16000, config.max_length * 160 / 16000)
        return Network(short, AstOfSamples(made, config, count), samples(short, 16000, count), source)
    if hasattr(config, "conv_stride") and hasattr(config, "conv_kernel"):  # wav2vec 2.0 and its kin
        rate = 16000
        normalize = True
        with contextlib.suppress(Exception):
            extractor = transformers.AutoFeatureExtractor.from_pretrained(name)
            rate, normalize = extractor.sampling_rate, extractor.do_normalize
        return Network(short, TokensOfSamples(made, normalize), samples(short, rate, args.samples(rate, 3)), source)
    if hasattr(config, "image_size"):
        mean, deviation = [0.5] * 3, [0.5] * 3
        try:
            processor = transformers.AutoImageProcessor.from_pretrained(name)
            mean, deviation = processor.image_mean, processor.image_std
        except Exception as error:  # no such file, or offline: it must not be guessed in silence
            print(f"warning: mean and deviation 0.5 are assumed; {name} does not say ({str(error).splitlines()[0]})")
        size = config.image_size
        size = args.size or ((size, size) if isinstance(size, int) else tuple(size))
        return Network(short, PooledPicture(made), picture(short, size, mean, deviation), source)
    fail(f"{name} is a \"{config.model_type}\", which this script does not know; write model() and FRONT_END and use --python")


def samples(name, rate, count):
    return {"kind": "samples", "name": name, "sample_rate": rate, "patch_samples": count}


def define_modules():
    """Modules around others; they need torch, which --help does not."""
    import torch
    from torch import nn

    class TokensOfSamples(nn.Module):
        """wav2vec 2.0 and its kin: samples [N, S] to the mean of the last hidden states [N, D]."""

        def __init__(self, model, normalize):
            super().__init__()
            self.model, self.normalize = model, normalize

        def forward(self, x):
            if self.normalize:
                x = (x - x.mean(1, keepdim=True)) / torch.sqrt(x.var(1, unbiased=False, keepdim=True) + 1e-7)
            return self.model(x).last_hidden_state.mean(1)

    class PooledPicture(nn.Module):
        """A vision network: pictures [N, C, H, W] to its pooled output, else its tokens' mean."""

        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, x):
            answer = self.model(x)
            pooled = getattr(answer, "pooler_output", None)
            if pooled is not None:
                return pooled.flatten(1)
            hidden = answer.last_hidden_state
            return hidden.mean(1) if hidden.dim() == 3 else hidden.mean((2, 3))

    class AstOfSamples(nn.Module):
        """The Audio Spectrogram Transformer behind Kaldi's filterbank, which no front-end file
        describes (it takes the mean off every frame and pre-emphasizes it): samples [N, S].

        All that happens to a frame before the square is linear, so it is one convolution.
        """

        def __init__(self, model, config, count):
            super().__init__()
            self.model, self.length = model, config.max_length
            frame, hop, size = 400, 160, 512
            if count < frame:
                fail(f"{count} samples are less than a frame of {frame}")
            self.frames = 1 + (count - frame) // hop
            eye = torch.eye(frame, dtype=torch.float64)
            centred = eye - 1 / frame
            before = torch.cat([centred[:1], centred[:-1]])
            window = torch.hann_window(frame, periodic=False, dtype=torch.float64)
            frames = window[:, None] * (centred - 0.97 * before)
            spectrum = torch.fft.rfft(torch.cat([frames, torch.zeros(size - frame, frame, dtype=torch.float64)]), dim=0)
            linear = torch.cat([spectrum.real, spectrum.imag])[:, None].float()
            self.hop, self.bins = hop, size // 2 + 1
            self.register_buffer("linear", linear)
            self.register_buffer("mels", kaldi_mels(config.num_mel_bins, size, 16000).float())
            self.mean, self.deviation = -4.2677393, 4.5689974

        def forward(self, x):
            parts = nn.functional.conv1d(x[:, None], self.linear, stride=self.hop)
            real, imaginary = parts[:, : self.bins], parts[:, self.bins :]
            power = (real * real + imaginary * imaginary).transpose(1, 2)
            mels = torch.log(torch.clamp(power @ self.mels, min=1.1920929e-07))
            # Zeros behind the end come before the normalization, as in transformers.
            mels = nn.functional.pad(mels[:, : self.length], (0, 0, 0, max(0, self.length - self.frames)))
            return self.model((mels - self.mean) / (2 * self.deviation)).pooler_output

    def kaldi_mels(bands, size, rate):
        """Kaldi's triangles, linear in mel, from 20 Hz to half the rate; [bins, bands]."""
        mel = lambda hz: 1127 * torch.log1p(torch.as_tensor(hz, dtype=torch.float64) / 700)  # noqa: E731
        low, high = mel(20.0), mel(rate / 2)
        step = (high - low) / (bands + 1)
        at = mel(torch.arange(size // 2 + 1) * rate / size)[:, None]
        left = low + step * torch.arange(bands)[None]
        rising, falling = (at - left) / step, (left + 2 * step - at) / step
        mels = torch.clamp(torch.minimum(rising, falling), min=0)
        mels[-1] = 0  # Kaldi leaves the last bin out
        return mels

    globals().update(TokensOfSamples=TokensOfSamples, PooledPicture=PooledPicture, AstOfSamples=AstOfSamples, kaldi_mels=kaldi_mels)


def from_python(args):
    spec = importlib.util.spec_from_file_location("network", args.python)
    if spec is None or not os.path.isfile(args.python):
        fail(f"{args.python} is not a Python file")
    file = importlib.util.module_from_spec(spec)
    sys.path.insert(0, os.path.dirname(os.path.abspath(args.python)))
    spec.loader.exec_module(file)
    for name in ("model", "FRONT_END"):
        if not hasattr(file, name):
            fail(f"{args.python} defines no {name}; see --help")
    name = os.path.splitext(os.path.basename(args.python))[0]
    return Network(name, file.model(), file.FRONT_END, getattr(file, "SOURCE", args.python), getattr(file, "LICENSE", None))


def shape_of(front_end):
    """Axes of one patch, and their names."""
    if isinstance(front_end, str):
        if front_end not in PRESETS:
            fail(f"FRONT_END is \"{front_end}\"; known are {', '.join(PRESETS)}, or give a dict")
        return PRESETS[front_end]
    kind = front_end.get("kind")
    keys = {"image": ("channels", "height", "width"), "samples": ("patch_samples",), None: ("patch_frames", "mels")}.get(kind)
    if keys is None:
        fail(f"FRONT_END has the kind \"{kind}\"; known are image and samples, and none for log-mels")
    missing = [key for key in keys if key not in front_end]
    if missing:
        fail(f"FRONT_END lacks {', '.join(missing)}")
    return tuple(front_end[key] for key in keys)


def input_name(front_end):
    return {"image": "image", "samples": "samples"}.get(front_end.get("kind") if isinstance(front_end, dict) else None, "log_mel")


def probes(shape, count, front_end):
    """Seeded rows, as large as such values are."""
    import torch

    generator = torch.Generator().manual_seed(0)
    x = torch.rand((count, *shape), generator=generator)
    return {"log_mel": x * 7 - 4, "image": x * 4 - 2, "samples": x - 0.5}[input_name(front_end)]


def export(network, path, args):
    """Writes the graph; the batch axis is free, the others are fixed."""
    import torch

    module = network.module.eval()
    name = input_name(network.front_end)
    x = probes(shape_of(network.front_end), 2, network.front_end)
    with torch.no_grad():
        y = module(x)
        if not isinstance(y, torch.Tensor) or y.shape[0] != 2 or y.dtype != torch.float32:
            fail(f"the module answers {getattr(y, 'shape', type(y))} for 2 rows; one tensor of floats [N, ...] is needed")
        common = dict(input_names=[name], output_names=["embeddings"], opset_version=args.opset)
        if args.exporter == "old":
            axes = {name: {0: "batch"}, "embeddings": {0: "batch"}}
            torch.onnx.export(module, (x,), path, dynamo=False, dynamic_axes=axes, **common)
        else:
            batch = torch.export.Dim("batch")
            torch.onnx.export(module, (x,), path, dynamo=True, dynamic_shapes=({0: batch},), external_data=False, verbose=False, **common)
    return x


def sign(path, network):
    import onnx

    model = onnx.load(path)
    entries = {"source": network.source, "license": network.license}
    for key, value in entries.items():
        if value:
            model.metadata_props.add(key=key, value=str(value))
    if not network.license:
        print("note: no licence is written into the file; look at the network's source before you pass it on")
    onnx.save(model, path)
    onnx.checker.check_model(path)
    return model


def prove(path, network):
    """That ONNX Runtime answers what PyTorch does, and that a row is the same alone."""
    import numpy as np
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    run = lambda x: session.run(["embeddings"], {name: x.numpy()})[0]  # noqa: E731
    x = probes(shape_of(network.front_end), 3, network.front_end)
    with torch.no_grad():
        wanted = network.module(x).numpy()
    found = run(x)
    if found.shape != wanted.shape:
        fail(f"ONNX Runtime answers {found.shape}, PyTorch {wanted.shape}")
    largest = float(np.abs(wanted).max())
    if not (math.isfinite(largest) and largest > 0):
        fail(f"the embeddings' largest value is {largest}")
    from_torch = float(np.abs(found - wanted).max()) / largest
    alone = np.concatenate([run(x[row : row + 1]) for row in range(3)])
    from_alone = float(np.abs(found - alone).max()) / largest
    for what, difference in (("from PyTorch", from_torch), ("of a row alone from the same among others", from_alone)):
        if not difference <= TOLERANCE:
            fail(f"the file's difference {what} is {difference:.1e} of the largest value; {TOLERANCE:.0e} are allowed")
    if np.abs(found[0] - found[1]).max() == 0:
        print("warning: different inputs have the same embeddings; are these the right weights?")
    print(f"embeddings {list(found.shape[1:])} for one {name} {list(x.shape[1:])}; differences: {from_torch:.1e} from PyTorch, {from_alone:.1e} of a row alone")


def write(network, args):
    target = args.output or network.name
    target = target[:-5] if target.endswith(".onnx") else target
    folder = os.path.dirname(os.path.abspath(target))
    os.makedirs(folder, exist_ok=True)
    files = [target + ".onnx"] + ([] if isinstance(network.front_end, str) else [target + ".json"])
    there = [file for file in files if os.path.exists(file)]
    if there and not args.force:
        fail(f"{there[0]} is there already; --force replaces it")
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as part:
        path = os.path.join(part, "model.onnx")
        export(network, path, args)
        sign(path, network)
        prove(path, network)
        os.replace(path, files[0])
    front_end = network.front_end
    if isinstance(front_end, dict):
        with open(files[1], "w") as file:
            json.dump(front_end, file, indent=2)
            file.write("\n")
        front_end = files[1]
    print(f"written: {', '.join(files)}")
    data = "images_original" if input_name(network.front_end) == "image" else "data/gtzan"
    print(f"  cargo run --release --bin inspect-onnx -- {files[0]} --front-end {front_end}")
    print(f"  cargo run --release --bin finetune -- --data {data} --backbone {files[0]} --front-end {front_end}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--torchvision", metavar="NAME", help="a classification network of torchvision")
    which.add_argument("--timm", metavar="NAME", help="a network of timm")
    which.add_argument("--hugging-face", metavar="ID", help="a network of transformers: an identifier or a folder; AST, wav2vec 2.0 and its kin, vision networks")
    which.add_argument("--python", metavar="FILE", help="a Python file with model() and FRONT_END")
    parser.add_argument("--weights", choices=["default", "none"], default="default", help="pretrained, which are downloaded, or random [default: pretrained]")
    parser.add_argument("-o", "--output", metavar="NAME", help="writes NAME.onnx and NAME.json [default: the network's name]")
    parser.add_argument("--size", nargs=2, type=int, metavar=("HEIGHT", "WIDTH"), help="of pictures [default: the network's own]")
    parser.add_argument("--channels", type=int, choices=[1, 3], default=3, help="of pictures, with --timm [default: 3]")
    parser.add_argument("--seconds", type=float, help="of a patch, for networks that take samples")
    parser.add_argument("--opset", type=int, default=18, help="of the file [default: 18]")
    parser.add_argument("--exporter", choices=["new", "old"], default="new", help="PyTorch's: the new one (torch.export) or the old one (TorchScript) [default: new]")
    parser.add_argument("--force", action="store_true", help="replace files that are there")
    args = parser.parse_args()
    args.samples = lambda rate, default: round((args.seconds or default) * rate)
    return args


def main():
    args = arguments()
    need("torch")
    need("onnx")
    need("onnxruntime")
    define_modules()
    if args.torchvision:
        network = from_torchvision(args)
    elif args.timm:
        network = from_timm(args)
    elif args.hugging_face:
        network = from_hugging_face(args)
    else:
        network = from_python(args)
    write(network, args)


if __name__ == "__main__":
    main()

"""Makes mistakes in python/genres.py, one at a time, and counts which its probes notice and name.

python mistakes.py MODEL.onnx CLASSIFY: MODEL.onnx is one of `export-onnx --input clip`, CLASSIFY
this crate's program. Fails unless all are noticed, 15 of 20 named, and right hosts pass."""

import json
import pathlib
import subprocess
import sys
import tempfile

REFUSAL = """    if channels != 1 or rate != int(metadata["sample_rate"]):
        raise ValueError(f"must be mono, 16 bit and {metadata['sample_rate']} Hz")
"""
SAMPLES = """    return np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
"""
RUN = """    [probabilities] = session.run(["probabilities"], {"waveform": samples[np.newaxis]})
"""
ANSWER = """    return dict(zip(json.loads(metadata["labels"]), probabilities[0].tolist(), strict=True))
"""

# What a host needs that takes any recording: channels averaged, resampled by a filter without end.
ANY = """    x = np.frombuffer(pcm, "<i2").astype(np.float32).reshape(-1, channels) / 32768
    to = int(metadata["sample_rate"])
"""
MONO = "    x = x.mean(axis=1)\n"
RESAMPLED = """    n = -(-len(x) * to // rate)
    x = x if rate == to else np.fft.irfft(np.fft.rfft(x)[: n // 2 + 1], n) * n / len(x)
    return x.astype(np.float32)
"""
INTERPOLATED = """    n = -(-len(x) * to // rate)
    return np.interp(np.arange(n) * rate / to, np.arange(len(x)), x).astype(np.float32)
"""


def host(*lines):
    """One that takes any recording."""
    return {REFUSAL: "", SAMPLES: ANY + "".join(lines)}


def of(after):
    """The same program, but that the samples x are changed once they are read."""
    return {SAMPLES: SAMPLES.replace("return", "x =") + f"    {after}\n    return x.astype(np.float32)\n"}


RIGHT = {
    "as it is": {},
    "scaled by 32767": {SAMPLES: SAMPLES.replace("32768", "32767")},
    "any recording": host(MONO, RESAMPLED),
    "any recording, silence put behind a short one": host(
        MONO, RESAMPLED.replace("return x", "least = 15600\n    return np.pad(x, (0, max(0, least - len(x))))")
    ),
}

# What is made of the program, and what `classify` should call it.
MISTAKES = {
    "16-bit integers unscaled": (of("x *= 32768"), "unscaled"),
    "samples from 0 to 1": (of("x = (x + 1) / 2"), "unsigned"),
    "big-endian": ({SAMPLES: SAMPLES.replace("<i2", ">i2")}, "byte-swapped"),
    "read as unsigned 16 bits": ({SAMPLES: SAMPLES.replace("<i2", "<u2")}, None),
    "every recording made loud": (of("x /= abs(x).max()"), "peak-normalized"),
    "every recording standardized": (of("x = (x - x.mean()) / x.std()"), "standardized"),
    "librosa's 22,050 Hz": (host(MONO, "    to = 22050\n", RESAMPLED), "at-22050"),
    "another model's 44,100 Hz": (host(MONO, "    to = 44100\n", RESAMPLED), "at-44100"),
    "telephone's 8,000 Hz": (host(MONO, "    to = 8000\n", RESAMPLED), "at-8000"),
    "sample rate ignored": (host(MONO, "    return x\n"), "not-resampled"),
    "samples left out": (host(MONO, "    return x[(np.arange(-(-len(x) * to // rate)) * rate // to)]\n"), "nearest"),
    "linear interpolation": (host(MONO, INTERPOLATED), "linear"),
    "channels interleaved": (host("    x = x.reshape(-1)\n", RESAMPLED), "interleaved"),
    "channels one after the other": (host("    x = x.T.reshape(-1)\n", RESAMPLED), "one-after-the-other"),
    "left channel only": (host("    x = x[:, 0]\n", RESAMPLED), "left-only"),
    "channels added": (host("    x = x.sum(axis=1)\n", RESAMPLED), "added"),
    "short recordings repeated": (of("x = np.resize(x, max(len(x), 15600))"), "repeated"),
    "silence before short recordings": (of("x = np.pad(x, (max(0, 15600 - len(x)), 0))"), "padded-in-front"),
    "labels sorted backwards": (
        {ANSWER: ANSWER.replace('json.loads(metadata["labels"])', 'sorted(json.loads(metadata["labels"]))[::-1]')},
        "labels",
    ),
    "the first patch only": ({RUN: RUN.replace('["probabilities"]', '["patch_probabilities"]')}, "first-patch"),
    "softmax once more": ({RUN: RUN + "    e = np.exp(probabilities)\n    probabilities = e / e.sum()\n"}, "softmax-twice"),
    "percent": ({ANSWER: ANSWER.replace("probabilities[0]", "(100 * probabilities[0])")}, "percent"),
    "a buffer that stays empty": (of("x *= 0"), "constant"),
    "half precision": ({ANSWER: ANSWER.replace("probabilities[0]", "(probabilities[0] + [0.004, -0.004] * 5)")}, "precision"),
}


def run(folder, model, classify, changes):
    """What the changed program says itself, and what classify says of its answers."""
    source = pathlib.Path(__file__).with_name("python").joinpath("genres.py").read_text()
    for old, new in changes.items():
        assert old in source, f"genres.py has changed: {old}"
        source = source.replace(old, new)
    program, answers = folder / "host.py", folder / "answers.json"
    program.write_text(source)
    own = subprocess.run([sys.executable, program, "--verify", model, answers], capture_output=True, text=True)
    assert not own.stderr, own.stderr
    judge = [classify, "--verify", model, "--answers", answers, "--json"]
    return own, json.loads(subprocess.run(judge, capture_output=True, text=True).stdout)


def main(model, classify):
    wrong, noticed, named, named_alone = [], 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        at = (pathlib.Path(folder), model, classify)
        for what, changes in RIGHT.items():
            own, verdict = run(*at, changes)
            if own.returncode or not verdict["right"]:
                wrong.append(f"false alarm: {what}: {verdict}")
        for what, (changes, name) in MISTAKES.items():
            own, verdict = run(*at, changes)
            names = [mistake["name"] for mistake in verdict["mistakes"]]
            noticed += own.returncode == 1 and not verdict["right"]
            named += names[:1] == [name]
            named_alone += f"the mistake is {name}\n" in own.stdout
            if verdict["right"] or names[:1] != [name] and name:
                wrong.append(f"{what}: {names} in place of {name}")
    for line in wrong:
        print(line)
    print(f"{len(RIGHT)} right hosts; of {len(MISTAKES)} mistakes {noticed} noticed, {named} named")
    print(f"{named_alone} named by the host itself")
    return noticed == len(MISTAKES) and named >= 0.75 * len(MISTAKES) and not any("alarm" in w for w in wrong)


sys.exit(not main(*sys.argv[1:]))

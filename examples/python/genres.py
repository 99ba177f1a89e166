"""Prints the genres of a wav: python genres.py MODEL.onnx CLIP.wav

python genres.py --verify MODEL.onnx [ANSWERS.json] tests this program by the model's probes."""

import hashlib
import json
import struct
import sys
import wave

import numpy as np
import onnxruntime


def prepared(pcm, channels, rate):
    """Bytes of a 16-bit recording as the model takes them: samples from -1 to 1."""
    if channels != 1 or rate != int(metadata["sample_rate"]):
        raise ValueError(f"must be mono, 16 bit and {metadata['sample_rate']} Hz")
    return np.frombuffer(pcm, "<i2").astype(np.float32) / 32768


def classify(samples):
    [probabilities] = session.run(["probabilities"], {"waveform": samples[np.newaxis]})
    return dict(zip(json.loads(metadata["labels"]), probabilities[0].tolist(), strict=True))


def recipe(p):
    """The bytes of a probe, as docs/verify.md has it."""
    phase, high, state, samples = [[0] * 3, [0] * 3], [0, 0], p["seed"], []
    for i in range(p["frames"]):
        level = (p["note"] - i % p["note"]) * 256 // p["note"]
        for c in range(p["channels"]):
            value = 0
            for v in range(3):
                step = p["steps"][(i // p["note"] + 2 * v + 3 * c) % len(p["steps"])]
                phase[c][v] = (phase[c][v] + step) % 2**32
                value += abs((phase[c][v] >> 16) - 32768) - 16384
            value = (value * level) >> (9 + c)
            state = (state * 1664525 + 1013904223) % 2**32
            value += (((state >> 16) - 32768) * level) >> (p["noise"] - 2 * c)
            high[c] = (high[c] + p["high"]) % 2**32
            samples.append(value + ((abs((high[c] >> 16) - 32768) - 16384) >> 2 if p["high"] else 0))
    pcm = struct.pack(f"<{len(samples)}h", *samples)
    assert hashlib.sha256(pcm).hexdigest() == p["sha256"], "the recipe is not that of docs/verify.md"
    return pcm


def verify():
    """What this program answers to the model's probes; prints the mistake if it is wrong."""
    probes, labels = json.loads(metadata["probes"]), json.loads(metadata["labels"])
    answers, off, far = {}, 0, dict.fromkeys((m["name"] for m in probes["mistakes"]), 0)
    for k, p in enumerate(probes["probes"]):
        try:
            answers[p["name"]] = answer = classify(prepared(recipe(p), p["channels"], p["sample_rate"]))
        except ValueError as reason:
            answers[p["name"]] = print(f"{p['name']}: not tested: {reason}")
            continue
        # In tolerances, from the right answer and from that of each mistake.
        given = np.nan_to_num([answer[label] for label in labels], nan=9)
        distance = lambda right: np.abs(given - right).max() / p["tolerance"]
        print(f"{p['name']}: {'right' if distance(p['probabilities']) <= 1 else 'wrong'}")
        off = max(off, distance(p["probabilities"]))
        far = {m["name"]: max(far[m["name"]], distance(m["answers"][k] or p["probabilities"])) for m in probes["mistakes"]}
    if off > 1:
        mistake = min(far, key=far.get)
        print(f"the mistake is {mistake if far[mistake] < off / 3 else 'none of those known'}")
    return answers, off <= 1


verifies = sys.argv[1] == "--verify"
model, *rest = sys.argv[1 + verifies:]
session = onnxruntime.InferenceSession(model)
metadata = session.get_modelmeta().custom_metadata_map
if verifies:
    answers, right = verify()
    if rest:
        json.dump(answers, open(rest[0], "w"))
    sys.exit(not right)

with wave.open(rest[0]) as wav:
    if wav.getsampwidth() != 2:
        sys.exit(f"{rest[0]}: must be of 16 bits")
    try:
        samples = prepared(wav.readframes(wav.getnframes()), wav.getnchannels(), wav.getframerate())
    except ValueError as reason:
        sys.exit(f"{rest[0]}: {reason}")
for label, probability in classify(samples).items():
    print(f"{label}\t{probability:.6f}")

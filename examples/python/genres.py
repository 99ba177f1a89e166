"""Prints the genres of a wav: python genres.py MODEL.onnx CLIP.wav"""

import json
import sys
import wave

import numpy as np
import onnxruntime

model, clip = sys.argv[1:]
session = onnxruntime.InferenceSession(model)
metadata = session.get_modelmeta().custom_metadata_map

with wave.open(clip) as wav:
    if (wav.getnchannels(), wav.getsampwidth(), wav.getframerate()) != (1, 2, int(metadata["sample_rate"])):
        sys.exit(f"{clip}: must be mono, 16 bit and {metadata['sample_rate']} Hz")
    samples = np.frombuffer(wav.readframes(wav.getnframes()), "<i2").astype(np.float32) / 32768

[probabilities] = session.run(["probabilities"], {"waveform": samples[np.newaxis]})
for label, probability in zip(json.loads(metadata["labels"]), probabilities[0]):
    print(f"{label}\t{probability:.6f}")

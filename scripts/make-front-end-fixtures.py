#!/usr/bin/env python3
"""Writes tests/fixtures/front_ends.npz: a signal and the log-mels it should give.

Needs numpy only. It follows the definitions, not this crate: Google's
mel_features.py (VGGish, YAMNet) and librosa's melspectrogram (musicnn), in
float64 throughout.

    python3 scripts/make-front-end-fixtures.py
"""

from pathlib import Path

import numpy as np

RATE = 16_000
HTK_BREAK, HTK_Q = 700.0, 1127.0


def signal():
    """1.2 s of a chirp over pink-ish noise that fades, as PCM16 would hold it."""
    rng = np.random.default_rng(20_170_305)
    t = np.arange(RATE * 12 // 10) / RATE
    chirp = 0.4 * np.sin(2 * np.pi * (60 * t + 2_900 * t**2))
    noise = np.convolve(rng.standard_normal(t.size), [1, 0.9, 0.7, 0.4], "same")
    return np.round((chirp + 0.05 * noise * np.exp(-3 * t)) * 32_767).astype(np.int16)


def periodic_hann(n):
    return 0.5 - 0.5 * np.cos(2 * np.pi / n * np.arange(n))


def stft(x, window, hop, fft):
    """Frames wholly inside x, as mel_features.frame: [frames, fft / 2 + 1]."""
    count = 1 + (len(x) - window) // hop
    frames = np.stack([x[i * hop : i * hop + window] for i in range(count)])
    return np.fft.rfft(frames * periodic_hann(window), fft)


def google_mel_matrix(mels, fft, low_hz, high_hz):
    """mel_features.spectrogram_to_mel_matrix: [fft / 2 + 1, mels]."""
    to_mel = lambda hz: HTK_Q * np.log(1.0 + np.asarray(hz) / HTK_BREAK)
    bins = to_mel(np.linspace(0.0, RATE / 2, fft // 2 + 1))
    edges = np.linspace(to_mel(low_hz), to_mel(high_hz), mels + 2)
    columns = []
    for lower, centre, upper in zip(edges, edges[1:], edges[2:]):
        rising = (bins - lower) / (centre - lower)
        falling = (upper - bins) / (upper - centre)
        columns.append(np.maximum(0.0, np.minimum(rising, falling)))
    matrix = np.stack(columns, axis=1)
    matrix[0] = 0.0
    return matrix


def slaney_hz(mel):
    """librosa.mel_to_hz: 200/3 Hz a mel up to 1 kHz, then 27 mels for a factor of 6.4."""
    mel = np.asarray(mel, dtype=float)
    return np.where(mel < 15, mel * 200 / 3, 1_000 * np.exp(np.log(6.4) / 27 * (mel - 15)))


def librosa_mel_matrix(mels, fft, high_hz):
    """librosa.filters.mel(norm="slaney") from 0 Hz to high_hz > 1 kHz: [mels, fft / 2 + 1]."""
    bins = np.fft.rfftfreq(fft, 1 / RATE)
    edges = slaney_hz(np.linspace(0, 15 + np.log(high_hz / 1_000) * 27 / np.log(6.4), mels + 2))
    rows = []
    for lower, centre, upper in zip(edges, edges[1:], edges[2:]):
        rising = (bins - lower) / (centre - lower)
        falling = (upper - bins) / (upper - centre)
        rows.append(np.maximum(0.0, np.minimum(rising, falling)) * 2 / (upper - lower))
    return np.stack(rows)


def google(x, offset):
    spectrum = np.abs(stft(x, window=400, hop=160, fft=512))
    return np.log(spectrum @ google_mel_matrix(64, 512, 125, 7_500) + offset)


def musicnn(x):
    power = np.abs(stft(np.pad(x, 256), window=512, hop=256, fft=512)) ** 2
    return np.log10(10_000 * (power @ librosa_mel_matrix(96, 512, 8_000).T) + 1)


def main():
    pcm = signal()
    x = pcm / 32_768
    arrays = {"vggish": google(x, 0.01), "yamnet": google(x, 0.001), "musicnn": musicnn(x)}
    path = Path(__file__).parent.parent / "tests/fixtures/front_ends.npz"
    float32 = {name: log_mel.astype(np.float32) for name, log_mel in arrays.items()}
    np.savez_compressed(path, signal=pcm, **float32)
    for name, log_mel in arrays.items():
        print(f"{name}: {log_mel.shape}, {log_mel.min():.3f} to {log_mel.max():.3f}")
    print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes tests/fixtures/pictures: one spectrogram, drawn in the ways that people draw them.

Needs matplotlib and Pillow. `truth.png` holds the intensities themselves, grey of eight bits,
a pixel each, the lowest band in the last row.

    python3 scripts/make-picture-fixtures.py [FOLDER]
"""

import io
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

BANDS, FRAMES = 40, 72
FOLDER = Path(__file__).parent.parent / "tests" / "fixtures" / "pictures"


def spectrogram():
    """Notes with overtones over a floor that falls towards high tones; silence at the start and
    in the middle. From 0 to 1, `[bands, frames]`, the lowest band first."""
    rng = np.random.default_rng(7)
    band, frame = np.mgrid[0:BANDS, 0:FRAMES]
    power = 0.28 * np.exp(-band / 18) * (0.8 + 0.4 * rng.random((BANDS, 1))) * np.ones((1, FRAMES))
    for start in range(4, FRAMES, 7):
        tone, length = rng.integers(2, 9), rng.integers(5, 12)
        age = (frame - start) / length
        sounds = (age >= 0) & (age < 1.6)
        for overtone in range(1, 6):
            near = np.exp(-((band - tone * overtone * 0.9) ** 2) / 0.8)
            power += sounds * near * np.exp(-1.2 * age) / overtone**0.7
        power += 0.35 * np.exp(-np.abs(frame - start) * 1.5)
    power[:, :3] = 0
    power[:, 37:40] = 0
    return np.clip(power / power.max(), 0, 1)


T = np.round(spectrogram() * 255) / 255


def draw(how, cmap="magma", size=(4.0, 3.0), dpi=72, dark=False, **saving):
    """The bytes of a figure as PNG; `how` draws into it."""
    with plt.style.context("dark_background" if dark else "default"):
        figure = plt.figure(figsize=size, dpi=dpi)
        how(figure, figure.add_subplot(), cmap)
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=dpi, **saving)
        plt.close(figure)
    return file.getvalue()


def mesh(axes, cmap):
    """As librosa's specshow draws."""
    seconds = np.arange(FRAMES + 1) * 0.1
    hz = np.arange(BANDS + 1) * 200.0
    return axes.pcolormesh(seconds, hz, T, cmap=cmap, rasterized=True, vmin=0, vmax=1)


def bare(figure, axes, cmap):
    """GTZAN's form: no ticks, a frame."""
    mesh(axes, cmap)
    axes.set_xticks([])
    axes.set_yticks([])


def frameless(figure, axes, cmap):
    mesh(axes, cmap)
    axes.axis("off")


def with_axes(figure, axes, cmap):
    mesh(axes, cmap)
    axes.set(xlabel="Time", ylabel="Hz")


def with_bar(figure, axes, cmap):
    image = mesh(axes, cmap)
    axes.set(xlabel="Time", ylabel="Hz", title="Mel-frequency spectrogram")
    figure.colorbar(image, ax=axes, format="%+2.0f dB")


def with_bar_below(figure, axes, cmap):
    figure.colorbar(mesh(axes, cmap), ax=axes, orientation="horizontal")


def shown(figure, axes, cmap):
    """As `imshow` draws, which smooths where pixels are fewer than cells."""
    axes.imshow(T, origin="lower", aspect="auto", cmap=cmap, vmin=0, vmax=1)


def whole(cmap, values=None):
    """`imsave`: a pixel a cell."""
    file = io.BytesIO()
    plt.imsave(file, (T if values is None else values)[::-1], cmap=cmap, vmin=0, vmax=1)
    return file.getvalue()


def picture(png):
    return Image.open(io.BytesIO(png)).convert("RGB")


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def grey16():
    levels = np.round(T[::-1] * 65535).astype(np.uint16)
    return saved(Image.fromarray(levels), "PNG")


def grey8():
    return saved(Image.fromarray(np.round(T[::-1] * 255).astype(np.uint8)), "PNG")


MAPS = {
    "viridis": "Perceptually uniform",
    "plasma": "", "inferno": "", "cividis": "",
    "Greys": "", "Blues": "", "YlOrRd": "", "gray_r": "", "hot": "", "afmhot": "", "bone": "",
    "copper": "", "jet": "", "turbo": "", "coolwarm": "", "viridis_r": "",
}


def pictures():
    yield "truth.png", grey8()
    yield "gtzan.png", draw(bare)
    yield "axes.png", draw(with_axes)
    yield "bar.png", draw(with_bar, size=(5, 3))
    yield "bar-below.png", draw(with_bar_below)
    yield "bar-viridis-100dpi.png", draw(with_bar, "viridis", dpi=100)
    yield "bar-gray_r.png", draw(with_bar, "gray_r")
    yield "bar-hot.png", draw(with_bar, "hot")
    yield "axes-gray.png", draw(with_axes, "gray")
    yield "axes-200dpi.png", draw(with_axes, dpi=200)
    yield "dark-bar.png", draw(with_bar, dark=True)
    yield "dark-axes-gray.png", draw(with_axes, "gray", dark=True)
    yield "frameless-viridis.png", draw(frameless, "viridis")
    yield "tight.png", draw(frameless, bbox_inches="tight", pad_inches=0)
    yield "tight-axes.png", draw(with_axes, bbox_inches="tight")
    yield "transparent.png", draw(with_axes, transparent=True)
    yield "imshow-inferno.png", draw(shown, "inferno")
    yield "whole.png", whole("magma")
    for name in MAPS:
        yield f"whole-{name}.png", whole(name)
    yield "grey16.png", grey16()
    yield "palette.png", saved(picture(whole("plasma")).quantize(256), "PNG")
    yield "palette-axes.png", saved(picture(draw(with_axes)).quantize(128), "PNG")
    for quality in (75,):
        yield f"axes-q{quality}.jpg", saved(picture(draw(with_axes)), "JPEG", quality=quality)
    yield "gtzan-q75.jpg", saved(picture(draw(bare)), "JPEG", quality=75)
    yield "bar-viridis-progressive.jpg", saved(
        picture(draw(with_bar, "viridis")), "JPEG", quality=85, progressive=True
    )
    yield "grey.jpg", saved(picture(whole("gray")).convert("L"), "JPEG", quality=90)
    yield "resized.png", saved(picture(draw(bare)).resize((224, 224), Image.BILINEAR), "PNG")
    yield "resized-axes-viridis.png", saved(
        picture(draw(with_axes, "viridis")).resize((224, 224), Image.BICUBIC), "PNG"
    )
    yield "upside-down.png", whole("magma", T[::-1])


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in pictures():
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()

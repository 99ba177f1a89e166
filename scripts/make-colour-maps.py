#!/usr/bin/env python3
"""Writes src/features/colour_maps.png: a row of 256 colours for each of matplotlib's maps that
spectrograms are drawn in, in the order of `NAMES` in src/features/colour_maps.rs.

Needs matplotlib and Pillow.

    python3 scripts/make-colour-maps.py
"""

import re
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image

FOLDER = Path(__file__).parent.parent / "src" / "features"


def main():
    code = (FOLDER / "colour_maps.rs").read_text()
    names = re.findall(r'"(\w+)"', re.search(r"const NAMES: .*?= \[(.*?)\];", code, re.S)[1])
    rows = [matplotlib.colormaps[name](np.arange(256))[:, :3] for name in names]
    levels = np.round(np.stack(rows) * 255).astype(np.uint8)
    Image.fromarray(levels).save(FOLDER / "colour_maps.png", optimize=True)


if __name__ == "__main__":
    main()

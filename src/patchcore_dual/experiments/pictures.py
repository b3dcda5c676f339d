"""Fonts, colours and scaling that the thesis's figures have in common."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFont

GAP, LINE = 10, 18  # pixels: between panels, and the height of a line of text
INK, MUTED, RED, GREEN = (23, 27, 33), (91, 101, 114), (179, 38, 30), (31, 122, 77)
FONT = ImageFont.load_default(13)

Picture = NDArray[np.uint8]


def fit(picture: Picture, panel: tuple[int, int]) -> Image.Image:
    """The picture, uint8 `[H, W, 3]`, scaled to fit into a panel's width and height."""
    height, width = picture.shape[:2]
    scale = min(panel[0] / width, panel[1] / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS)

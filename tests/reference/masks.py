"""Resizing a mask so that no defect vanishes (3.2), and 8-connected defects, pixel by pixel."""

import math

import numpy as np


def defects(mask):
    """The 8-connected defects of bool [H, W], each a set of (row, column)."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    found = []
    while left:
        defect, border = set(), [min(left)]
        while border:
            y, x = border.pop()
            if (y, x) in left:
                left.remove((y, x))
                defect.add((y, x))
                border += [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        found.append(defect)
    return found


def resize_mask(mask, width, height):
    """Every new pixel is the old one that its centre lies in; then the missed defects are drawn."""
    old_height, old_width = mask.shape
    resized = np.zeros((height, width), dtype=bool)
    hit = set()
    for row in range(height):
        for column in range(width):
            y = math.floor((row + 0.5) * old_height / height)
            x = math.floor((column + 0.5) * old_width / width)
            if mask[y, x]:
                resized[row, column] = True
                hit.add((y, x))
    for defect in defects(mask):
        if not defect & hit:
            for y, x in defect:
                resized[math.floor(y * height / old_height), math.floor(x * width / old_width)] = (
                    True
                )
    return resized

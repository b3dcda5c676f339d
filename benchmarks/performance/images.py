"""Reads a prepared folder without PatchCoreDual, so that the peers see the very same images."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image


def listed(prepared: str, split: str, label: str = "") -> list[dict[str, str]]:
    """The rows of the manifest that lie in a split, in order."""
    with (Path(prepared) / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    return [row for row in rows if label in ("", row["label"])]


def read(prepared: str, row: dict[str, str]) -> np.ndarray:
    """uint8 `[H, W, 3]`, RGB."""
    with Image.open(Path(prepared) / row["image"]) as image:
        return np.asarray(image.convert("RGB"))


def mixed(rows: list[dict[str, str]], count: int) -> list[dict[str, str]]:
    """At most `count` rows, evenly drawn, so that good and defective ones keep their shares."""
    if len(rows) <= count:
        return rows
    return [rows[i] for i in np.linspace(0, len(rows) - 1, count).astype(int)]

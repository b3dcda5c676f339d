"""The sheet of pseudo masks shows every image with its outline, whole and close up."""

from dataclasses import replace

import numpy as np
import pytest

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.reading import write_png
from patchcore_dual.data.sample import Sample
from patchcore_dual.training import pseudo_mask_sheet
from patchcore_dual.training.pseudo_mask_sheet import draw_pseudo_masks

OUTLINE = (232, 64, 64)


def images(folder, count, shape=(60, 90)):
    samples, masks = [], {}
    for i in range(count):
        write_png(folder / f"{i}.png", np.full((*shape, 3), 128, np.uint8))
        samples.append(Sample(f"{i}.png", "", "positive", "train", source=f"scratch/{i}.png"))
        masks[f"{i}.png"] = np.zeros(shape, bool)
        masks[f"{i}.png"][shape[0] // 3 : shape[0] // 2, shape[1] // 3 : shape[1] // 2] = True
    return Manifest(folder, tuple(samples)), masks


def tiles_with_outlines(sheet, count):
    """How many tiles, two of each image, have an outline."""
    is_outline = (sheet == OUTLINE).all(axis=-1)
    found = 0
    for position in range(count):
        row, column = divmod(position, 3)
        x, y = 16 + column * 432, 44 + row * 238
        found += sum(is_outline[y : y + 200, x + dx : x + dx + 200].any() for dx in (0, 202))
    return found


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("shape", [(60, 90), (90, 60), (20, 400), (8, 8), (1200, 900)])
def test_every_image_is_shown_twice_with_its_outline(tmp_path, count, shape):
    manifest, masks = images(tmp_path, count, shape)
    sheet = draw_pseudo_masks(manifest, masks)
    assert sheet.dtype == np.uint8
    assert tiles_with_outlines(sheet, count) == 2 * count


def test_only_images_with_a_proposed_mask_are_shown(tmp_path):
    manifest, masks = images(tmp_path, 3)
    del masks["1.png"]
    assert tiles_with_outlines(draw_pseudo_masks(manifest, masks), 3) == 4


def test_a_sheet_that_leaves_images_out_says_so(tmp_path, monkeypatch):
    manifest, masks = images(tmp_path, 3)
    texts = []
    real = pseudo_mask_sheet.ImageDraw.Draw

    def draw(image):
        pen = real(image)
        text = pen.text
        pen.text = lambda xy, words, *rest: texts.append(words) or text(xy, words, *rest)
        return pen

    monkeypatch.setattr(pseudo_mask_sheet.ImageDraw, "Draw", draw)
    monkeypatch.setattr(pseudo_mask_sheet, "SHEET_LIMIT", 2)
    draw_pseudo_masks(manifest, masks)
    assert texts[0].endswith("the first 2 of 3")
    assert texts[1:] == ["scratch/0.png", "scratch/1.png"]


def test_a_long_name_keeps_its_end(tmp_path):
    manifest, masks = images(tmp_path, 1)
    long = manifest.where(replace(s, source="a long folder/" * 30 + "part.png") for s in manifest)
    assert draw_pseudo_masks(long, masks).shape == draw_pseudo_masks(manifest, masks).shape

"""Borrowed masks: through which side of the picture they run out, and specks beside the defect."""

import numpy as np
import pytest

from patchcore_dual.errors import DataError
from patchcore_dual.synthesis.generator import MIN_CHANGED_PIXELS, UnusableDefectError
from patchcore_dual.synthesis.masks.placing import borrow_mask
from patchcore_dual.synthesis.real_defects import RealDefect
from synthesis.generators_common import grey_surface

EVERYWHERE = np.ones((128, 96), bool)
# x, y, width and height of a defect that runs out through one side.
RUNS_OUT = {
    "left": (0, 60, 24, 4),
    "right": (72, 60, 24, 4),
    "top": (40, 0, 4, 24),
    "bottom": (40, 104, 4, 24),
}
OPPOSITE = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}


def borrowed_on(boxes, seed):
    mask = np.zeros((128, 96), bool)
    for x, y, width, height in boxes:
        mask[y : y + height, x : x + width] = True
    donor = RealDefect("donor.png", grey_surface(7), mask)
    return borrow_mask(donor, grey_surface(1), EVERYWHERE, np.random.default_rng(seed))


@pytest.mark.parametrize("side", RUNS_OUT)
def test_a_mask_runs_out_through_the_donors_side_or_if_mirrored_that_way_the_opposite_one(side):
    across = side in ("left", "right")
    seen = set()
    for seed in range(24):
        target = borrowed_on([RUNS_OUT[side]], seed)
        edges = {
            "left": target.pixels[:, 0],
            "right": target.pixels[:, -1],
            "top": target.pixels[0],
            "bottom": target.pixels[-1],
        }
        horizontal, vertical = target.provenance["mirrored"]
        expected = OPPOSITE[side] if (horizontal if across else vertical) else side
        assert edges[expected].any()
        assert not edges[OPPOSITE[expected]].any()
        seen.add((horizontal, vertical))
    assert len(seen) == 4


def test_specks_beside_the_defect_are_not_picked():
    size = MIN_CHANGED_PIXELS - 1
    specks = [(x, y, size, 1) for x in (8, 40, 72) for y in (8, 30, 52)]  # 63 pixels in all
    areas = [borrowed_on([(40, 90, 12, 12), *specks], seed).pixels.sum() for seed in range(40)]
    # A defect of 12 x 12, scaled by at least 0.75, and the margin; a speck with it has some 150.
    assert min(areas) > 180


def test_pieces_that_are_just_large_enough_are_picked():
    pieces = [(x, y, 3, 3) for x in (8, 72) for y in (8, 52)]
    areas = []
    for seed in range(40):
        try:
            areas.append(borrowed_on([(40, 90, 12, 12), *pieces], seed).pixels.sum())
        except UnusableDefectError:  # a piece that was scaled down
            areas.append(0)
    assert min(areas) < 150


def test_of_specks_alone_all_are_borrowed_together():
    specks = [(20 + 24 * i, 40, 5, 1) for i in range(3)]
    target = borrowed_on(specks, 0)
    columns = np.flatnonzero(target.pixels.any(axis=0))
    assert np.ptp(columns) > 2 * 24 * 0.75 - 4
    with pytest.raises(DataError, match="fewer than"):
        borrowed_on([(20, 40, 3, 1)], 0)

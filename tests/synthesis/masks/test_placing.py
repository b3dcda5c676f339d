import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalikes import surface
from patchcore_dual.data.reading import read_image, read_mask
from patchcore_dual.errors import DataError
from patchcore_dual.synthesis.generator import UnusableDefectError
from patchcore_dual.synthesis.masks.placing import (
    ON_PART,
    SCALES,
    borrow_mask,
    draw_mask,
    margin,
)
from patchcore_dual.synthesis.masks.shapes import draw_shape
from patchcore_dual.synthesis.masks.windows import defect_within, moved_mask, window_around
from patchcore_dual.synthesis.real_defects import RealDefect
from synthesis.generators_common import borrowed, grey_donor, grey_surface

EVERYWHERE = np.ones((128, 96), bool)
NORMAL = grey_surface(1)


def donor_with(*boxes: tuple[int, int, int, int]) -> RealDefect:
    """A donor whose mask is boxes of x, y, width, height."""
    mask = np.zeros((128, 96), bool)
    for x, y, width, height in boxes:
        mask[y : y + height, x : x + width] = True
    return RealDefect("donor.png", grey_surface(7), mask, "scratch")


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32))
def test_a_borrowed_mask_is_the_donors_moved_and_lies_on_the_part(seed):
    part = EVERYWHERE.copy()
    part[:, :30] = False
    mask = borrow_mask(grey_donor(), NORMAL, part, np.random.default_rng(seed))
    assert not (mask.pixels & ~part).any()
    whole = slice(0, 128), slice(0, 96)
    moved = moved_mask(mask.donor.mask, mask.matrix, whole)
    assert (moved & part).sum() >= ON_PART * moved.sum()
    assert not (moved & part & ~mask.pixels).any()
    scale = np.sqrt(abs(np.linalg.det(mask.matrix[:, :2])))
    assert SCALES[0] <= scale <= SCALES[1]
    # It is 40 x 5; linear resampling, cut at 1/3, moves its outline by 2/3 of a pixel at most.
    assert moved.sum() == pytest.approx(scale**2 * 200, abs=2 / 3 * scale * 2 * (40 + 5))
    far = cv2.distanceTransform((~moved).astype(np.uint8), cv2.DIST_L2, 5)
    assert far[mask.pixels].max() <= margin(NORMAL.shape) + 0.5


def test_the_matrix_takes_donor_pixels_to_the_mask():
    donor = grey_donor()
    for seed in range(10):
        mask = borrowed(donor, NORMAL, seed)
        y, x = np.nonzero(donor.mask)
        there = mask.matrix @ np.stack([x, y, np.ones_like(x)])
        column, row = np.rint(there).astype(int)
        assert mask.pixels[row, column].mean() > 0.95


def test_masks_differ_by_seed_and_repeat_by_seed():
    a, again, b = (borrowed(grey_donor(), NORMAL, seed) for seed in (1, 1, 2))
    assert np.array_equal(a.pixels, again.pixels)
    assert not np.array_equal(a.pixels, b.pixels)
    a, again, b = (draw_mask(NORMAL, EVERYWHERE, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(a.pixels, again.pixels)
    assert not np.array_equal(a.pixels, b.pixels)


def test_masks_reach_all_over_the_part():
    reached = np.zeros_like(EVERYWHERE)
    for seed in range(60):
        reached |= borrowed(grey_donor(), NORMAL, seed).pixels
    quarters = [
        reached[r, c].mean()
        for r in (slice(0, 64), slice(64, 128))
        for c in (slice(0, 48), slice(48, 96))
    ]
    assert min(quarters) > 0.5


def test_a_defect_that_runs_out_of_the_picture_does_so_again():
    cut = donor_with((60, 50, 36, 4))  # up to the right border
    sides = []
    for seed in range(12):
        pixels = borrowed(cut, NORMAL, seed).pixels
        sides.append((pixels[:, 0].any(), pixels[:, -1].any()))
        assert any(sides[-1])
    assert (True, False) in sides  # mirrored
    assert (False, True) in sides


def test_one_of_several_defects_is_taken_with_the_pieces_that_belong_to_it():
    several = donor_with((10, 20, 20, 4), (33, 20, 10, 4), (60, 100, 12, 12))
    pieces = []
    for seed in range(20):
        mask = borrowed(several, NORMAL, seed)
        defect = defect_within(mask, window_around(mask.pixels, 0)).astype(np.uint8)
        pieces.append(cv2.connectedComponents(defect)[0] - 1)
    assert set(pieces) == {1, 2}


def test_a_wide_defect_is_turned_less_than_a_slim_one():
    def turns(donor):
        return [abs(borrowed(donor, NORMAL, s).provenance["turn"]) for s in range(25)]

    assert max(turns(donor_with((20, 20, 50, 50)))) < 6 < max(turns(donor_with((20, 20, 50, 4))))


def test_real_masks_of_a_prepared_set(prepared):
    normals = list(prepared.part("train", "negative"))
    for i, sample in enumerate(prepared.part("train", "positive")):
        donor = RealDefect(
            sample.image,
            read_image(prepared.image_path(sample)),
            read_mask(prepared.mask_path(sample)),
            sample.kind,
        )
        normal = read_image(prepared.image_path(normals[i]))
        mask = borrowed(donor, normal)
        assert mask.donor is donor
        assert mask.provenance["donor"] == sample.image
        assert defect_within(mask, window_around(mask.pixels, 0)).sum() >= 8


@pytest.mark.parametrize(
    ("mask", "words"),
    [(np.zeros((128, 96), bool), "fewer than 8"), (np.ones((128, 96), bool), "whole image")],
)
def test_unusable_donor_masks_are_named(mask, words):
    donor = RealDefect("bad.png", NORMAL, mask)
    with pytest.raises(DataError, match=rf"bad\.png.*{words}"):
        borrow_mask(donor, NORMAL, EVERYWHERE, np.random.default_rng(0))


def test_sizes_that_do_not_fit_are_named():
    donor = RealDefect("bad.png", NORMAL, np.ones((5, 5), bool))
    with pytest.raises(DataError, match=r"bad\.png.*differ in size"):
        borrow_mask(donor, NORMAL, EVERYWHERE, np.random.default_rng(0))
    with pytest.raises(DataError, match="part's region"):
        borrow_mask(grey_donor(), NORMAL, EVERYWHERE[1:], np.random.default_rng(0))


def test_a_defect_larger_than_the_part_asks_for_another_try():
    part = np.zeros_like(EVERYWHERE)
    part[50:60, 40:50] = True
    with pytest.raises(UnusableDefectError, match=r"donor\.png"):
        borrow_mask(donor_with((5, 5, 70, 90)), NORMAL, part, np.random.default_rng(0))
    with pytest.raises(UnusableDefectError, match="found no room"):
        draw_mask(NORMAL, np.zeros_like(part), np.random.default_rng(0))


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), width=st.integers(48, 300), height=st.integers(48, 300))
def test_a_drawn_mask_lies_on_the_part(seed, width, height):
    normal = surface(1, width, height)
    part = np.ones((height, width), bool)
    part[: height // 4] = False
    try:
        mask = draw_mask(normal, part, np.random.default_rng(seed))
    except UnusableDefectError:
        return
    assert mask.pixels.shape == part.shape
    assert 8 <= mask.pixels.sum() < 0.3 * part.sum()
    assert not (mask.pixels & ~part).any()
    assert mask.kind in ("scratch", "spot", "crack")
    assert mask.donor is None


def test_scratches_and_cracks_are_thin_and_spots_are_not():
    def slimness(kind):  # area over the square of the half width
        ratios = []
        for seed in range(20):
            shape = np.pad(draw_shape(kind, 256, np.random.default_rng(seed)), 1).astype(np.uint8)
            half = cv2.distanceTransform(shape, cv2.DIST_L2, 5).max()
            ratios.append(shape.sum() / half**2)
        return np.median(ratios)

    assert slimness("spot") < 10 < 25 < min(slimness("scratch"), slimness("crack"))

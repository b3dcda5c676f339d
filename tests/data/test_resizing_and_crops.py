import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from lookalikes import surface
from patchcore_dual.data.crops import Box, crop_boxes, defect_boxes
from patchcore_dual.data.resizing import resize_image, resize_mask
from reference import masks as reference

masks = arrays(np.bool_, st.tuples(st.integers(1, 40), st.integers(1, 40)))
sizes = st.integers(1, 50)


@settings(max_examples=300)
@given(masks, sizes, sizes)
def test_masks_are_resized_as_by_the_reference(
    mask: NDArray[np.bool_], width: int, height: int
) -> None:
    expected = reference.resize_mask(mask, width, height)
    assert np.array_equal(resize_mask(mask, width, height), expected)


@pytest.mark.parametrize("scale", [2, 3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_sparse_masks_shrink_as_by_the_reference(scale: int, seed: int) -> None:
    """Diagonal hairlines: most are missed by the samples, and each is one 8-connected defect."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((60, 45), np.bool_)
    for y, x in rng.integers(0, 40, (12, 2)):
        mask[y + np.arange(5), x + np.arange(5)] = True
    small = 45 // scale, 60 // scale
    assert np.array_equal(resize_mask(mask, *small), reference.resize_mask(mask, *small))


def test_a_diagonal_line_is_one_defect() -> None:
    """It is hit once, so nothing is added; as single pixels, the others would be drawn."""
    mask = np.zeros((6, 6), np.bool_)
    mask[[0, 1, 2, 3], [0, 1, 2, 3]] = True
    assert resize_mask(mask, 2, 2).tolist() == [[True, False], [False, False]]


def test_samples_are_taken_at_pixel_centres() -> None:
    """Of 4 columns made 2, the centres fall into columns 1 and 3, by the rule for ties."""
    columns = np.eye(4, dtype=np.bool_)
    assert resize_mask(columns[1:2], 2, 1).tolist() == [[True, False]]
    assert resize_mask(columns[3:4], 2, 1).tolist() == [[False, True]]
    assert resize_mask(columns[1:2], 8, 1).tolist() == [[False, False, True, True] + [False] * 4]
    # Missed by the samples, so drawn where they project to.
    assert resize_mask(columns[2:3], 2, 1).tolist() == [[False, True]]


@settings(max_examples=200)
@given(masks)
def test_boxes_are_those_of_the_reference_defects(mask: NDArray[np.bool_]) -> None:
    expected = []
    for defect in reference.defects(mask):
        (top, left), (bottom, right) = np.min([*defect], 0), np.max([*defect], 0)
        expected.append(Box(left, top, right - left + 1, bottom - top + 1))
    assert sorted(defect_boxes(mask)) == sorted(expected)


def components(mask: NDArray[np.bool_]) -> tuple[int, NDArray[np.int32]]:
    return cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)


@settings(max_examples=300)
@given(masks, sizes, sizes)
def test_no_defect_is_lost_and_none_invented(
    mask: NDArray[np.bool_], width: int, height: int
) -> None:
    resized = resize_mask(mask, width, height)
    assert resized.shape == (height, width)
    assert resized.any() == mask.any()
    n, labels = components(mask)
    for defect in range(1, n):
        y, x = np.nonzero(labels == defect)
        # Somewhere within a pixel of what the defect covers, the new mask marks it.
        top, bottom = y.min() * height // mask.shape[0], -(-(y.max() + 1) * height // mask.shape[0])
        left, right = x.min() * width // mask.shape[1], -(-(x.max() + 1) * width // mask.shape[1])
        assert resized[top:bottom, left:right].any()


def test_nearest_neighbour_where_nothing_vanishes() -> None:
    mask = np.zeros((20, 20), np.bool_)
    mask[4:12, 6:14] = True
    expected = np.zeros((10, 10), np.bool_)
    expected[2:6, 3:7] = True
    assert np.array_equal(resize_mask(mask, 10, 10), expected)


def test_hairline_survives_at_its_place() -> None:
    mask = np.zeros((630, 230), np.bool_)
    mask[100, 40:90] = True
    y, x = np.nonzero(resize_mask(mask, 56, 158))
    assert set(y) == {25}
    assert (x.min(), x.max()) == (9, 21)


def test_downsizing_is_antialiased() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 254
    small = resize_image(stripes, 16, 16)
    assert small.shape == (16, 16, 3)
    assert np.abs(small.astype(int) - 127).max() < 20
    image = surface(0, 20, 30)
    assert np.array_equal(resize_image(image, 20, 30), image)


def test_tight_boxes_join_diagonal_neighbours() -> None:
    mask = np.zeros((20, 20), np.bool_)
    mask[2, 2] = mask[3, 3] = True
    mask[10:12, 5:15] = True
    assert defect_boxes(mask) == [Box(2, 2, 2, 2), Box(5, 10, 10, 2)]
    assert defect_boxes(np.zeros((5, 5), np.bool_)) == []


def test_crop_is_grown_by_a_quarter_and_at_least_64() -> None:
    mask = np.zeros((632, 224), np.bool_)
    mask[100:200, 100:108] = True
    (box,) = crop_boxes(mask)
    assert (box.width, box.height) == (64, 125)
    assert (box.x, box.y) == (72, 88)


def test_crop_at_the_border_keeps_its_size() -> None:
    mask = np.zeros((632, 224), np.bool_)
    mask[0, 223] = True
    assert crop_boxes(mask) == [Box(160, 0, 64, 64)]
    assert crop_boxes(np.ones((30, 40), np.bool_)) == [Box(0, 0, 40, 30)]


@settings(max_examples=100)
@given(arrays(np.bool_, st.tuples(st.integers(1, 300), st.integers(1, 300)), fill=st.just(False)))
def test_crops_hold_every_defect_and_do_not_overlap(mask: NDArray[np.bool_]) -> None:
    boxes = crop_boxes(mask)
    covered = np.zeros(mask.shape, np.int32)
    for box in boxes:
        assert box.x >= 0
        assert box.x + box.width <= mask.shape[1]
        assert box.y >= 0
        assert box.y + box.height <= mask.shape[0]
        assert box.width >= min(64, mask.shape[1])
        box.cut(covered)[:] += 1
    assert covered.max() <= 1
    assert (covered[mask] == 1).all()

"""`Motion`: what is undone can be redone, and no defect vanishes."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchcore_dual.utils.motion import Motion

MOTIONS = st.builds(
    Motion,
    x=st.floats(-9, 9),
    y=st.floats(-9, 9),
    turn=st.floats(-8, 8),
)


@given(motion=MOTIONS, x=st.integers(25, 54), y=st.integers(25, 44))
def test_a_single_pixel_of_a_mask_stays_and_lies_where_the_motion_says(motion, x, y):
    mask = np.zeros((70, 80), bool)
    mask[y, x] = True
    aligned = motion.undo_mask(mask)
    assert aligned.any()
    rows, columns = np.nonzero(aligned)
    place = motion.matrix(70, 80) @ [columns.mean(), rows.mean(), 1]
    assert np.hypot(*(place - [x, y])) <= 1


@given(motion=MOTIONS)
def test_a_map_comes_back_to_where_the_image_had_it(motion):
    given_map = np.zeros((70, 80), np.float32)
    given_map[28:40, 30:46] = 1
    given_map = cv2.GaussianBlur(given_map, (0, 0), 3)
    back = motion.redo(motion.undo(given_map))
    assert np.abs(back - given_map)[15:55, 15:65].max() < 0.05


@given(motion=MOTIONS, factor=st.sampled_from([0.5, 2, 3]))
def test_a_scaled_motion_moves_places_alike_at_another_size(motion, factor):
    """A place at 1/4 of the width and 1/3 of the height, as a share of both sides."""
    shares = []
    for one, times in ((motion, 1), (motion.scaled(factor), factor)):
        height, width = int(60 * times), int(80 * times)
        start = np.array([width / 4 - 0.5, height / 3 - 0.5, 1])
        shares.append((one.matrix(height, width) @ start + 0.5) / [width, height])
    np.testing.assert_allclose(*shares, atol=1e-9)


def test_without_motion_images_masks_and_maps_are_left_as_they_are():
    image, mask = np.zeros((4, 5, 3), np.uint8), np.ones((4, 5), bool)
    values = np.zeros((4, 5), np.float32)
    still = Motion(confidence=0.5)
    assert still.undo(image) is image
    assert still.undo_mask(mask) is mask
    assert still.redo(values) is values


def test_what_comes_in_repeats_the_border_and_what_is_not_seen_gets_the_least_of_the_map():
    image = np.arange(5, dtype=np.uint8)[None].repeat(4, 0)
    moved = Motion(x=-2)
    np.testing.assert_array_equal(moved.undo(image)[0], [0, 0, 0, 1, 2])
    values = np.array([[5, 6, 7, 8, 9]], np.float32)
    np.testing.assert_array_equal(moved.redo(values), [[7, 8, 9, 5, 5]])


def test_what_is_not_inspected_of_a_map_moves_with_it():
    values = np.array([[np.nan, 6, 7, 8, 9]], np.float32)
    np.testing.assert_array_equal(Motion(x=2).redo(values), [[6, 6, np.nan, 6, 7]])


@pytest.mark.parametrize(("turn", "text"), [(0, "moved by 1.0, -2.5 pixels"), (3, ", turned by 3")])
def test_a_motion_prints_itself(turn, text):
    assert text in str(Motion(x=1, y=-2.5, turn=turn))

"""`Aligner`: motions that are known are found, and what cannot be aligned is said to be so."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalikes import bracket, surface
from patchcore_dual.data.alignment import Aligner, frame_of
from patchcore_dual.data.inputs import InRegion, read_input
from patchcore_dual.data.resizing import resize_image
from patchcore_dual.errors import DataError, SettingsError
from patchcore_dual.utils.motion import Motion

REFERENCE = frame_of(bracket(0)[0])
RIGID = Aligner(REFERENCE).with_usual([0.88, 0.9, 0.92])


def colour(grey):
    return np.repeat(grey[..., None], 3, axis=2) if grey.ndim == 2 else grey


def part(number, *motion, **options):
    return colour(bracket(number, *motion, **options)[0])


@settings(max_examples=25)
@given(
    number=st.integers(1, 99),
    x=st.floats(-20, 20),
    y=st.floats(-14, 14),
    turn=st.floats(-8, 8),
)
def test_known_motions_are_found_to_a_fraction_of_a_pixel(number, x, y, turn):
    found = RIGID.find(part(number, x, y, turn))
    assert not found.reason
    assert np.hypot(found.x - x, found.y - y) < 0.6
    assert abs(found.turn - turn) < 0.6


@pytest.mark.parametrize("factor", [0.5, 3])
def test_the_motion_is_in_pixels_of_the_image_as_it_was_given(factor):
    image = part(3, 8, -6, 3)
    width, height = round(160 * factor), round(120 * factor)
    found = RIGID.find(resize_image(image, width, height))
    assert (found.x, found.y) == pytest.approx((8 * factor, -6 * factor), abs=0.6 * factor)
    found = RIGID.find(image, (width, height))
    assert (found.x, found.y) == pytest.approx((8 * factor, -6 * factor), abs=0.6 * factor)


def test_translation_alone_finds_no_turn():
    found = Aligner(REFERENCE, "translation").find(part(4, 7, 5))
    assert (found.x, found.y, found.turn) == pytest.approx((7, 5, 0), abs=0.5)


def test_a_part_that_hardly_moved_is_left_as_it_is_to_the_bit():
    image = read_input(part(5, 0.2, 0.1), (160, 120))
    aligned = image.aligned(RIGID)
    assert aligned.motion.is_none
    assert aligned.motion.confidence > 0.8
    assert aligned.resized is image.resized


def test_aligning_twice_changes_nothing_more():
    once = read_input(part(6, 11, -7, 4), (160, 120)).aligned(RIGID)
    assert once.motion.shift > 10
    assert read_input(once.resized, (160, 120)).aligned(RIGID).motion.is_none


@pytest.mark.parametrize("size", [(160, 120), (80, 60)])
def test_an_image_is_aligned_at_its_own_size_and_its_map_and_mask_follow(size):
    image = read_input(part(7, 12, 8, 5), size).aligned(RIGID)
    still = read_input(part(7), size)
    error = np.abs(image.resized.astype(int) - still.resized)
    inner = (slice(size[1] // 6, -size[1] // 6), slice(size[0] // 6, -size[0] // 6))
    before = np.abs(read_input(part(7, 12, 8, 5), size).resized.astype(int) - still.resized)
    assert error[inner].mean() < before[inner].mean() / 2
    given_mask = bracket(7, 12, 8, 5, scratched=True)[1] > 0
    still_mask = bracket(7, scratched=True)[1] > 0
    aligned = image.aligned_mask(given_mask)
    assert (aligned & still_mask).sum() > 0.6 * still_mask.sum()
    heat = np.float32(still_mask)
    back = image.as_given(heat)
    centres = [np.argwhere(m > 0.5).mean(0) for m in (back, given_mask)]
    assert np.hypot(*(centres[0] - centres[1])) < 1


def test_a_part_whose_region_of_interest_is_out_of_view_cannot_be_inspected():
    image = read_input(part(7, 20, 0), (160, 120))  # 20 columns of it left the image on the right
    assert image.aligned(RIGID).motion.x > 18
    roi = np.zeros((120, 160), bool)
    roi[40:80, 112:] = True  # more than half of it can be seen
    assert not image.aligned(RIGID, roi).motion.reason
    roi[:, :132] = False
    unseen = image.aligned(RIGID, roi)
    assert unseen.motion.reason.startswith("its region of interest is out of view: the part is")
    assert unseen.resized is image.resized
    left = np.zeros((120, 160), bool)
    left[40:80, :15] = True  # of the image as it was given: it shows nothing of the aligned view
    image = read_input(InRegion(image.original, left), (160, 120))
    assert "out of view" in image.aligned(RIGID).motion.reason


@pytest.mark.parametrize(
    "other",
    [np.full((120, 160, 3), 90, np.uint8), surface(1, 160, 120)],
    ids=["blank", "another product"],
)
def test_what_is_not_such_a_part_cannot_be_aligned(other):
    image = read_input(other, (160, 120)).aligned(RIGID)
    assert "cannot be aligned" in image.motion.reason
    np.testing.assert_array_equal(image.resized, other)
    heat = np.random.default_rng(0).random((120, 160), np.float32)
    assert image.as_given(heat) is heat


def test_a_part_beyond_the_limits_cannot_be_aligned():
    near = Aligner(REFERENCE, max_shift=0.05, max_turn=2).with_usual([0.9, 0.9])
    assert near.find(part(9, 30, 0)).reason
    assert near.find(part(9, 0, 0, 9)).reason
    assert not near.find(part(9, 4, 2, 1)).reason


def test_an_image_of_other_proportions_is_not_stretched_to_fit():
    found = RIGID.find(resize_image(part(1), 120, 120), (240, 120))
    assert "proportions, 240x120" in found.reason
    assert found.confidence == 0


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_shift": 0}, "largest shift is 0"),
        ({"max_shift": 0.6}, "at most 0.4"),
        ({"max_turn": -1}, "largest turn is -1"),
        ({"max_turn": 90}, "at most 45"),
        ({"mode": "affine"}, "not 'affine'"),
    ],
)
def test_limits_out_of_range_are_refused(limits, message):
    with pytest.raises(SettingsError, match=message):
        Aligner(REFERENCE, **limits)


def test_nothing_is_aligned_to_a_blank_image():
    with pytest.raises(DataError, match=r"nothing can be aligned to blank.png: it is blank"):
        Aligner(np.full((120, 160), 7, np.uint8), source="blank.png")


def test_nothing_is_aligned_where_each_part_has_a_texture_of_its_own():
    texture = [surface(n, 160, 120) for n in range(6)]
    aligner = Aligner(frame_of(texture[0]))
    with pytest.raises(DataError, match="too little in common"):
        aligner.with_usual([aligner.find(one).confidence for one in texture[1:]])


def test_no_motion_is_undone_where_there_is_a_reason_not_to():
    assert Motion(reason="it is upside down").reason
    image = read_input(surface(3, 160, 120), (160, 120))
    assert image.aligned(None) is image

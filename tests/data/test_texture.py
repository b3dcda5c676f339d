import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchcore_dual.data.texture import agreement, texture_of


def surface(seed: int, height: int = 200, width: int = 160) -> np.ndarray:
    return np.random.default_rng(seed).integers(40, 200, (height, width), np.uint8)


@settings(max_examples=20)
@given(
    down=st.integers(-20, 20),
    right=st.integers(-20, 20),
    gain=st.floats(0.3, 1.2),
    bias=st.floats(0, 15),
)
def test_shift_and_exposure_do_not_matter(down, right, gain, bias):
    whole = surface(1)
    one = whole[30:170, 30:130]
    other = np.clip(gain * whole[30 + down : 170 + down, 30 + right : 130 + right] + bias, 0, 255)
    assert agreement(texture_of(one), texture_of(other.astype(np.uint8))) > 0.9


@settings(max_examples=20)
@given(st.integers(2, 10_000))
def test_another_surface_does_not_agree(seed):
    assert agreement(texture_of(surface(1)), texture_of(surface(seed))) < 0.35


def test_a_slight_turn_is_followed():
    blurred = cv2.GaussianBlur(surface(1), (0, 0), 1.5)
    turn = cv2.getRotationMatrix2D((80, 100), 1.0, 1.0)
    turned = cv2.warpAffine(blurred, turn, (160, 200), borderMode=cv2.BORDER_REFLECT_101)
    assert agreement(texture_of(blurred), texture_of(np.asarray(turned, np.uint8))) > 0.8


def test_a_defect_may_differ_but_not_a_fifth():
    image = surface(1)
    scratched, covered = image.copy(), image.copy()
    scratched[90:110, 60:80] = 10
    covered[:, :50] = surface(2)[:, :50]
    assert agreement(texture_of(image), texture_of(scratched)) > 0.9
    assert agreement(texture_of(image), texture_of(covered)) < 0.35


@pytest.mark.parametrize(
    ("shape", "agrees"), [((1, 1), 0), ((3, 400), 0), ((7, 9), 0), ((20, 20), 0), ((40, 30), 1)]
)
def test_pictures_agree_with_themselves_but_the_smallest_say_nothing(shape, agrees):
    one = texture_of(surface(3, *shape))
    assert agreement(one, one) == pytest.approx(agrees, abs=1e-3)


def test_flat_pictures_say_nothing():
    flat = texture_of(np.full((100, 100), 200, np.uint8))
    assert agreement(flat, flat) == 0

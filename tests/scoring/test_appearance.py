"""Each statistic follows what it is named for, and a defect or what is not inspected moves none."""

import json

import cv2
import numpy as np
import pytest

from patchcore_dual.scoring.appearance import GRID, OF_PIXELS, STATISTICS, Appearance, look_of

EVERYWHERE = np.ones((8, 8), bool)


@pytest.fixture
def image():
    random = np.random.default_rng(0)
    grey = 120 + 40 * cv2.GaussianBlur(random.standard_normal((128, 96)), (0, 0), 1)
    return np.repeat(np.rint(grey).astype(np.uint8)[..., None], 3, axis=2)


def values(image, inspected=EVERYWHERE):
    return dict(zip(OF_PIXELS, look_of(image, inspected).values.tolist(), strict=True))


def changed(image, change):
    return np.clip(np.rint(change(image.astype(float))), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("change", "name", "sign"),
    [
        (lambda x: x * 1.1, "contrast", 1),
        (lambda x: x + 10, "brightness", 1),
        (lambda x: x - 10, "brightness", -1),
        (lambda x: cv2.GaussianBlur(x, (0, 0), 1), "sharpness", -1),
        (lambda x: x * np.array([1.05, 1, 0.95]), "warmth", 1),
        (lambda x: x * np.array([1, 1.05, 1]), "tint", 1),
        (lambda x: x * np.linspace(0.9, 1.1, 96)[None, :, None], "tilt_x", 1),
        (lambda x: x * np.linspace(1.1, 0.9, 128)[:, None, None], "tilt_y", -1),
    ],
)
def test_a_change_moves_the_statistic_that_is_named_for_it(image, change, name, sign):
    moved = values(changed(image, change))[name] - values(image)[name]
    least = {"brightness": 8, "warmth": 8, "tint": 4, "tilt_x": 0.06, "tilt_y": 0.06}
    assert sign * moved > least.get(name, 0.05)


def test_sharpness_says_nothing_of_gain_and_offset(image):
    other = changed(image, lambda x: 0.8 * x + 30)
    assert values(other)["sharpness"] == pytest.approx(values(image)["sharpness"], abs=0.05)


def test_edges_that_move_are_seen():
    image = np.full((64, 64, 3), 100, np.uint8)
    image[20:40, 10:20] = 200
    moved = np.roll(image, 8, axis=1)
    assert values(moved)["place_x"] - values(image)["place_x"] == pytest.approx(8 / 64, abs=0.02)


def test_what_is_not_inspected_moves_nothing(image):
    inspected = EVERYWHERE.copy()
    inspected[:2] = False
    other = image.copy()
    other[:32] = 0
    assert values(image, inspected) == values(other, inspected)
    assert values(image) != values(other)
    distance = np.ones((8, 8), np.float32)
    distance[~inspected] = np.nan
    appearance = Appearance.of(look_of(image, inspected), distance, usual=0.5)
    assert appearance.values[:2].tolist() == [1, 1]
    assert np.array_equal(appearance.distance, np.ones((GRID, GRID)))


def test_blur_is_seen_in_a_small_region(image):
    inspected = np.zeros_like(EVERYWHERE)
    inspected[2:5, 2:5] = True
    blurred = cv2.GaussianBlur(image, (0, 0), 1.5)
    change = values(blurred, inspected)["sharpness"] - values(image, inspected)["sharpness"]
    assert change < -0.1


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (5, 300), (64, 64)])
def test_images_of_any_size_and_json(shape):
    random = np.random.default_rng(1)
    image = random.integers(0, 256, (*shape, 3), dtype=np.uint8)
    cells = max(1, shape[0] // 8), max(1, shape[1] // 8)
    look = look_of(image, np.ones(cells, bool))
    one = Appearance.of(look, random.random(cells, dtype=np.float32), usual=0.5)
    again = Appearance.from_json(json.loads(json.dumps(one.to_json())))
    assert np.array_equal(again.values, one.values)  # as `drift` reads them in a log
    assert np.isfinite(one.values).all()
    assert len(one.values) == len(STATISTICS)
    np.testing.assert_allclose(again.brightness, one.brightness, atol=0.06)
    np.testing.assert_allclose(again.distance, one.distance, rtol=1e-3)


@pytest.mark.parametrize("damage", [{"values": {}}, {"brightness": [1]}, {"distance": None}])
def test_damaged_values_are_refused(image, damage):
    one = Appearance.of(look_of(image, EVERYWHERE), np.ones((8, 8), np.float32), 0.5)
    with pytest.raises((KeyError, TypeError, ValueError)):
        Appearance.from_json({**one.to_json(), **damage})

"""Regions of interest as files: masks, polygons, and what is wrong with either."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalikes import save
from patchcore_dual.data.roi import in_both, read_roi, region_for, resize_region
from patchcore_dual.errors import DataError

SIZE = 12, 9
TRIANGLE = [[1, 1], [10, 2], [4, 8]]


def polygons(path, **content):
    path.write_text(json.dumps({"width": SIZE[0], "height": SIZE[1], **content}))
    return path


def lies_inside(x, y, polygon):
    """Ray casting, one point at a time."""
    inside = False
    for (x0, y0), (x1, y1) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
        if (y0 <= y) != (y1 <= y) and x >= x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            inside = not inside
    return inside


def test_mask_is_inspected_where_white(tmp_path):
    white = np.zeros((*SIZE[::-1], 3), np.uint8)
    white[:, :5] = 255
    path = save(tmp_path / "mask.png", white)
    inspected = white[..., 0] > 0
    assert np.array_equal(read_roi(path), inspected)
    assert np.array_equal(read_roi(None, path), ~inspected)
    assert read_roi(None) is None


points = st.tuples(
    st.integers(0, 2 * SIZE[0]).map(lambda n: n / 2),
    st.integers(0, 2 * SIZE[1]).map(lambda n: n / 2),
)


@given(st.lists(points, min_size=3, max_size=7))
def test_polygon_holds_the_pixels_whose_centres_lie_in_it(tmp_path_factory, polygon):
    path = polygons(tmp_path_factory.getbasetemp() / "one.json", ignore=[polygon])
    expected = [
        [not lies_inside(x + 0.5, y + 0.5, polygon) for x in range(SIZE[0])] for y in range(SIZE[1])
    ]
    if np.any(expected):
        assert np.array_equal(read_roi(path), expected)


def test_include_and_ignore(tmp_path):
    square = [[2, 2], [4, 2], [4, 4], [2, 4]]
    included = read_roi(polygons(tmp_path / "a.json", include=[TRIANGLE]))
    both = read_roi(polygons(tmp_path / "b.json", include=[TRIANGLE], ignore=[square]))
    hole = np.zeros_like(included)
    hole[2:4, 2:4] = True
    assert np.array_equal(both, included & ~hole)
    as_ignored = read_roi(None, tmp_path / "a.json")  # the opposite of the same file
    assert np.array_equal(as_ignored, ~included)
    two_files = read_roi(tmp_path / "a.json", polygons(tmp_path / "c.json", ignore=[square]))
    assert np.array_equal(two_files, both)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"include": [[[0, 0], [1, 1]]]}, "polygon 1 of include has fewer than 3 points"),
        (
            {"include": [TRIANGLE, [[0, 0], [1, 1], [99, 1]]]},
            "polygon 2 .* outside the image of 12x9",
        ),
        ({"ignore": [[[0, 0], [1, -1], [2, 2]]]}, r"\[1, -1\], which lies outside"),
        ({"ignore": [[[0, 0], ["a", 1], [2, 2]]]}, r"\['a', 1\]; give two numbers"),
        ({"ignore": [[[0, 0], [float("nan"), 1], [2, 2]]]}, "give two numbers"),
        ({"ignore": [[[0, 0], [True, 1], [2, 2]]]}, "give two numbers"),
        ({"ignore": [[[0, 0], [1, 1, 1], [2, 2]]]}, "give two numbers"),
        ({"ignore": {"a": 1}}, "give a list of polygons"),
        ({"ignore": [TRIANGLE], "width": "12"}, "width is '12'. Give the width in pixels"),
        ({"ignore": [TRIANGLE], "height": 0}, "height is 0"),
        ({"polygons": [TRIANGLE]}, "has no polygons: it has to be an object with"),
        ({"ignore": [TRIANGLE], "more": 1}, "unknown key 'more'"),
        ({"ignore": [[[0, 0], [12, 0], [12, 9], [0, 9]]]}, "leaves nothing to inspect"),
    ],
)
def test_polygons_that_are_none(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read_roi(polygons(tmp_path / "bad.json", **content))


def test_files_that_are_none(tmp_path):
    with pytest.raises(DataError, match=r"a\.json cannot be read: No such file"):
        read_roi(tmp_path / "a.json")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(DataError, match=r"a\.json is no JSON"):
        read_roi(tmp_path / "a.json")
    black = save(tmp_path / "black.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(DataError, match=r"black\.png leaves nothing to inspect"):
        read_roi(black)


def test_regions_are_resized_as_images_are():
    region = np.zeros((40, 60), bool)
    region[:, 33:] = True
    small = resize_region(region, 6, 4)
    assert small.shape == (4, 6)
    assert small.all(axis=0).tolist() == [False, False, False, True, True, True]
    assert resize_region(region, 60, 40) is region
    with pytest.raises(DataError, match="60x40, and the image is 40x40: their proportions differ"):
        resize_region(region, 40, 40)


def test_region_is_drawn_on_the_prepared_image_or_on_the_photograph():
    region = np.zeros((40, 60), bool)
    region[:20] = True
    squeezed = region_for(region, [(8, 8), (600, 400)])  # images were distorted when prepared
    assert squeezed.shape == (8, 8)
    assert squeezed.all(axis=1).tolist() == [True] * 4 + [False] * 4
    with pytest.raises(DataError, match="60x40"):
        region_for(region, [(8, 8), (40, 400)])


def test_what_lies_in_both():
    left, top = np.zeros((2, 4, 4), bool)
    left[:, :2] = top[:2] = True
    assert in_both(left, None) is left
    assert in_both(None, top) is top
    assert in_both(left, top).sum() == 4
    with pytest.raises(DataError, match="nothing is left to inspect"):
        in_both(left, ~left)

"""Fig. 1: which rows it has, and the crops that make small defects visible."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchcore_dual.data.subsets import choose_defects
from patchcore_dual.errors import DataError
from patchcore_dual.experiments import figure1 as module
from patchcore_dual.experiments.figure1 import _window, figure1
from patchcore_dual.synthesis import CPU_GENERATORS


@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    corners=st.lists(st.integers(0, 299), min_size=4, max_size=4),
)
def test_a_window_holds_the_defect_and_is_square_where_it_has_room(height, width, corners):
    image = np.zeros((height, width, 3), np.uint8)
    rows, columns = sorted(c % height for c in corners[:2]), sorted(c % width for c in corners[2:])
    mask = np.zeros((height, width), bool)
    mask[rows[0] : rows[1] + 1, columns[0] : columns[1] + 1] = True
    for known in (mask, None):
        box = _window(image, known)
        assert min(box.x, box.y) >= 0
        assert box.cut(image).shape[:2] == (box.height, box.width)
        assert box.width == min(width, max(box.width, box.height))
        assert box.height == min(height, max(box.width, box.height))
    assert _window(image, mask).cut(mask).sum() == mask.sum()


def test_the_prepared_sets_own_images_are_shown_and_others_are_made(tiles, monkeypatch):
    defects = tiles.part("train", "positive").samples[:2]
    own = [
        replace(s, image=s.image, origin="diag", provenance={"parents": [s.image]}) for s in defects
    ]
    made = []
    real = module.SyntheticSource.__call__
    monkeypatch.setattr(
        module.SyntheticSource, "__call__", lambda *a: (made.append((a[2], a[3])), real(*a))[1]
    )
    picture, names = figure1(tiles.where([*own, *tiles]))
    assert names == ["Normal", "Real defects", *CPU_GENERATORS, "DIAG"]
    assert made == [*((g, 6) for g in CPU_GENERATORS), ("diag", 2)]
    assert picture.dtype == np.uint8
    again, _ = figure1(tiles.where([*own, *tiles]))
    np.testing.assert_array_equal(again, picture)


def test_without_defects_only_what_can_be_made_is_shown(tiles):
    _, names = figure1(choose_defects(tiles, 0, (), 0))
    assert "Real defects" not in names
    assert "poisson" not in names
    assert "strokes" in names


def test_without_normal_images_there_is_nothing_to_show(tiles):
    with pytest.raises(DataError, match="no normal training images"):
        figure1(tiles.part(label="positive"))

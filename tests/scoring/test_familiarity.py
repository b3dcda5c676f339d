"""An image is foreign where most of its patches are farther than those of any training image."""

import math

import numpy as np
import pytest

from patchcore_dual.scoring import Evidence, HeldOutImage, Nearest, TrainingEvidence
from patchcore_dual.scoring.familiarity import greatest_distance, is_foreign


def at(distance: float, outliers: int = 0) -> Nearest:
    grid = np.full((4, 4), distance, np.float32)
    grid.flat[:outliers] = 1e6
    return Nearest(grid, np.zeros((4, 4), int))


def held_out(*distances: float) -> tuple[HeldOutImage, ...]:
    return tuple(HeldOutImage(Evidence(at(d)), 0, 8, 8) for d in distances)


NORMALS = held_out(*np.linspace(1, 2, 10))


def test_the_limit_is_above_all_training_images_by_the_range_of_normal_ones() -> None:
    assert greatest_distance(TrainingEvidence(NORMALS)) == pytest.approx(math.log(4))
    with_defects = TrainingEvidence(NORMALS, held_out(3.0))
    assert greatest_distance(with_defects) == pytest.approx(math.log(6))


def test_normal_images_that_hardly_vary_leave_a_margin() -> None:
    alike = TrainingEvidence(held_out(*[2.0] * 10))
    assert greatest_distance(alike) == pytest.approx(math.log(2.4))


def test_few_normal_images_set_no_limit() -> None:
    assert greatest_distance(TrainingEvidence(NORMALS[:9])) is None


def test_a_defect_on_less_than_half_of_the_image_is_not_foreign() -> None:
    limit = greatest_distance(TrainingEvidence(NORMALS))
    assert not is_foreign(at(2, outliers=7), limit)
    assert is_foreign(at(2, outliers=9), limit)
    assert is_foreign(at(4.1), limit)
    assert not is_foreign(at(0), limit)

import numpy as np
import pytest

from lookalikes import surface
from patchcore_dual.demo.relief import machine, shrink
from patchcore_dual.synthesis.masks.parts import part_region
from synthesis.generators_common import good_metal


@pytest.mark.parametrize("seed", range(6))
def test_the_demos_part_without_its_hole_and_the_table_under_it(seed):
    metal = shrink(machine(np.random.default_rng(seed)).metal) > 0.5  # the relief is drawn first
    region = part_region(good_metal(seed))
    assert (region == metal).mean() > 0.94
    assert region[metal].mean() > 0.99


@pytest.mark.parametrize(("level", "size"), [(8, (200, 160)), (250, (200, 160)), (8, (900, 400))])
def test_a_part_on_a_plain_background(level, size):
    height, width = size
    image = surface(3, width, height)
    part = np.zeros((height, width), bool)
    part[height // 5 : -height // 5, width // 5 :] = True  # out of the picture on the right
    image[~part] = level
    region = part_region(image)
    assert region.shape == part.shape
    assert (region == part).mean() > 0.96


@pytest.mark.parametrize("shape", [(640, 256), (256, 256), (9, 7), (1, 1)])
def test_a_picture_that_the_part_fills_is_all_part(shape):
    assert part_region(surface(2, shape[1], shape[0])).all()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_flat_picture_is_all_part(level):
    assert part_region(np.full((80, 60, 3), level, np.uint8)).all()


def test_a_part_that_fades_into_the_dark_is_all_part():
    ramp = np.linspace(0, 120, 256).astype(np.uint8)
    assert part_region(np.repeat(np.tile(ramp, (256, 1))[..., None], 3, 2)).all()


def test_a_dark_patch_inside_is_part_where_there_is_no_background():
    image = np.full((200, 200, 3), 180, np.uint8)
    image[80:120, 80:120] = 5
    assert part_region(image).all()

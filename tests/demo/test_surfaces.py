from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from patchcore_dual.demo.surfaces import KINDS, MASK_LEVEL, SIZE, make_surfaces, photograph

TINY = {"train_good": 2, "train_defective": 3, "test_good": 1, "test_defective": 4}


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.png")}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("surfaces")
    make_surfaces(folder, **TINY)
    return folder


def test_layout_and_counts(tiny: Path) -> None:
    images = ["train/good/000", "train/good/001", "test/good/000"]
    for image in (
        *("train/crack/000", "train/spot/000", "train/scratch/000"),
        *("test/crack/000", "test/crack/001", "test/spot/000", "test/scratch/000"),
    ):
        split, rest = image.split("/", 1)
        images += [image, f"{split}/masks/{rest}"]  # and so: good images have no mask
    assert set(contents(tiny)) == {f"{image}.png" for image in images}


def test_images_are_rgb_and_masks_black_and_white(tiny: Path) -> None:
    for path in tiny.rglob("*.png"):
        with Image.open(path) as image:
            assert image.size == (SIZE, SIZE)
            if "masks" in path.parts:
                assert image.mode == "L"
                assert set(np.unique(np.asarray(image))) == {0, 255}
            else:
                assert image.mode == "RGB"


def test_same_seed_same_bytes(tiny: Path, tmp_path: Path) -> None:
    make_surfaces(tmp_path, **TINY)
    assert contents(tmp_path) == contents(tiny)


def test_an_image_does_not_depend_on_how_many_are_made(tiny: Path, tmp_path: Path) -> None:
    make_surfaces(tmp_path, train_good=1, train_defective=2, test_good=0, test_defective=1)
    assert contents(tmp_path).items() < contents(tiny).items()


def test_every_image_is_another_and_seeds_differ(tiny: Path, tmp_path: Path) -> None:
    make_surfaces(tmp_path, seed=1, **TINY)
    every = [*contents(tiny).values(), *contents(tmp_path).values()]
    assert len(set(every)) == len(every)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_mask_is_what_the_defect_changed(kind: str, seed: int) -> None:
    surface = photograph(kind, np.random.default_rng(seed))
    change = np.abs(surface.image.astype(int) - surface.flawless).max(-1)
    clipped = ((surface.image == 255) | (surface.image == 0)).any(-1)
    # both pictures are rounded to grey levels, so their difference is off by less than one
    assert surface.mask[change > MASK_LEVEL + 1].all()
    assert (change[surface.mask & ~clipped] >= MASK_LEVEL).all()
    assert 30 <= surface.mask.sum() < 0.1 * surface.mask.size


def test_a_good_part_is_flawless() -> None:
    surface = photograph("good", np.random.default_rng(0))
    assert not surface.mask.any()
    np.testing.assert_array_equal(surface.image, surface.flawless)

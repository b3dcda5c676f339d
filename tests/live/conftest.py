"""Models that are taught, and images that they have not seen."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from patchcore_dual.data.reading import read_image, read_mask, write_png
from patchcore_dual.detector import PatchCoreDual


@dataclass
class NewImages:
    """Files of images that no model here was fitted on or is tested on."""

    defect: Path
    mask: Path
    good: Path


@pytest.fixture(scope="session")
def new_images(prepared, tmp_path_factory):
    """A defect that was seen, in other light, and a good part with a mark that is harmless."""
    folder = tmp_path_factory.mktemp("new")
    train = prepared.part("train")
    bad, good = (train.part(label=label).samples[0] for label in ("positive", "negative"))
    image = read_image(train.image_path(bad)).astype(np.int64) + 3
    write_png(folder / "defect.png", image.clip(0, 255).astype(np.uint8))
    write_png(folder / "mask.png", read_mask(train.mask_path(bad)))
    image = read_image(train.image_path(good)).copy()
    image[40:52, 20:32] = 255 - image[40:52, 20:32]
    write_png(folder / "good.png", image)
    return NewImages(folder / "defect.png", folder / "mask.png", folder / "good.png")


@pytest.fixture(scope="session")
def saved(prepared, fitted_with, tmp_path_factory):
    """Folders of models, not to be changed: `calibrated` with and without defects, and `ratio`."""
    folder = tmp_path_factory.mktemp("saved")
    fitted_with().save(folder / "dual")
    fitted_with(scoring="ratio").save(folder / "ratio")
    for scoring in ("calibrated", "ratio"):
        detector = PatchCoreDual(scoring=scoring).fit(prepared, defects=0)
        detector.save(folder / f"{scoring}-good")
    return folder

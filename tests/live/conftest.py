"""Models to change: some that are taught, and one without its network, written in milliseconds."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from patchcore_dual.banks import MemoryBank
from patchcore_dual.data.reading import read_image, read_mask, write_png
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.live import Edit, commit, editing
from patchcore_dual.model import load_model, save_model


@pytest.fixture(scope="session")
def small(detector, tmp_path_factory):
    """The folder of `detector`'s model without its network. Copy it before changing it."""
    folder = tmp_path_factory.mktemp("small") / "model"
    save_model(replace(detector.model, network=None, graph=None), folder)
    return folder


@pytest.fixture
def model(small, tmp_path):
    """A copy that may be changed."""
    return shutil.copytree(small, tmp_path / "model")


def with_note(model, note):
    """The model with another plain value."""
    return replace(model, trained_on={**model.trained_on, "note": note})


def with_vectors(model, seed, count=3):
    """The model with vectors of one more image in its defect bank."""
    bank = model.defect_bank
    vectors = np.random.default_rng(seed).random((count, bank.vectors.shape[1]), np.float32)
    added = MemoryBank(
        vectors, np.zeros(count, np.int32), np.zeros((count, 2), np.int32), (f"taught/{seed}.png",)
    )
    added = replace(added, channels=bank.channels)
    return replace(model, defect_bank=MemoryBank.join([bank, added]))


def without_image(model, place):
    """The model without the patches of one image of its defect bank, unless it is the last one."""
    bank = model.defect_bank
    if len(bank.sources) == 1:
        return model
    return replace(model, defect_bank=bank.without([bank.sources[place % len(bank.sources)]]))


def change(folder, changed, *arguments, **edit):
    """Commit `changed(model, *arguments)` as a user's command does."""
    with editing(folder):
        edit = {"action": "teach", **edit}
        return commit(folder, changed(load_model(folder), *arguments), Edit(**edit))


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

"""A model without its network, whose versions are written in milliseconds."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from patchcore_dual.banks import MemoryBank
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

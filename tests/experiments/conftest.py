"""A small data set with named kinds of defect, and a runner on it; not to be changed."""

import pytest

from lookalikes import make_magnetic_tile
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.prepare.preparation import prepare
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.experiments.runner import TrialRunner


@pytest.fixture(scope="session")
def tiles(tmp_path_factory):
    """Magnetic Tile with two kinds, 48x48: 4 tiles of each and of normal ones, split in halves."""
    folder = tmp_path_factory.mktemp("tiles")
    source = make_magnetic_tile(folder / "source")
    prepare("magnetic-tile", source, folder / "prepared", width=48, height=48)
    return Manifest.load(folder / "prepared")


@pytest.fixture(scope="session")
def runner(tiles):
    return TrialRunner(tiles, PatchCoreDual())

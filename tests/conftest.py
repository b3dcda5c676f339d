"""A small prepared data set and models fitted on it, made once and not to be changed."""

from functools import cache

import pytest
from hypothesis import settings

from containerfile import StepFailed, install
from lookalikes import make_kolektorsdd
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.prepare.preparation import prepare

settings.register_profile("untimed", deadline=None)  # a slow machine is no failure
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """6 commutators in two halves, 64x96: 6 good and 3 defective images on each side."""
    folder = tmp_path_factory.mktemp("shared")
    source = make_kolektorsdd(folder / "source")
    prepare("kolektorsdd", source, folder / "prepared", width=64, height=96)
    return Manifest.load(folder / "prepared")


@pytest.fixture(scope="session")
def fitted_with(prepared):
    """A function that fits a detector on `prepared` with some settings, once for all tests.

    A test that changes constants has to call it first.
    """
    from patchcore_dual.detector import PatchCoreDual

    @cache
    def fitted_with(**settings):
        return PatchCoreDual(**settings).fit(prepared)

    return fitted_with


@pytest.fixture(scope="session")
def detector(fitted_with):
    """`ratio` on EfficientNet-Lite0, fitted on `prepared`."""
    return fitted_with(scoring="ratio")


@pytest.fixture(scope="session")
def model_folder(detector, tmp_path_factory):
    """`detector`, saved. Copy it before damaging it."""
    folder = tmp_path_factory.mktemp("models") / "model"
    detector.save(folder)
    return folder


@pytest.fixture(scope="session")
def line_pc(tmp_path_factory):
    """An environment with the package as a PC on the line installs it, by the Containerfile."""
    try:
        return install(tmp_path_factory.mktemp("line-pc"))
    except StepFailed as failure:
        unreached = ("No matching distribution", "NewConnectionError", "Max retries exceeded")
        if any(sign in str(failure) for sign in unreached):
            last = str(failure).strip().splitlines()[-1]
            pytest.skip(f"pip cannot reach a package index, or it lacks a package: {last}")
        raise

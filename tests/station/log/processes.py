"""Processes that a test starts."""

import os
from pathlib import Path

import patchcore_dual

TESTS = Path(__file__).parents[2]


def environment():
    """That of a process that imports the package and the tests as this one does."""
    path = [str(TESTS), str(Path(patchcore_dual.__file__).parents[1])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}

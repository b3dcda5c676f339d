"""PatchCoreDual: industrial anomaly detection from good parts and the few defective ones.

>>> from patchcore_dual import PatchCoreDual
>>> detector = PatchCoreDual().fit("prepared")  # doctest: +SKIP
>>> print(detector.inspect("part.png"))  # doctest: +SKIP
"""

import os
from typing import TYPE_CHECKING, Any

from patchcore_dual._version import __version__

# Threads that wait for each other by spinning halve the speed, or worse, on a PC that does anything
# else beside. Read when PyTorch and NumPy are loaded; a user's own setting stands.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")

if TYPE_CHECKING:
    from patchcore_dual.data.manifest import Manifest, Sample
    from patchcore_dual.detector import PatchCoreDual
    from patchcore_dual.scoring import Inspection

__all__ = ["Inspection", "Manifest", "PatchCoreDual", "Sample", "__version__"]

_HOMES = {
    "PatchCoreDual": "patchcore_dual.detector",
    "Inspection": "patchcore_dual.scoring",
    "Manifest": "patchcore_dual.data.manifest",
    "Sample": "patchcore_dual.data.manifest",
}


def __getattr__(name: str) -> Any:
    """Import on first use, so that `import patchcore_dual` loads nothing heavy."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)

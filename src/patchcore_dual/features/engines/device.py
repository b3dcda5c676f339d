"""Where a network runs: the name that a user gives, and what there is."""

import ctypes
from importlib.util import find_spec
from typing import Literal

from patchcore_dual.errors import SettingsError
from patchcore_dual.utils.dependencies import require

Device = Literal["cpu", "cuda"]

_DRIVERS = ("libcuda.so.1", "nvcuda.dll", "libamdhip64.so")


def choose_device(device: str) -> Device:
    """The device of that name; `auto` takes a CUDA GPU where there is one.

    PyTorch, which takes seconds to import, is asked only where a GPU's driver is installed.

    Raises:
        SettingsError: for another name, or "cuda" where PyTorch sees no CUDA GPU.
        MissingDependencyError: for "cuda" without PyTorch.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise SettingsError(f"device {device!r}: use auto, cpu or cuda.")
    if device == "cuda":
        require("device cuda", "torch")
        if not _torch_sees_a_gpu():
            raise SettingsError("device cuda: PyTorch sees no CUDA GPU here. Use --device cpu.")
    elif device == "auto" and find_spec("torch") is not None and _has_driver():
        device = "cuda" if _torch_sees_a_gpu() else "cpu"
    return "cuda" if device == "cuda" else "cpu"


def _torch_sees_a_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _has_driver() -> bool:
    for name in _DRIVERS:
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return True
    return False

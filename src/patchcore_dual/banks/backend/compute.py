"""The choice of a compute backend: by PyTorch where it is installed, by NumPy and Numba elsewhere.

A search needs three things of a numerical library: products of 8-bit codes, products of float32
matrices, and to know on how many threads to compute. Where PyTorch is installed it does all three,
so that the search and a network that runs in PyTorch share one set of threads. A line PC has no
PyTorch, and needs none.

Both backends find the same neighbours. Products of codes are exact integers, and distances are
measured by direct difference on either backend; float32 products may differ in their rounding,
which every bound allows for.
"""

import os
from functools import lru_cache
from importlib import import_module
from typing import Protocol, cast

import numpy as np

from patchcore_dual.errors import SettingsError

VARIABLE = "PATCHCORE_DUAL_BACKEND"
_BACKENDS = ("torch", "numpy")


class Backend(Protocol):
    """What a search needs of a numerical library; a module with these functions is a backend."""

    def product(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The matrix product `a @ b`, float32 `[n, m]`.

        Args:
            a: float32 `[n, k]`, in any memory layout. Like `b`, it should be writeable: PyTorch
                warns of arrays that are not.
            b: float32 `[k, m]`, in any memory layout.
        """

    def code_product(self, queries: np.ndarray, bank: np.ndarray, out: np.ndarray) -> None:
        """Write all inner products of two sets of codes to `out`; they are exact.

        Args:
            queries: int8 `[q, d]`, C-contiguous, codes from -127 to 127.
            bank: int8 `[n, d]`, C-contiguous, codes from `-bank_levels()` to `bank_levels()`.
                `d` has to be at least 2.
            out: int32 `[q, n]`, C-contiguous.
        """

    def thread_count(self) -> int:
        """On how many threads a search is to run."""

    def set_thread_count(self, count: int) -> None:
        """Set how many threads the float32 and 8-bit products of the calling thread use.

        A backend that cannot set this for one thread sets it to one for all, for good.
        """


@lru_cache(maxsize=1)
def get_backend() -> Backend:
    """The backend of this process, chosen at the first call.

    PyTorch is imported by this call, not before. The environment variable `PATCHCORE_DUAL_BACKEND`
    forces the choice: `torch` or `numpy`.

    Raises:
        SettingsError: the variable names no backend, or names `torch` and PyTorch is not installed.
    """
    forced = os.environ.get(VARIABLE)
    if forced and forced not in _BACKENDS:
        raise SettingsError(f"{VARIABLE}={forced}: no such backend; use torch or numpy.")
    if forced != "numpy":
        try:
            return _load("torch")
        except ImportError as error:
            if forced:
                raise SettingsError(
                    f"{VARIABLE}={forced}: PyTorch cannot be imported ({error}). Install it with "
                    "`pip install 'patchcore-dual[train]'`, or unset the variable."
                ) from error
    backend = _load("numpy")
    backend.set_thread_count(1)
    return backend


def _load(name: str) -> Backend:
    return cast(Backend, import_module(f"patchcore_dual.banks.backend.{name}_backend"))

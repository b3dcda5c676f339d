"""The decorator of every compiled loop in the memory banks."""

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any]) -> Any:
    """The function compiled by Numba at its first call, and kept on disk where that is possible.

    Compiled functions release the interpreter lock, so that threads can run them side by side, and
    may reorder floating-point sums. They take no infinities or NaNs.

    The copy on disk is renewed when the file of the function changes. It does not notice changes
    to compiled functions imported from another file: delete `__pycache__` after editing those.
    """
    try:
        return njit(nogil=True, fastmath=True, cache=True)(function)
    except RuntimeError:  # no folder for the cache can be written to
        return njit(nogil=True, fastmath=True)(function)

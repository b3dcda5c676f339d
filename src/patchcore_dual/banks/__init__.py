"""Memory banks: random projection, greedy coreset, nearest neighbours (thesis 4.3.1, 4.3.3, 4.3.4).

Computed by PyTorch where it is installed, by NumPy and Numba elsewhere; see `backend`.
"""

from patchcore_dual.banks.coreset.composed import EXACT, select_coresets
from patchcore_dual.banks.coreset.greedy import FLOOR, Coreset, coreset_size, select_coreset
from patchcore_dual.banks.memory_bank import MemoryBank
from patchcore_dual.banks.projection import PROJECTED_DIMENSIONS, projection_matrix
from patchcore_dual.banks.search.queries import Queries

__all__ = [
    "EXACT",
    "FLOOR",
    "PROJECTED_DIMENSIONS",
    "Coreset",
    "MemoryBank",
    "Queries",
    "coreset_size",
    "projection_matrix",
    "select_coreset",
    "select_coresets",
]

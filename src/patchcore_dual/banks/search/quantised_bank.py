"""`QuantisedBank`: a bank's vectors as the pruned search compares them, in 8-bit codes."""

from collections.abc import Sequence

import numpy as np

from patchcore_dual.banks.backend.codes import bank_levels, encode
from patchcore_dual.banks.backend.compute import get_backend
from patchcore_dual.banks.search.kernels import BankBlock
from patchcore_dual.banks.search.principal_axes import PrincipalAxes
from patchcore_dual.banks.search.queries import QuantisedProxies, norms

BLOCK = 512  # vectors at a time, whose codes and products fit a core's cache
SLACK = 1e-5  # of squared norms, the allowance for rounding: far more than single precision loses
FARTHEST = np.finfo(np.float32).max  # in place of infinity, which compiled loops do not take
_EXCLUDED = -FARTHEST  # the bound of rows that only fill the last block


class QuantisedBank:
    """The vectors of a bank in 8-bit codes, by three groups of axes and in blocks of 512 vectors.

    The last block of vectors is filled up with rows that no search can find.

    Attributes:
        vectors: float32 `[N, d]`.
        axes: the principal axes of the codes.
        columns: the codes in the leading axes, in the second block, and in what remains.
        constant: float32 `[blocks, 512]`, -‖m‖²/2 of each vector less the axes' mean, plus an
            allowance for rounding.
    """

    def __init__(self, vectors: np.ndarray, axes: PrincipalAxes) -> None:
        """`vectors`: float32 `[N, d]`; `axes`: of these vectors, or of others like them."""
        self.vectors, self.axes = vectors, axes
        n = len(vectors)
        padded = -(-n // BLOCK) * BLOCK
        constant = np.full(padded, _EXCLUDED, np.float32)
        columns = [_QuantisedColumns(padded), _QuantisedColumns(padded), _QuantisedColumns(padded)]
        for start in range(0, n, 16 * BLOCK):
            rows = slice(start, min(n, start + 16 * BLOCK))
            centred = vectors[rows] - axes.mean
            squared = np.einsum("nd,nd->n", centred, centred)
            constant[rows] = squared * (SLACK - 0.5)
            along = get_backend().product(centred, axes.axes)
            parts = (*axes.split(along), axes.rest(centred, along))
            for column, part in zip(columns, parts, strict=True):
                column.encode(rows, part)
        self.columns = columns
        self.constant = constant.reshape(-1, BLOCK)
        self._codes = [column.codes.reshape(padded // BLOCK, BLOCK, -1) for column in columns]
        self._scales = [column.scales.reshape(-1, BLOCK) for column in columns]
        stacked = np.stack([column.norms.reshape(-1, BLOCK) for column in columns], axis=1)
        self._norms = np.ascontiguousarray(stacked)

    def __len__(self) -> int:
        """The number of blocks of vectors."""
        return len(self.constant)

    def codes(self, b: int, column: int) -> tuple[np.ndarray, np.ndarray]:
        """Codes int8 `[512, k]` and scales float32 `[512]` of block `b`, in one of `columns`."""
        return self._codes[column][b], self._scales[column][b]

    def block(self, b: int) -> BankBlock:
        """Block `b`, as the compiled loops take it."""
        return BankBlock(
            vectors=self.vectors,
            first=b * BLOCK,
            leading_scales=self._scales[0][b],
            second_scales=self._scales[1][b],
            norms=self._norms[b],
            second_codes=self._codes[1][b],
        )

    def margins(self, proxies: Sequence[QuantisedProxies]) -> list[np.ndarray]:
        """For each block of axes float32 `[q]`, the factors ‖q − a‖ + ε‖a‖ of a vector's norm."""
        return [column.margin(proxy) for column, proxy in zip(self.columns, proxies, strict=True)]


class _QuantisedColumns:
    """The coordinates of all vectors in one block of axes, in 8-bit codes.

    Attributes:
        codes: int8 `[n, k]`.
        scales: float32 `[n]`.
        norms: float32 `[n]`, of the coordinates before they were coded.
        max_relative_error: the largest norm of a quantisation error as a fraction of the vector's.
    """

    def __init__(self, count: int) -> None:
        self.codes = np.zeros((count, 0), np.int8)
        self.scales = np.zeros(count, np.float32)
        self.norms = np.zeros(count, np.float32)
        self.max_relative_error = 0.0

    def encode(self, rows: slice, x: np.ndarray) -> None:
        """Set some rows, to coordinates float32 `[m, k]`."""
        if not self.codes.shape[1]:
            self.codes = np.zeros((len(self.codes), x.shape[1]), np.int8)
        codes, scales = encode(x, bank_levels())
        self.codes[rows], self.scales[rows], self.norms[rows] = codes, scales, norms(x)
        error = norms(x - codes * scales[:, None])
        relative = np.divide(error, self.norms[rows], out=error, where=self.norms[rows] > 0)
        self.max_relative_error = max(self.max_relative_error, float(relative.max(initial=0)))

    def margin(self, proxies: QuantisedProxies) -> np.ndarray:
        """float32 `[q]`: times a vector's norm, the largest error of the products of codes."""
        return proxies.residual + np.float32(self.max_relative_error) * proxies.norms

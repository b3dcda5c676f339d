"""`EvidenceCache`: out-of-fold distances to the normal banks, kept on disk as they are found."""

from collections.abc import Iterator, MutableMapping, Sequence

import numpy as np

from patchcore_dual.scoring import Evidence, Nearest
from patchcore_dual.training.checkpoint import RowFile


class EvidenceCache(MutableMapping[str, Evidence]):
    """Each training image's evidence from the normal bank without its fold, by name.

    On disk an image has rows of two float64 values: (number of the image, height of its grid),
    (w_N, 0), and then (distance, index of the nearest vector) of each patch.
    """

    def __init__(self, names: Sequence[str], file: RowFile) -> None:
        """`names`: of all images that may come; `file`: float64, two columns."""
        self._number = {name: i for i, name in enumerate(names)}
        self._file = file
        self._evidence: dict[str, Evidence] = {}
        try:
            self._evidence = dict(self._kept(names))
        except (ValueError, IndexError, OverflowError):
            file.keep(0)  # not what this class writes: found again

    def _kept(self, names: Sequence[str]) -> Iterator[tuple[str, Evidence]]:
        everything, end = self._file.read(), 0
        for count in self._file.counts:
            rows = everything[end : (end := end + count)]
            number, height = rows[0].astype(int).tolist()
            distance = rows[2:, 0].astype(np.float32).reshape(height, -1)
            index = rows[2:, 1].astype(np.int64).reshape(height, -1)
            yield names[number], Evidence(Nearest(distance, index, float(rows[1, 0])))

    def __setitem__(self, name: str, evidence: Evidence) -> None:
        normal = evidence.normal
        head = [[self._number[name], len(normal.distance)], [normal.weight, 0]]
        patches = np.column_stack([normal.distance.ravel(), normal.index.ravel()])
        self._file.append(np.concatenate([head, patches]))
        self._evidence[name] = evidence

    def __getitem__(self, name: str) -> Evidence:
        return self._evidence[name]

    def __delitem__(self, name: str) -> None:
        raise TypeError("evidence is only ever added")

    def __iter__(self) -> Iterator[str]:
        return iter(self._evidence)

    def __len__(self) -> int:
        return len(self._evidence)

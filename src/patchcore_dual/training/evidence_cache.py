"""Held-out evidence on training images, kept on disk as it is found."""

from collections.abc import Iterator, MutableMapping, Sequence

import numpy as np

from patchcore_dual.scoring import Evidence
from patchcore_dual.scoring.evidence import Nearest
from patchcore_dual.training.checkpoint import StoredRows


class EvidenceCache(MutableMapping[str, Evidence]):
    """What the banks without its fold say of each image, by name: the normal bank's answer alone.

    An image's rows are its number and its grid's height, its weight and nothing, then distance and
    index of each patch.
    """

    def __init__(self, names: Sequence[str], store: StoredRows) -> None:
        """`names`: of all images that may come; `store`: float64, two columns."""
        self._number = {name: i for i, name in enumerate(names)}
        self._store = store
        self._found: dict[str, Evidence] = {}
        everything, end = store.read(), 0
        for count in store.counts:
            rows = everything[end : (end := end + count)]
            number, height = rows[0].astype(int).tolist()
            distance = rows[2:, 0].astype(np.float32).reshape(height, -1)
            index = rows[2:, 1].astype(np.int64).reshape(height, -1)
            nearest = Nearest(distance, index, float(rows[1, 0]))
            self._found[names[number]] = Evidence(nearest)

    def __setitem__(self, name: str, evidence: Evidence) -> None:
        normal = evidence.normal
        head = [[self._number[name], len(normal.distance)], [normal.weight, 0]]
        patches = np.column_stack([normal.distance.ravel(), normal.index.ravel()])
        self._store.append(np.concatenate([head, patches]))
        self._found[name] = evidence

    def __getitem__(self, name: str) -> Evidence:
        return self._found[name]

    def __delitem__(self, name: str) -> None:
        raise TypeError("what was found stays")

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

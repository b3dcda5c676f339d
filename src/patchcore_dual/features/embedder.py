"""`Embedder`: what turns images into grids of patch features, and the wrappers around one.

Everything after this file works on patch features alone. A user's own embedder is a callable with a
`spec`; `PatchCoreDual(embedder=...)` takes it as it is.
"""

import hashlib
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, Self

import numpy as np

from patchcore_dual.banks import projection_matrix
from patchcore_dual.errors import SettingsError
from patchcore_dual.features.graph import Graph
from patchcore_dual.settings import Settings

EmbedImage = Callable[[np.ndarray], np.ndarray]
"""One image uint8 `[H, W, 3]` to its patch features float32 `[h, w, d]`."""


@dataclass(frozen=True)
class EmbedderSpec:
    """What decides the features that an embedder gives: equal specs, equal features.

    >>> spec = EmbedderSpec("resnet18", (2, 3), (128, 256), stride=8)
    >>> spec.channels
    384
    >>> spec.channels_of((2,))[[0, -1]]
    array([  0, 127])
    >>> several = spec.with_resolutions((1, 2))
    >>> several.channels, several.stride
    (768, 16)

    Attributes:
        backbone: name of the network.
        levels: those whose features are concatenated, finest first; empty where there are none.
        level_channels: length of each level's features.
        stride: image pixels from one cell of the grid to the next.
        count_padding: whether the zeros around a feature map count in the 3×3 mean at its border
            (`count_include_pad` of the pooling).
        weights_sha256: hex digest of the weights file.
        precision: of the network's arithmetic.
        projection_seed: seed of the random projection of the features; None without one.
        pad_to_cells: whether an image whose sides are no multiples of the coarsest level's stride
            is continued to the right and bottom by its last pixels, so that the cells of all levels
            lie where the grid has them. Models of schema 3 and before did without.
        resolutions: what an image's size is divided by, each time it is embedded; the features of
            all times are concatenated.
    """

    backbone: str
    levels: tuple[int, ...]
    level_channels: tuple[int, ...]
    stride: int
    count_padding: bool = True
    weights_sha256: str = ""
    precision: str = "float32"
    projection_seed: int | None = None
    pad_to_cells: bool = False
    resolutions: tuple[int, ...] = (1,)

    @property
    def channels(self) -> int:
        """d, the length of a patch feature."""
        return len(self.resolutions) * sum(self.level_channels)

    def channels_of(self, levels: Sequence[int]) -> np.ndarray | None:
        """The channels of a patch feature that some levels give, int64 `[k]`; None for all."""
        if tuple(levels) == self.levels:
            return None
        level_of = np.tile(np.repeat(self.levels, self.level_channels), len(self.resolutions))
        return np.flatnonzero(np.isin(level_of, levels))

    def with_resolutions(self, resolutions: tuple[int, ...]) -> Self:
        """The same at other resolutions.

        Of several, the second one's grid is that of the features: the finest resolution's features
        are averaged over 2×2 of its cells, which keeps what they see and loses their noise.
        """
        first = self.stride // _cells_across(self.resolutions)
        stride = first * _cells_across(resolutions)
        return replace(self, resolutions=resolutions, stride=stride)


class Embedder(Protocol):
    """Turns images into patch features. The same image gives the same features in any batch.

    >>> class MeanColour:
    ...     spec = EmbedderSpec("mean-colour", (), (3,), stride=8)
    ...     def __call__(self, images):
    ...         b, h, w, _ = images.shape
    ...         cells = images.reshape(b, h // 8, 8, w // 8, 8, 3)
    ...         return cells.mean(axis=(2, 4), dtype=np.float32)
    >>> MeanColour()(np.zeros((1, 32, 48, 3), np.uint8)).shape
    (1, 4, 6, 3)
    """

    @property
    def spec(self) -> EmbedderSpec:
        """What decides the features."""
        ...

    def __call__(self, images: np.ndarray, /) -> np.ndarray:
        """Embed a batch: uint8 `[B, H, W, 3]` RGB to float32 `[B, h, w, d]`."""
        ...


class Wrapper:
    """What has an embedder inside, and gives its features or what is made of them."""

    embedder: Embedder


class ProjectedEmbedder(Wrapper):
    """An embedder whose features are reduced by the seeded random projection (thesis 4.3.4).

    Both banks then keep the projected vectors, the other reading of that section.
    """

    def __init__(self, embedder: Embedder, seed: int) -> None:
        self.embedder = embedder
        self._matrix = projection_matrix(embedder.spec.channels, seed)
        self.spec = replace(
            embedder.spec,
            levels=(),
            level_channels=(self._matrix.shape[1],),
            projection_seed=seed,
            resolutions=(1,),
        )

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return np.asarray(self.embedder(images) @ self._matrix)


class CachedEmbedder(Wrapper):
    """An embedder that keeps the features of each image, in memory or in files.

    Images are recognised by their content. What comes first is kept until the limit is reached,
    and nothing is dropped again: images that are embedded over and over in the same order would
    otherwise push each other out before they come again.

    Args:
        embedder: computes what is not kept.
        limit: the most bytes that are kept.
        folder: where the features are kept, as one file for each image; in memory by default.
    """

    def __init__(self, embedder: Embedder, limit: int, folder: Path | None = None) -> None:
        self.embedder, self.spec = embedder, embedder.spec
        self._kept = _KeptFeatures(limit, folder)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return np.concatenate([self._embed(image[None]) for image in images])

    def with_spec(self, spec: EmbedderSpec) -> "CachedEmbedder":
        """The same network used in another way; both share one limit."""
        other = copy(self)
        other.embedder = self.embedder.with_spec(spec)  # type: ignore[attr-defined]
        other.spec = spec
        return other

    def key_of(self, image: np.ndarray) -> str:
        """What the features of an image uint8 `[H, W, 3]` are kept under."""
        described = f"{(1, *image.shape)} {self.spec}".encode()
        return hashlib.sha256(described + image.tobytes()).hexdigest()

    def keep(self, key: str, features: np.ndarray) -> bool:
        """Keep features float32 `[h, w, d]` that were computed elsewhere; False without room."""
        return self._kept.add(key, features[None])

    def _embed(self, image: np.ndarray) -> np.ndarray:
        key = self.key_of(image[0])
        features = self._kept.get(key)
        if features is None:
            features = self.embedder(image)
            self._kept.add(key, features)
        return features


class _KeptFeatures:
    """Features by a key, up to a limit in bytes."""

    def __init__(self, limit: int, folder: Path | None) -> None:
        self._room, self._folder = limit, folder
        self._kept: dict[str, np.ndarray | Path] = {}

    def get(self, key: str) -> np.ndarray | None:
        kept = self._kept.get(key)
        return np.load(kept) if isinstance(kept, Path) else kept

    def add(self, key: str, features: np.ndarray) -> bool:
        if features.nbytes > self._room:
            return False
        if self._folder is None:
            features.setflags(write=False)
            self._kept[key] = features
        else:
            path = self._folder / f"{key}.npy"
            try:
                np.save(path, features)
            except OSError:  # a full disk: these features are computed again when they are needed
                path.unlink(missing_ok=True)
                self._room = 0
                return False
            self._kept[key] = path
        self._room -= features.nbytes
        return True


def _cells_across(resolutions: tuple[int, ...]) -> int:
    """Cells of the finest resolution that a cell of the grid is wide."""
    return resolutions[min(1, len(resolutions) - 1)]


def adapted(embedder: Embedder, settings: Settings) -> Embedder:
    """The embedder used as the settings say: how borders are counted, and at which resolutions.

    One in 8-bit integers, which are made for one use, is in float32 wherever anything else changes.
    An embedder of the user's own keeps its resolutions unless the settings name others.

    Raises:
        SettingsError: the embedder works in another way and cannot be changed.
    """
    spec = replace(embedder.spec, count_padding=settings.counts_padding)
    cached = embedder
    while isinstance(cached, CachedEmbedder):  # which has `with_spec`, whatever it caches
        cached = cached.embedder
    can_change = hasattr(cached, "with_spec")
    if can_change or settings.resolutions is not None:
        spec = spec.with_resolutions(settings.used_resolutions)
    if can_change and (spec != embedder.spec or settings.precision == "float32"):
        spec = replace(spec, precision="float32")  # `fit` makes integers for each use anew
    if spec == embedder.spec:
        return embedder
    if not can_change:
        raise SettingsError(
            f"the embedder {embedder.spec.backbone} works in one way only: set count_padding to "
            f"{embedder.spec.count_padding}, and resolutions to {embedder.spec.resolutions}."
        )
    changed: Embedder = embedder.with_spec(spec)  # type: ignore[attr-defined]
    return changed


def unwrapped(embedder: Embedder) -> Embedder:
    """The embedder inside all wrappers."""
    while isinstance(embedder, Wrapper):
        embedder = embedder.embedder
    return embedder


def network_of(embedder: Embedder) -> bytes | None:
    """The network's tensors, which a model keeps; None where there are none."""
    return getattr(unwrapped(embedder), "network", None)


def graph_of(embedder: Embedder) -> Graph | None:
    """The network's graph, which a model runs; None for an embedder of the user's own."""
    return getattr(unwrapped(embedder), "graph", None)

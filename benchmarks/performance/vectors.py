"""Banks and queries of real features for measuring the search alone.

1,536 dimensions, as a ResNet-50 has, without its weights: ResNet-18 features (384) of an image
and of its three mirror images, the grids mirrored back and laid beside each other. What lies
beside each other are then four views of one patch, so the vectors are as correlated as real ones.
"""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import distance_transform_edt

from patchcore_dual.banks import projection_matrix, select_coreset
from patchcore_dual.data.manifest import Manifest, Sample
from patchcore_dual.data.reading import read_image, read_mask
from patchcore_dual.features import Embedder, load_embedder
from performance.images import mixed

_FLIPS = ((1, 1), (1, -1), (-1, 1), (-1, -1))


def four_views(embedder: Embedder, image: np.ndarray) -> np.ndarray:
    """float32 `[h, w, 4 · d]` of uint8 `[H, W, 3]`."""
    views = []
    for down, across in _FLIPS:
        flipped = np.ascontiguousarray(image[::down, ::across])
        views.append(embedder(flipped[None])[0][::down, ::across])
    return np.concatenate(views, axis=-1)


def make(
    prepared: str,
    weights: str,
    folder: str,
    normal: int = 46_000,
    defect: int = 5_000,
    queries: int = 24,
    curve: int = 200_000,
) -> dict[str, Any]:
    """Write `normal.npy`, `defect.npy`, `queries.npy` and `curve.npy` into `folder`.

    Both normal banks are greedy coresets of good training images' patches, chosen part by part;
    the defect vectors are the training defects' patches, those nearest to the masks. Queries are
    test images. `curve.npy` takes each view for a vector of its own (384 dimensions); there is none
    where `curve` is 0.
    """
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    embedder = load_embedder("resnet18", weights=Path(weights))
    manifest = Manifest.load(prepared)

    def embed(sample: Sample) -> np.ndarray:
        return four_views(embedder, read_image(manifest.image_path(sample)))

    good = manifest.part("train", "negative").samples
    h, w, d = embed(good[0]).shape
    file = out / "pool.npy"
    pool = np.lib.format.open_memmap(file, "w+", np.float32, (len(good) * h * w, d))
    for i, sample in enumerate(good):
        pool[i * h * w : (i + 1) * h * w] = embed(sample).reshape(-1, d)
    np.save(out / "normal.npy", _spread(pool, normal, len(pool), 46_000))
    single = pool.reshape(-1, d // len(_FLIPS))
    if curve:
        np.save(out / "curve.npy", _spread(single, curve, 5 * curve, 20_000))
    np.save(out / "defect.npy", _defects(manifest, embed, defect))
    tested = manifest.part("test").samples
    asked = mixed(list(tested), queries)  # type: ignore[arg-type]
    np.save(out / "queries.npy", np.stack([embed(s) for s in asked]))
    patches = len(pool)
    file.unlink()
    names = _NAMES if curve else _NAMES[:-1]
    sizes = {name: len(np.load(out / f"{name}.npy", mmap_mode="r")) for name in names}
    return {"patches": patches, "dimensions": d, "grid": [h, w], **sizes}


_NAMES = ("normal", "defect", "queries", "curve")


def _spread(pool: np.ndarray, size: int, drawn: int, part: int) -> np.ndarray:
    """At most `size` rows of the pool: a coreset of each part of `drawn` shuffled rows."""
    order = np.random.default_rng(0).permutation(len(pool))[:drawn]
    parts = np.array_split(order, max(1, round(len(order) / part)))
    kept = []
    for i, rows in enumerate(parts):
        vectors = pool[np.sort(rows)]
        count = min(len(rows), size * (i + 1) // len(parts) - size * i // len(parts))
        projected = vectors @ projection_matrix(vectors.shape[1], 0)
        kept.append(vectors[select_coreset(projected, count, 0).chosen])
    return np.concatenate(kept)


def _defects(manifest: Manifest, embed: Any, size: int) -> np.ndarray:
    """The `size` patches of training defects that lie in the masks or nearest to them."""
    vectors, away = [], []
    for sample in manifest.part("train", "positive"):
        path = manifest.mask_path(sample)
        if path is None:
            continue
        features = embed(sample)
        h, w, d = features.shape
        pixels = distance_transform_edt(~read_mask(path))
        cells = pixels[: h * 8, : w * 8].reshape(h, 8, w, 8).min(axis=(1, 3))
        nearest = np.argsort(cells, axis=None, kind="stable")[:size]
        vectors.append(features.reshape(-1, d)[nearest])
        away.append(cells.reshape(-1)[nearest])
    order = np.argsort(np.concatenate(away), kind="stable")[:size]
    return np.concatenate(vectors)[order]

"""What patchcore-inspection does, in our own words: the package is not on the index.

Imitated from its published procedure (github.com/amazon-science/patchcore-inspection, its defaults
with 1,024 dimensions): the 3×3 neighbourhood of every cell is unfolded, not averaged; the deeper
level's unfolded patches are interpolated to the finer grid; each level's values are pooled
adaptively to 1,024, stacked, and pooled to 1,024 again. All features are kept, then concatenated.
Coreset: "approximate greedy", in a random linear projection to 128: distances start as the mean to
ten random points, and each step measures every patch to the last choice, norms included. Search:
`faiss.IndexFlatL2`, one neighbour. The image score is the largest patch score.

Left out, in its favour: its map, its data loader, and faiss in the same process as PyTorch.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from performance import chosen
from performance.images import listed, mixed, read
from performance.measuring import Stopwatch, peak_mib, size_mib, time_each
from performance.normalise import tensor

DIMENSIONS = 1024
STARTING_POINTS = 10
PROJECTED = 128


class Features:
    """One image to patch features `[h · w, 1024]`."""

    def __init__(self, backbone: str, weights: str, watch: Stopwatch | None = None) -> None:
        self._network = timm.create_model(backbone, features_only=True, out_indices=(2, 3)).eval()
        self._network.load_state_dict(load_file(weights), strict=False)
        if watch is not None:
            self._network.forward = watch.wrap("network", self._network.forward)

    @torch.inference_mode()
    def __call__(self, image: np.ndarray) -> np.ndarray:
        fine, deep = self._network(tensor([image]))
        rows, columns = fine.shape[-2:]
        levels = [_unfolded(fine), _unfolded(deep)]
        levels[1] = functional.interpolate(levels[1], (rows, columns), mode="bilinear")
        stacked = torch.stack([_pooled(level) for level in levels], dim=1)
        return functional.adaptive_avg_pool1d(stacked.reshape(len(stacked), 1, -1), DIMENSIONS)[
            :, 0
        ].numpy()


def _unfolded(level: Tensor) -> Tensor:
    """`[1, C, h, w]` to `[1, C · 9, h, w]`: beside each value its neighbours."""
    return functional.unfold(level, 3, padding=1).reshape(1, -1, *level.shape[-2:])


def _pooled(level: Tensor) -> Tensor:
    """`[1, C, h, w]` to `[h · w, 1024]`."""
    patches = level[0].flatten(1).T
    return functional.adaptive_avg_pool1d(patches[:, None].contiguous(), DIMENSIONS)[:, 0]


def fit(
    prepared: str,
    weights: str,
    backbone: str,
    rates: list[float],
    limit_s: float | None,
    our_choices: dict[str, str],
) -> dict[str, Any]:
    """Features of all good images and the coreset loop, to its end or as far as the limit.

    Args:
        our_choices: {file to write: our chosen patches}, banks filled with these for `search`.
    """
    features_of = Features(backbone, weights)
    rows = listed(prepared, "train", "negative")
    started = time.perf_counter()
    found = [features_of(read(prepared, row)) for row in rows]
    patches = len(found[0])
    everything = np.concatenate(found)
    del found
    features_s = time.perf_counter() - started
    steps_of = {str(rate): int(len(everything) * rate) for rate in rates}
    total = max(steps_of.values())
    before, step_s, steps = _coreset_times(torch.from_numpy(everything), total, limit_s)
    peak = peak_mib()
    coreset = {rate: before + step_s * n for rate, n in steps_of.items()}
    place = {row["image"]: i for i, row in enumerate(rows)}
    columns = read(prepared, rows[0]).shape[1] // 8
    for file, choice in our_choices.items():
        wanted = [
            place[name] * patches + own
            for name, own in chosen.by_image(choice, columns).items()
            if name in place
        ]
        np.save(file, everything[np.concatenate(wanted)])
    return {
        "features_s": features_s,
        "coreset_s": coreset,
        "fit_s": {rate: features_s + seconds for rate, seconds in coreset.items()},
        "step_s": step_s,
        "steps": steps,
        "is_estimated": steps < total,
        "peak_mib": peak,
        "images": len(rows),
        "patches": len(everything),
    }


@torch.inference_mode()
def _coreset_times(features: Tensor, total: int, limit_s: float | None) -> tuple[float, float, int]:
    """Seconds before the loop, seconds a step, and how many steps were taken."""
    generator = torch.Generator().manual_seed(0)
    started = time.perf_counter()
    scale = features.shape[1] ** -0.5
    projection = torch.empty(features.shape[1], PROJECTED).uniform_(
        -scale, scale, generator=generator
    )
    points = features @ projection
    first = torch.randperm(len(points), generator=generator)[:STARTING_POINTS]
    distance = _distances(points, points[first]).mean(dim=1)
    before = time.perf_counter() - started
    started = time.perf_counter()
    steps = 0
    while steps < total and (limit_s is None or time.perf_counter() - started < limit_s):
        farthest = int(distance.argmax())
        to_it = _distances(points, points[farthest : farthest + 1])[:, 0]
        distance = torch.minimum(distance, to_it)
        steps += 1
    return before, (time.perf_counter() - started) / steps, steps


def _distances(points: Tensor, centres: Tensor) -> Tensor:
    """`[n, m]`, by inner products; the norms of all points are computed anew."""
    norms, centre_norms = (torch.einsum("nd,nd->n", x, x) for x in (points, centres))
    squared = norms[:, None] + centre_norms
    return (squared - 2 * points @ centres.T).clamp(min=0).sqrt()


def network(
    prepared: str, weights: str, backbone: str, features: str, images: int | None = None
) -> dict[str, Any]:
    """Features of test images, one at a time; written to `features` (`.npy`) for the search."""
    watch = Stopwatch()
    features_of = Features(backbone, weights, watch)
    rows = listed(prepared, "test")
    rows = mixed(rows, images or len(rows))
    times, found = time_each((read(prepared, row) for row in rows), features_of, watch)
    np.save(features, np.stack(found))
    return {
        "ms": times,
        "is_defective": [row["label"] == "positive" for row in rows],
        "weights_mib": size_mib(Path(weights)),
    }

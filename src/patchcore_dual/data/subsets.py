"""Training on fewer defects than there are: for few-shot curves, unseen kinds, and Table 2."""

from collections.abc import Collection
from typing import Literal

import numpy as np

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.errors import SettingsError


def choose_defects(
    manifest: Manifest, count: int | None, exclude_kinds: Collection[str], seed: int
) -> Manifest:
    """The manifest with fewer real defective training images; all else stays.

    Synthetic images that were made from a defect that is left out, or show a kind that is, go
    with it.

    Args:
        count: how many to keep, shuffled by the seed (the first 5 are among the first 10);
            None keeps all.
        exclude_kinds: kinds of defect that are left out of training.

    Raises SettingsError for a kind that is not there, a count above what there is, or a seed
    below 0.
    """
    defective = manifest.real().part("train", "positive")
    unknown = sorted(set(exclude_kinds) - {s.kind for s in manifest})
    if unknown:
        kinds = sorted({s.kind for s in manifest if s.kind})
        raise SettingsError(
            f"no defect kind {unknown[0]!r} in {manifest.folder}; there are: "
            f"{', '.join(kinds) or 'none with a name'}."
        )
    kept = [s for s in defective if s.kind not in exclude_kinds]
    if count is not None:
        if seed < 0:
            raise SettingsError(f"seed is {seed}; give 0 or more.")
        if not 0 <= count <= len(kept):
            raise SettingsError(
                f"{count} defective training images were asked for; there are {len(kept)}."
            )
        order = np.random.default_rng(seed).permutation(len(kept))
        kept = [kept[i] for i in sorted(order[:count])]
    left_out = {s.image for s in defective} - {s.image for s in kept}
    gone = manifest.with_offspring(left_out)
    gone |= {s.image for s in manifest.synthetic() if s.kind in exclude_kinds}
    return manifest.where(s for s in manifest if s.image not in gone)


def choose_synthetic(manifest: Manifest, which: Literal["all", "none"] | int) -> Manifest:
    """The manifest with all, none, or the first so many of its synthetic images.

    The first 50 are among the first 100. Of several runs of `augment` each gives its first ones.

    Raises SettingsError for a count above what there is.
    """
    synthetic = manifest.synthetic().samples
    if which == "all":
        return manifest
    count = 0 if which == "none" else which
    if not 0 <= count <= len(synthetic):
        raise SettingsError(
            f"{count} synthetic images were asked for; {manifest.folder} has {len(synthetic)}. "
            "Make more with: patchcore-dual augment"
        )
    place: dict[str, int] = {}
    order = []
    for sample in synthetic:
        run = sample.image.rsplit("/", 1)[0]
        place[run] = place.get(run, -1) + 1
        order.append((place[run], sample.image))
    kept = {image for _, image in sorted(order)[:count]}
    return manifest.where(s for s in manifest if not s.is_synthetic or s.image in kept)

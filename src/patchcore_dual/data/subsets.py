"""Subsets of the training images: fewer defects, kinds, or synthetic images."""

from collections.abc import Collection
from typing import Literal

import numpy as np

from patchcore_dual.data.listing import printable
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.errors import DataError, SettingsError


def exclude_images(manifest: Manifest, names: Collection[str]) -> Manifest:
    """The manifest without some of its training images.

    Synthetic images that were made from any of them are removed as well.

    Args:
        manifest: the data set.
        names: of training images, as in `Sample.image` or `Sample.source`.

    Raises:
        DataError: a name is that of no training image, which lists all such names; or no normal
            training image is left.

    >>> from pathlib import Path
    >>> from patchcore_dual.data.manifest import Sample
    >>> good = [Sample(f"{i}.png", "", "negative", "train", source=f"good/{i}.jpg") for i in (1, 2)]
    >>> manifest = Manifest(Path("prepared"), tuple(good))
    >>> [sample.image for sample in exclude_images(manifest, ["good/1.jpg"])]
    ['2.png']
    """
    names = set(names)
    if not names:
        return manifest
    training = manifest.part("train")
    unknown = sorted(names - {s.image for s in training} - {s.source for s in training})
    if unknown:
        raise DataError(
            f"{len(unknown)} of {len(names)} images to exclude are no training images of "
            f"{manifest.folder}: {', '.join(printable(name) for name in unknown)}. Name them as "
            "manifest.csv does, in its columns image or source."
        )
    excluded = {s.image for s in training if s.image in names or s.source in names}
    removed = manifest.with_offspring(excluded)
    kept = manifest.where(s for s in manifest if s.image not in removed)
    if not kept.real().part("train", "negative").samples:
        raise DataError("no normal training image is left after excluding those that were named.")
    return kept


def choose_defects(
    manifest: Manifest, count: int | None, exclude_kinds: Collection[str], seed: int
) -> Manifest:
    """The manifest with fewer real defective training images.

    Synthetic images that were made from an excluded defect, or show an excluded kind, are removed
    as well; all other samples are kept.

    Args:
        manifest: the data set.
        count: how many defective training images to keep, chosen at random; None keeps all. For
            one seed the choices are nested: the 5 images of count 5 are among those of count 10.
        exclude_kinds: kinds of defect to exclude from training.
        seed: of the random choice, at least 0.

    Raises:
        SettingsError: a kind does not exist, `count` is larger than the number of images, or
            `seed` is negative.

    >>> from pathlib import Path
    >>> from patchcore_dual.data.manifest import Sample
    >>> cracks = [Sample(f"{i}.png", "", "positive", "train", kind="crack") for i in range(9)]
    >>> manifest = Manifest(Path("prepared"), (Sample("n.png", "", "negative", "train"), *cracks))
    >>> len(choose_defects(manifest, 2, (), seed=0).part("train", "positive"))
    2
    >>> [sample.image for sample in choose_defects(manifest, None, {"crack"}, seed=0)]
    ['n.png']
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
    removed = manifest.with_offspring(left_out)
    removed |= {s.image for s in manifest.synthetic() if s.kind in exclude_kinds}
    return manifest.where(s for s in manifest if s.image not in removed)


def choose_synthetic(manifest: Manifest, which: Literal["all", "none"] | int) -> Manifest:
    """The manifest with all, none, or a given number of its synthetic images.

    The first images of each run of `augment` are taken, from all runs in turn. The choices are
    nested: the images of count 50 are among those of count 100.

    Args:
        manifest: the data set.
        which: "all", "none", or how many.

    Raises:
        SettingsError: there are not as many synthetic images.
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
    positions: dict[str, int] = {}  # of the last image of each run
    order = []
    for sample in synthetic:
        run = sample.image.rsplit("/", 1)[0]
        positions[run] = positions.get(run, -1) + 1
        order.append((positions[run], sample.image))
    kept = {image for _, image in sorted(order)[:count]}
    return manifest.where(s for s in manifest if not s.is_synthetic or s.image in kept)

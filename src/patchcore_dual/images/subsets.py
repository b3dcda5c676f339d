"""Training on fewer defects than there are: for few-shot curves and unseen kinds."""

from collections.abc import Collection

import numpy as np

from patchcore_dual.errors import SettingsError
from patchcore_dual.images.manifest import Manifest


def choose_defects(
    manifest: Manifest, count: int | None, exclude_kinds: Collection[str], seed: int
) -> Manifest:
    """The manifest with fewer defective training images; all else stays.

    Args:
        count: how many to keep, shuffled by the seed (the first 5 are among the first 10);
            None keeps all.
        exclude_kinds: kinds of defect that are left out of training.

    Raises SettingsError for a kind that is not there or a count above what there is.
    """
    defective = manifest.part("train", "positive")
    unknown = sorted(set(exclude_kinds) - {s.kind for s in manifest})
    if unknown:
        kinds = sorted({s.kind for s in manifest if s.kind})
        raise SettingsError(
            f"no defect kind {unknown[0]!r} in {manifest.folder}; there are: "
            f"{', '.join(kinds) or 'none with a name'}."
        )
    kept = [s for s in defective if s.kind not in exclude_kinds]
    if count is not None:
        if not 0 <= count <= len(kept):
            raise SettingsError(
                f"{count} defective training images were asked for; there are {len(kept)}."
            )
        order = np.random.default_rng(seed).permutation(len(kept))
        kept = [kept[i] for i in sorted(order[:count])]
    left_out = {s.image for s in defective} - {s.image for s in kept}
    return manifest.where(s for s in manifest if s.image not in left_out)

"""The defect bank of a training set (thesis 4.3.3, 4.3.4)."""

import functools
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from patchcore_dual.banks import MemoryBank, coreset_size, select_coresets
from patchcore_dual.banks.uninspected import uninspected
from patchcore_dual.data.manifest import Manifest, Sample
from patchcore_dual.features.defect_patches import covered_cells, defect_patches
from patchcore_dual.training.checkpoint import FitCheckpoint
from patchcore_dual.training.context import FitContext
from patchcore_dual.training.feature_passes import FeaturePasses, draw
from patchcore_dual.utils.memory import UNLIMITED

SAMPLED_DEFECT_PATCHES = 20_000  # of real defects, and as many of synthetic ones


@dataclass(frozen=True)
class DefectPatches:
    """The defect bank, and the patches it was chosen from (an even draw where they are many)."""

    bank: MemoryBank
    patches: MemoryBank


def build_defect_bank(
    context: FitContext, training_set: Manifest, pseudo_masks: dict[str, np.ndarray]
) -> DefectPatches | None:
    """Build the defect bank; None where nothing shows where a defect lies.

    Synthetic defects have a coreset of their own, so that what is kept of the real ones does not
    depend on them.

    Args:
        pseudo_masks: masks bool `[H, W]` of defective images that have none, by name.
    """
    defective = training_set.part(label="positive")
    known = [
        s
        for s in defective
        if (s.mask_is_known or s.image in pseudo_masks)
        and shows_defect(context, training_set, s, pseudo_masks)
    ]
    banks = [
        _choose(context, training_set, pseudo_masks, samples, name)
        for samples, name in (
            ([s for s in known if not s.is_synthetic], "defects"),
            ([s for s in known if s.is_synthetic], "synthetic defects"),
        )
        if samples
    ]
    if not banks:
        return None
    bank, patches = (MemoryBank.join(some) for some in zip(*banks, strict=True))
    return DefectPatches(bank.restricted(context.defect_channels), patches)


def defect_mask(
    training_set: Manifest, sample: Sample, pseudo_masks: dict[str, np.ndarray]
) -> np.ndarray:
    """bool `[H, W]`: the sample's mask, or its pseudo mask."""
    if sample.image in pseudo_masks:
        return pseudo_masks[sample.image]
    return training_set.read_mask(sample)


def shows_defect(
    context: FitContext, training_set: Manifest, sample: Sample, pseudo_masks: dict[str, np.ndarray]
) -> bool:
    """Whether some cell on the defect of an image is inspected: not all lie outside its region."""
    if training_set.region_of(sample) is None:
        return True
    features = context.features(training_set, sample)
    mask = defect_mask(training_set, sample, pseudo_masks)
    return bool((covered_cells(mask, *features.shape[:2]) & ~uninspected(features)).any())


def _choose(
    context: FitContext,
    training_set: Manifest,
    pseudo_masks: dict[str, np.ndarray],
    samples: list[Sample],
    name: str,
) -> list[MemoryBank]:
    """The coreset of the defects of some images, and an even draw of their patches."""
    settings, size = context.settings, training_set.size()

    def patches_of(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        image = training_set.read_image(sample)
        mask = defect_mask(training_set, sample, pseudo_masks)
        embed = context.embed_in(training_set, sample)
        return defect_patches(embed, image, mask, settings.patches, size)

    with TemporaryDirectory() as folder:
        passes = FeaturePasses(
            name,
            samples,
            patches_of,
            lambda function, some: context.each(function, training_set, some),
            context.defect_channels,
            settings.seed,
            FitCheckpoint(Path(folder) / "fit", {}),
            UNLIMITED,
            context.progress,
        )
        rows = passes.project()
        count = int(rows.starts[-1])
        (chosen,) = select_coresets(
            rows.projected,
            np.zeros(count, dtype=np.uint8),
            [None],
            size_of=lambda count: coreset_size(count, settings.defect_rate),
            seed=settings.seed,
            progress=functools.partial(context.progress, f"coreset of {name}"),
        )
        drawn = draw(count, SAMPLED_DEFECT_PATCHES, settings.seed)
        return passes.collect(rows.starts, (chosen.rows, drawn))

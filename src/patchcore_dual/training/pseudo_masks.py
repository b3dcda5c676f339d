"""Pseudo masks: where the defect probably lies in a defective image that has no mask.

The first proposal is the region that stands out most from normal surface. A linear probe is then
trained on the proposals (and any annotated defects) of the other folds and refines each image's
proposal, so that what defects have in common outweighs what merely stands out. Two rounds are run.
"""

import numpy as np
from scipy.ndimage import label

from patchcore_dual.banks.uninspected import uninspected
from patchcore_dual.data.manifest import Manifest, Sample
from patchcore_dual.data.resizing import resize_mask
from patchcore_dual.features.defect_patches import covered_cells
from patchcore_dual.scoring import covered_size
from patchcore_dual.scoring.fusion.position import position_statistics
from patchcore_dual.scoring.fusion.probe import fit_probe, fit_whitening
from patchcore_dual.training.context import FitContext
from patchcore_dual.training.cross_fitting import normal_evidence
from patchcore_dual.training.defect_bank import shows_defect
from patchcore_dual.training.normal_banks import NormalBanks
from patchcore_dual.training.probes import PROBE_PATCHES

ROUNDS = 2
SHARE_OF_PEAK = 0.7
MAX_SHARE_OF_IMAGE = 0.1


def propose_pseudo_masks(
    context: FitContext, training_set: Manifest, banks: NormalBanks
) -> dict[str, np.ndarray]:
    """A likely mask, bool `[H, W]`, of every defective training image without one, by name."""
    defective = training_set.real().part(label="positive")
    unknown = [s for s in defective if not s.mask_is_known]
    if not unknown:
        return {}
    masked = [
        s for s in defective if s.mask_is_known and shows_defect(context, training_set, s, {})
    ]
    normals = training_set.part(label="negative").samples

    def embed(sample: Sample) -> np.ndarray:
        return context.features(training_set, sample)

    def log_distance(sample: Sample) -> np.ndarray:
        distance = banks.evidence[sample.image].normal.distance
        return np.log(np.maximum(distance, np.float32(1e-6)))

    # Fold by fold, so that each bank is made once.
    by_fold = sorted([*normals, *unknown], key=lambda sample: banks.fold_of[sample.image])
    for done, sample in enumerate(by_fold, start=1):
        normal_evidence(sample, embed(sample), banks)
        context.progress("distances to normal", done, len(by_fold))
    positions = position_statistics([log_distance(sample) for sample in normals])

    whitening = fit_whitening(banks.sample.vectors)
    patches = {}  # defect patches of each image, annotated or proposed
    for sample in masked:
        features = embed(sample)
        mask = training_set.read_mask(sample)
        cells = covered_cells(mask, *features.shape[:2])
        patches[sample.image] = features[cells & ~uninspected(features)]
    proposals: dict[str, np.ndarray] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for sample in unknown:
        proposals[sample.image] = region_of_peak(positions.standardise(log_distance(sample)))
        patches[sample.image] = embed(sample)[proposals[sample.image]]

    draw = banks.sample.vectors[:: max(1, len(banks.sample) // PROBE_PATCHES)]
    for round_ in range(1, ROUNDS + 1):
        refined = dict(patches)
        probes = {}
        for done, sample in enumerate(unknown, start=1):
            fold = banks.fold_of[sample.image]
            if fold not in probes:
                others = [v for name, v in patches.items() if banks.fold_of[name] != fold]
                probes[fold] = fit_probe(whitening, draw, others or list(patches.values()))
            usual = probes[fold](draw)
            image = training_set.read_image(sample)
            features = context.embed_in(training_set, sample)(image)
            odds = (probes[fold](features) - usual.mean()) / (usual.std() + np.float32(1e-6))
            grid = positions.standardise(log_distance(sample)) + odds
            proposals[sample.image] = region_of_peak(grid)
            sizes[sample.image] = image.shape[:2]
            refined[sample.image] = features[proposals[sample.image]]
            context.progress(f"proposing masks, round {round_}", done, len(unknown))
        patches = refined
    return {name: mask_of_cells(cells, *sizes[name]) for name, cells in proposals.items()}


def mask_of_cells(cells: np.ndarray, height: int, width: int) -> np.ndarray:
    """The pixels bool `[H, W]` that cells bool `[h, w]` of the feature grid cover."""
    covered_height, covered_width = covered_size(cells.shape, height, width)
    return resize_mask(cells, covered_width, covered_height)[:height, :width]


def region_of_peak(grid: np.ndarray) -> np.ndarray:
    """bool `[h, w]`: the connected cells around the peak that reach 0.7 of it; none that is NaN.

    Where that would be a tenth of the image or more, only the cells next to the peak.
    """
    peak = np.unravel_index(int(np.nanargmax(grid)), grid.shape)
    above = grid >= SHARE_OF_PEAK * grid[peak] if grid[peak] > 0 else grid >= grid[peak]
    regions, _ = label(above, np.ones((3, 3)))
    region = regions == regions[peak]
    if region.sum() > MAX_SHARE_OF_IMAGE * region.size:
        region = np.zeros_like(region)
        row, column = int(peak[0]), int(peak[1])
        region[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = True
        region &= ~np.isnan(grid)
    return region

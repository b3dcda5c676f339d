"""Where the defect probably lies in a defective image that has no mask.

The first guess is the place that stands out most from good surface. A probe is then trained on the
guesses (and on known defects) in other images, and each image's guess is made again with it: what
defects have in common speaks against what merely stands out. Two rounds.
"""

import numpy as np
from scipy.ndimage import label

from patchcore_dual.data.manifest import Manifest, Sample
from patchcore_dual.data.reading import read_image, read_mask
from patchcore_dual.data.resizing import resize_mask
from patchcore_dual.features.defect_patches import EmbedImage, covered_cells
from patchcore_dual.scoring.evidence import gather_evidence
from patchcore_dual.scoring.fusion.position import position_statistics
from patchcore_dual.scoring.fusion.probe import fit_probe, fit_whitening
from patchcore_dual.training.banks import NormalBanks
from patchcore_dual.utils.progress import Progress

ROUNDS = 2
SHARE_OF_PEAK = 0.7
MAX_SHARE_OF_IMAGE = 0.1
PROBE_PATCHES = 20_000


def propose_pseudo_masks(
    embed: EmbedImage, manifest: Manifest, banks: NormalBanks, progress: Progress
) -> dict[str, np.ndarray]:
    """A likely mask, bool `[H, W]`, for every defective training image that has none, by name."""
    defective = manifest.real().part(label="positive")
    unknown = [s for s in defective if not s.mask_is_known]
    if not unknown:
        return {}
    masked = [s for s in defective if s.mask_is_known]
    normals = manifest.part(label="negative").samples
    # Fold by fold, so that each bank is made once.
    by_fold = sorted([*normals, *unknown], key=lambda sample: banks.fold_of[sample.image])
    for done, sample in enumerate(by_fold, start=1):
        _standing_out(sample, embed, manifest, banks)
        progress("what stands out", done, len(by_fold))
    places = position_statistics([_log(banks, s) for s in normals])

    whitening = fit_whitening(banks.sample.vectors)
    patches = {}  # whitened defect patches of each image, as far as they are known or guessed
    for sample in masked:
        features = embed(read_image(manifest.image_path(sample)))
        mask = read_mask(manifest.folder / sample.mask)
        patches[sample.image] = whitening(features[covered_cells(mask, *features.shape[:2])])
    guesses: dict[str, np.ndarray] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for sample in unknown:
        features = _standing_out(sample, embed, manifest, banks)
        guesses[sample.image] = _pick(places.standardise(_log(banks, sample)))
        patches[sample.image] = whitening(features[guesses[sample.image]])

    draw = banks.sample.vectors[:: max(1, len(banks.sample) // PROBE_PATCHES)]
    normal = whitening(draw)
    for round_ in range(ROUNDS):
        found = dict(patches)
        probes = {}
        for done, sample in enumerate(unknown, start=1):
            fold = banks.fold_of[sample.image]
            if fold not in probes:
                others = [v for name, v in patches.items() if banks.fold_of[name] != fold]
                probes[fold] = fit_probe(whitening, normal, others or list(patches.values()))
            usual = probes[fold](draw)
            image = read_image(manifest.image_path(sample))
            features = embed(image)
            odds = (probes[fold](features) - usual.mean()) / (usual.std() + np.float32(1e-6))
            guesses[sample.image] = _pick(places.standardise(_log(banks, sample)) + odds)
            sizes[sample.image] = image.shape[:2]
            found[sample.image] = whitening(features[guesses[sample.image]])
            progress(f"proposing defects, round {round_ + 1}", done, len(unknown))
        patches = found
    return {
        name: resize_mask(cells, sizes[name][1], sizes[name][0]) for name, cells in guesses.items()
    }


def _standing_out(
    sample: Sample, embed: EmbedImage, manifest: Manifest, banks: NormalBanks
) -> np.ndarray:
    """The image's features; its held-out distances to normal are left in `banks.found`."""
    features = embed(read_image(manifest.image_path(sample)))
    if sample.image not in banks.found:
        bank = banks.without_fold[banks.fold_of[sample.image]]
        banks.found[sample.image] = gather_evidence(features, bank, None)
    return features


def _log(banks: NormalBanks, sample: Sample) -> np.ndarray:
    return np.log(np.maximum(banks.found[sample.image].normal.distance, np.float32(1e-6)))


def _pick(grid: np.ndarray) -> np.ndarray:
    """bool `[h, w]`: the connected cells around the peak that reach 0.7 of it.

    Where that would be a tenth of the image or more, only the cells next to the peak.
    """
    peak = np.unravel_index(int(grid.argmax()), grid.shape)
    above = grid >= SHARE_OF_PEAK * grid[peak] if grid[peak] > 0 else grid >= grid[peak]
    regions, _ = label(above, np.ones((3, 3)))
    picked = regions == regions[peak]
    if picked.sum() > MAX_SHARE_OF_IMAGE * picked.size:
        picked = np.zeros_like(picked)
        row, column = int(peak[0]), int(peak[1])
        picked[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = True
    return picked

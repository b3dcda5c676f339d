"""A made-up embedding, with which banks can be compared with one direct pass."""

from contextlib import contextmanager

import numpy as np

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.reading import read_image, write_png
from patchcore_dual.data.sample import Sample
from patchcore_dual.features import EmbedderSpec
from patchcore_dual.scoring import RULES
from patchcore_dual.training.context import fit_context
from patchcore_dual.training.cross_fitting import cross_fit
from patchcore_dual.training.defect_bank import build_defect_bank
from patchcore_dual.training.normal_banks import normal_banks_of

CELL = 4


def embed(image):
    """float32 `[h, w, 48]`: the 4x4 pixels of each cell, all different from cell to cell."""
    height, width = image.shape[:2]
    cells = image.reshape(height // CELL, CELL, width // CELL, CELL, 3).swapaxes(1, 2)
    return cells.reshape(height // CELL, width // CELL, -1).astype(np.float32)


def wide(image):
    """As `embed`, with 192 dimensions, so that the projection has something to do."""
    cells = embed(image)
    mix = np.random.default_rng(1).standard_normal((cells.shape[-1], 192)).astype(np.float32)
    return cells @ mix


class MadeUpEmbedder:
    """A function of one image as an `Embedder`, which counts the images it has seen."""

    def __init__(self, function=embed):
        self.function, self.seen = function, []
        self.spec = EmbedderSpec("made up", (), (function(np.zeros((4, 4, 3), np.uint8)).size,), 4)

    def __call__(self, images):
        self.seen += [image.tobytes() for image in images]
        return np.stack([self.function(image) for image in images])


def features(manifest, sample, function=embed):
    """The features of a sample's image."""
    return function(read_image(manifest.image_path(sample)))


def normal_banks(manifest, settings, function=embed, **options):
    """The normal banks by a made-up embedding."""
    return normal_banks_of(manifest, MadeUpEmbedder(function), settings, **options)


@contextmanager
def context_of(manifest, settings, embedder=None, **options):
    """A context of fitting by a made-up embedding."""
    with fit_context(manifest, embedder or MadeUpEmbedder(), settings, **options) as context:
        yield context


def defect_bank(manifest, settings, pseudo_masks=None, embedder=None):
    """The defect bank by a made-up embedding, or by an embedder."""
    with context_of(manifest, settings, embedder) as context:
        return build_defect_bank(context, manifest, pseudo_masks or {})


def calibration_of(manifest, settings, banks, defects, rule="ratio", embedder=None):
    """The calibration set by a made-up embedding, or by an embedder."""
    with context_of(manifest, settings, embedder) as context:
        return cross_fit(
            context, manifest, banks, defects, pseudo_masks={}, rule=RULES[rule]
        ).calibration


def make_stained(folder, good, defective, side=32):
    """A manifest of training images alone: noisy surfaces, the defective ones with a stain."""
    rng, samples = np.random.default_rng(0), []
    for i in range(good + defective):
        image, mask = rng.normal(150, 12, (side, side, 3)), np.zeros((side, side), bool)
        is_defective = i >= good
        if is_defective:
            top, left = 4 * rng.integers(0, side // 4 - 2, 2)
            mask[top : top + 8, left : left + 8] = True
            image[mask] -= rng.uniform(60, 110)
            write_png(folder / f"mask{i}.png", mask)
        write_png(folder / f"{i}.png", image.clip(0, 255).astype(np.uint8))
        label = "positive" if is_defective else "negative"
        samples.append(Sample(f"{i}.png", f"mask{i}.png" if is_defective else "", label, "train"))
    manifest = Manifest(folder, tuple(samples))
    manifest.save()
    return manifest

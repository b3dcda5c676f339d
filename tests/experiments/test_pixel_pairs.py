"""Pixel AUROC by pairs of images, against the pixels of images taken several times."""

import numpy as np
import pytest

from patchcore_dual.evaluation.metrics import auroc
from patchcore_dual.experiments.pixel_pairs import PixelPairCounter


def images(seed, n=6):
    generator = np.random.default_rng(seed)
    for i in range(n):
        mask = np.zeros((5, 7), bool)
        if i % 2:
            mask[1:3, 2 : 3 + i] = True
        # Powers of two and their quarters fall into bins of their own: nothing is lost to binning.
        values = generator.choice([-4, -1, 0, 0.25, 0.5, 0.75, 1, 1.25, 2], mask.shape)
        yield (values + mask * generator.choice([0, 1], mask.shape)).astype(np.float32), mask


@pytest.mark.parametrize("seed", range(5))
def test_weights_are_repetitions(seed):
    pairs, pixels = PixelPairCounter(), []
    for heat, mask in images(seed):
        pairs.update(heat, mask)
        pixels.append((heat.ravel(), mask.ravel()))
    weights = np.random.default_rng(seed).integers(0, 3, (8, 6)).astype(float)
    table = pairs.compute()
    assert table.rows == (1, 3, 5)
    for row, got in zip(weights, table.auroc(weights), strict=True):
        taken = [p for p, times in zip(pixels, row, strict=True) for _ in range(int(times))]
        scores, labels = (np.concatenate(part) for part in zip(*taken, strict=True))
        assert got == pytest.approx(auroc(scores, labels), nan_ok=True)


def test_an_image_without_a_known_mask_does_not_count():
    with_, without = PixelPairCounter(), PixelPairCounter()
    for heat, mask in images(1):
        with_.update(heat, mask)
        without.update(heat, mask)
    with_.update(np.full((3, 3), 9, np.float32), None)
    assert with_.compute().auroc(np.ones((1, 7))) == without.compute().auroc(np.ones((1, 6)))


def test_binning_costs_little():
    generator = np.random.default_rng(2)
    heat = generator.gamma(4, 1, (60, 60)).astype(np.float32)
    mask = np.zeros((60, 60), bool)
    mask[20:30, 20:40] = True
    heat[mask] += 1
    pairs = PixelPairCounter()
    pairs.update(heat, mask)
    exact = auroc(heat.ravel(), mask.ravel())
    assert pairs.compute().auroc(np.ones((1, 1)))[0] == pytest.approx(exact, abs=1e-4)

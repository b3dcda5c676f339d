import numpy as np

from patchcore_dual.synthesis.cutpaste import CutPaste
from patchcore_dual.synthesis.generator import AskedMask
from patchcore_dual.synthesis.textures import composed, elsewhere, is_grey, shuffled
from synthesis.generators_common import good_metal, grey_surface


def test_a_patch_is_cut_from_the_image_itself():
    image = grey_surface(3)
    levels = set(image[..., 0].ravel().tolist())
    window = slice(40, 60), slice(20, 50)
    for seed in range(5):
        patch = elsewhere(image, window, 0.0, np.random.default_rng(seed))
        assert patch.shape == (20, 30, 3)
        assert min(levels) <= patch.min() <= patch.max() <= max(levels)
        assert not np.array_equal(patch, image[window])


def test_a_patch_is_cut_from_the_part_and_not_from_its_hole():
    image = np.full((128, 128, 3), 180, np.uint8)
    image[:, 40:90] = 10
    window = slice(50, 70), slice(100, 120)
    for seed in range(20):
        patch = elsewhere(image, window, 0.0, np.random.default_rng(seed))
        assert (patch < 100).mean() < 0.6


def test_shuffling_keeps_every_tile():
    texture = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
    mixed = shuffled(texture, 8, np.random.default_rng(1))
    assert not np.array_equal(mixed, texture)
    assert np.array_equal(np.sort(mixed.ravel()), np.sort(texture.ravel()))
    tiles = {texture[y : y + 8, x : x + 8].tobytes() for y in (0, 8, 16) for x in range(0, 40, 8)}
    assert mixed[8:16, 16:24].tobytes() in tiles


def test_a_layer_whose_channels_drifted_apart_leaves_a_grey_image_grey():
    image = grey_surface(3)
    window = slice(40, 60), slice(20, 50)
    layer = image[window] + np.float32([0, 0.6, 1.2])
    result = composed(image, window, layer, np.ones((20, 30, 1)))
    assert is_grey(result)
    assert not is_grey(composed(good_metal(), window, layer, np.ones((20, 30, 1))))


def test_a_gain_below_one_darkens_and_above_one_brightens():
    normal = good_metal()
    pixels = np.zeros(normal.shape[:2], bool)
    pixels[165:195, 100:150] = True
    changes = []
    for seed in range(12):
        made = CutPaste().generate(normal, AskedMask(pixels, "scratch"), seed)
        difference = made.image[made.mask].mean() - normal[made.mask].mean()
        changes.append((made.provenance["gain"], difference))
    assert all(d < 0 for gain, d in changes if gain < 0.7)
    assert any(gain < 0.7 for gain, _ in changes)
    assert any(gain > 1 for gain, _ in changes)
    assert all(d > -10 for gain, d in changes if gain > 1)

import numpy as np

from patchcore_dual.synthesis.generator import TargetMask
from patchcore_dual.synthesis.generators.cutpaste import CutPaste
from patchcore_dual.synthesis.generators.textures import (
    alpha_blend,
    feather,
    is_grey,
    match_tone,
    sample_source_patch,
    tone,
)
from synthesis.generators_common import good_metal, grey_surface


def test_a_patch_is_cut_from_the_image_itself():
    image = grey_surface(3)
    levels = set(image[..., 0].ravel().tolist())
    window = slice(40, 60), slice(20, 50)
    for seed in range(5):
        patch = sample_source_patch(image, window, 1.0, np.random.default_rng(seed))
        assert patch.shape == (20, 30, 3)
        assert min(levels) <= patch.min() <= patch.max() <= max(levels)
        assert not np.array_equal(patch, image[window])


def test_a_patch_is_cut_from_the_part_and_not_from_its_hole():
    image = np.full((128, 128, 3), 180, np.uint8)
    image[:, 40:90] = 10
    window = slice(50, 70), slice(100, 120)
    for seed in range(20):
        patch = sample_source_patch(image, window, 1.0, np.random.default_rng(seed))
        assert (patch < 100).mean() < 0.6


def test_a_patch_keeps_the_direction_of_the_grain():
    """Pixels as they are, moved or mirrored: columns of a ground surface stay columns."""
    columns = np.random.default_rng(0).integers(60, 200, (1, 96, 1), np.uint8)
    image = np.broadcast_to(columns, (128, 96, 3)).copy()
    window = slice(40, 60), slice(20, 50)
    for seed in range(8):
        patch = sample_source_patch(image, window, 1.0, np.random.default_rng(seed))
        assert (patch == patch[:1]).all()
        assert set(patch.ravel().tolist()) <= set(columns.ravel().tolist())
        assert patch[0].std() > 10


def test_a_zoomed_patch_has_coarser_structure():
    image = grey_surface(3)
    window = slice(40, 80), slice(20, 70)

    def steepness(zoom: float) -> float:
        patches = [
            sample_source_patch(image, window, zoom, np.random.default_rng(s)) for s in range(8)
        ]
        return float(np.mean([np.abs(np.diff(p.astype(float), axis=1)).mean() for p in patches]))

    assert steepness(3.0) < 0.7 * steepness(1.0)


def test_a_patch_takes_the_tone_of_its_new_place_and_keeps_its_structure():
    rng = np.random.default_rng(0)
    dark, bright = (level + rng.normal(0, 6, (40, 60, 1)) for level in (60, 160))
    dark, bright = (np.repeat(a, 3, 2).astype(np.float32) for a in (dark, bright))
    moved = match_tone(bright, dark)
    assert abs(moved.mean() - dark.mean()) < 2
    assert np.corrcoef(moved.ravel(), bright.ravel())[0, 1] > 0.8


def test_an_edge_is_feathered_the_wider_the_wider_the_shape_but_not_at_the_border_of_the_picture():
    def slope(size: int) -> int:
        shape = np.zeros((90, 90), bool)
        shape[10 : 10 + size, 10:] = True
        share = feather(shape)[..., 0]
        assert share[~shape].max() == 0
        middle = share[10 + size // 2]
        assert middle[-1] == 1
        return int((middle[10:] < 1).sum())

    assert slope(60) > slope(8) >= 1


def test_a_layer_whose_channels_drifted_apart_leaves_a_grey_image_grey():
    image = grey_surface(3)
    window = slice(40, 60), slice(20, 50)
    layer = image[window] + np.float32([0, 0.6, 1.2])
    result = alpha_blend(image, window, layer, np.ones((20, 30, 1)))
    assert is_grey(result)
    assert not is_grey(alpha_blend(good_metal(), window, layer, np.ones((20, 30, 1))))


def test_the_surface_is_replaced_by_another():
    """Unlike strokes: at the same tone, the grain under the patch is another."""
    normal = grey_surface(5)
    pixels = np.zeros(normal.shape[:2], bool)
    pixels[40:80, 20:70] = True
    core = np.s_[50:70, 30:60, 0]
    alike = []
    for seed in range(6):
        made = CutPaste().generate(normal, TargetMask(pixels, "crack"), seed)
        assert made.image[core].mean() < normal[core].mean()
        old, new = (
            a[core].astype(float) - tone(a)[core].astype(float) for a in (normal, made.image)
        )
        alike.append(np.corrcoef(old.ravel(), new.ravel())[0, 1])
    assert np.mean(alike) < 0.4

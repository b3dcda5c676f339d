"""Streaming pixel metrics against scikit-learn and against plain loops."""

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import example, given, settings
from hypothesis import strategies as st

from patchcore_dual.evaluation.pixel_metrics import PixelMetrics
from reference import metrics as slow


def streamed(maps, masks):
    pixel_metrics = PixelMetrics()
    for anomaly_map, mask in zip(maps, masks, strict=True):
        pixel_metrics.update(anomaly_map, mask)
    return pixel_metrics


def random_images(seed, n_images, n_levels=None, shape=(9, 12), offset=0.0):
    """Noise with a lift inside random masks; `n_levels` score values, all exact in a bin."""
    rng = np.random.default_rng(seed)
    masks = rng.random((n_images, *shape)) < 0.15
    masks[0, 0, 0] = True
    masks[:, 5, 5] = False
    maps = rng.gamma(3.0, size=masks.shape) + masks * rng.random() + offset
    if n_levels:
        maps = np.floor(maps * n_levels / 16)
    return list(maps.astype(np.float32)), list(masks)


@settings(max_examples=30)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(4, 80), st.sampled_from([0.0, -3.0])
)
@example(363693863, 1, 75, 0.0)  # the curve steps up at the limit itself
def test_is_exact_where_bins_hold_one_value(seed, n_images, n_levels, offset):
    maps, masks = random_images(seed, n_images, n_levels, offset=offset)
    result = streamed(maps, masks).compute()
    scores, labels = np.ravel(maps), np.ravel(masks)
    expected_auroc = sklearn.metrics.roc_auc_score(labels, scores)
    expected_ap = sklearn.metrics.average_precision_score(labels, scores)
    assert result.auroc == pytest.approx(expected_auroc, abs=1e-12)
    assert result.ap == pytest.approx(expected_ap, abs=1e-12)
    assert result.aupro == pytest.approx(slow.aupro(maps, masks), abs=1e-12)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-30, 1e-3, 1.0, 1e20]))
def test_auroc_lies_within_its_bound_at_any_scale(seed, scale):
    maps, masks = random_images(seed, 3)
    # Scores squeezed together fall into few bins and make the bound matter.
    maps = [((1 + m / 100) * scale).astype(np.float32) for m in maps]
    result = streamed(maps, masks).compute()
    exact = sklearn.metrics.roc_auc_score(np.ravel(masks), np.ravel(maps))
    assert abs(result.auroc - exact) <= result.auroc_error_bound + 1e-12


def test_bound_is_reached_by_the_worst_case():
    lower, higher = np.float32(1), np.nextafter(np.float32(1), np.float32(2))
    mask = np.array([[True, False]])
    result = streamed([np.array([[higher, lower]])], [mask]).compute()
    assert (result.auroc, result.auroc_error_bound) == (0.5, 0.5)


def test_is_close_to_exact_on_smooth_scores():
    rng = np.random.default_rng(0)
    masks = np.zeros((4, 128, 128), dtype=bool)
    masks[1, 30:50, 20:60] = masks[3, 90:94, :] = True
    maps = (rng.gamma(4.0, 0.3, masks.shape) + 0.8 * masks).astype(np.float32)
    result = streamed(maps, masks).compute()
    exact = sklearn.metrics.roc_auc_score(masks.ravel(), maps.ravel())
    exact_ap = sklearn.metrics.average_precision_score(masks.ravel(), maps.ravel())
    assert result.auroc_error_bound < 1e-4
    assert result.auroc == pytest.approx(exact, abs=1e-5)
    assert result.ap == pytest.approx(exact_ap, abs=1e-4)


def test_pixels_that_are_not_inspected_do_not_count():
    rng = np.random.default_rng(1)
    masks = np.zeros((2, 20, 30), dtype=bool)
    masks[0, 5:9, 10:28] = True  # of which the region holds 10 columns
    masks[1, :3, 25:] = True  # wholly outside
    maps = (rng.normal(size=masks.shape) + masks).astype(np.float32)
    inside = streamed(maps[:, :, :20], masks[:, :, :20]).compute()
    maps[:, :, 20:] = np.nan
    assert streamed(maps, masks).compute() == inside


def test_order_holds_across_signs_and_zeros():
    values = np.array([[-1e30, -2.0, -1e-38, -0.0, 0.0, 1e-38, 2.0, 1e30]], dtype=np.float32)
    mask = np.array([[False, False, False, True, False, True, True, True]])
    result = streamed([values], [mask]).compute()
    expected = sklearn.metrics.roc_auc_score(mask.ravel(), values.ravel())
    assert result.auroc == pytest.approx(expected, abs=1e-12)


def test_diagonal_neighbours_are_one_region():
    mask = np.zeros((6, 6), dtype=bool)
    mask[0, 0] = mask[1, 1] = True
    mask[4, 4] = True
    anomaly_map = np.zeros((6, 6), dtype=np.float32)
    anomaly_map[0, 0] = anomaly_map[4, 4] = 1
    # Half of the first region and all of the second: 3/4 at no false positive, 1 at all of them.
    expected = 0.75 + 0.25 * 0.3 / 2
    assert streamed([anomaly_map], [mask]).compute().aupro == pytest.approx(expected)


def test_small_and_large_regions_weigh_the_same():
    mask = np.zeros((20, 20), dtype=bool)
    mask[0, 0] = True
    mask[10:, 10:] = True
    anomaly_map = (mask & (np.arange(20) < 5)).astype(np.float32)
    expected = 0.5 + 0.5 * 0.3 / 2
    assert streamed([anomaly_map], [mask]).compute().aupro == pytest.approx(expected)


@pytest.mark.parametrize("fill", [False, True])
def test_one_class_is_undefined(fill):
    result = streamed([np.ones((3, 4), dtype=np.float32)], [np.full((3, 4), fill)]).compute()
    values = (result.auroc, result.ap, result.aupro, result.auroc_error_bound)
    assert np.isnan(values).all()
    assert np.isnan(PixelMetrics().compute().auroc)


@pytest.mark.parametrize(
    ("anomaly_map", "mask", "message"),
    [
        (np.full((2, 2), np.nan, np.float32), np.zeros((2, 2), bool), "not finite"),
        (np.full((2, 2), np.inf, np.float32), np.zeros((2, 2), bool), "not finite"),
        (np.ones((2, 2)), np.zeros((2, 2), bool), "float32"),
        (np.ones((2, 2), np.float32), np.zeros((2, 2), np.uint8), "bool"),
        (np.ones((2, 2), np.float32), np.zeros((2, 3), bool), "equal"),
        (np.ones(4, np.float32), np.zeros(4, bool), r"\[H, W\]"),
    ],
)
def test_unusable_arguments_are_refused(anomaly_map, mask, message):
    pixel_metrics = PixelMetrics()
    with pytest.raises(ValueError, match=message):
        pixel_metrics.update(anomaly_map, mask)


def test_update_leaves_its_arguments_alone():
    maps, masks = random_images(0, 1)
    before = maps[0].copy(), masks[0].copy()
    streamed(maps, masks)
    np.testing.assert_array_equal(maps[0], before[0])
    np.testing.assert_array_equal(masks[0], before[1])

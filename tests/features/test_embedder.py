"""Wrappers of embedders: the same features, computed as rarely as there is room for."""

import numpy as np
import pytest

from patchcore_dual.banks import projection_matrix
from patchcore_dual.errors import SettingsError
from patchcore_dual.features import (
    CachedEmbedder,
    EmbedderSpec,
    ProjectedEmbedder,
    adapted,
    load_embedder,
    network_of,
)
from patchcore_dual.settings import Settings

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 24, 32, 3), dtype=np.uint8)


class Counting:
    """8x8 cells as they are, counted."""

    spec = EmbedderSpec("cells", (), (192,), stride=8)

    def __init__(self):
        self.count = 0

    def __call__(self, images):
        self.count += len(images)
        b, h, w, _ = images.shape
        cells = images.reshape(b, h // 8, 8, w // 8, 8, 3).swapaxes(2, 3)
        return cells.reshape(b, h // 8, w // 8, 192).astype(np.float32)


@pytest.mark.parametrize("on_disk", [False, True])
def test_an_image_is_embedded_once(tmp_path, on_disk):
    plain = Counting()
    cached = CachedEmbedder(plain, 10**9, tmp_path if on_disk else None)
    for images in (IMAGES, IMAGES[::-1], IMAGES[1:2]):
        np.testing.assert_array_equal(cached(images), Counting()(images))
    assert plain.count == 3
    assert cached.spec == plain.spec
    assert len(list(tmp_path.iterdir())) == (3 if on_disk else 0)


def test_images_of_equal_bytes_and_other_shape_are_not_confused():
    cached = CachedEmbedder(Counting(), 10**9)
    other = IMAGES[:1].reshape(1, 32, 24, 3)
    assert cached(IMAGES[:1]).shape == (1, 3, 4, 192)
    assert cached(other).shape == (1, 4, 3, 192)


def test_what_comes_first_is_kept_up_to_the_limit():
    plain = Counting()
    size = plain(IMAGES[:1]).nbytes
    cached = CachedEmbedder(plain, 2 * size)
    for _ in range(4):
        cached(IMAGES)
    assert plain.count == 1 + 3 + 3  # the third image is embedded each time


def test_a_full_disk_only_costs_time(tmp_path):
    plain = Counting()
    cached = CachedEmbedder(plain, 10**9, tmp_path / "missing")
    for _ in range(2):
        np.testing.assert_array_equal(cached(IMAGES), Counting()(IMAGES))
    assert plain.count == 6


def test_kept_features_cannot_be_changed_by_whoever_gets_them():
    cached = CachedEmbedder(Counting(), 10**9)
    with_copy = cached(IMAGES[:1])
    with_copy[:] = 0
    np.testing.assert_array_equal(cached(IMAGES[:1]), Counting()(IMAGES[:1]))


def test_a_projection_is_the_seeded_one():
    projected = ProjectedEmbedder(Counting(), seed=3)
    np.testing.assert_array_equal(projected(IMAGES), Counting()(IMAGES) @ projection_matrix(192, 3))
    assert projected.spec.channels == 128
    assert projected.spec != ProjectedEmbedder(Counting(), seed=4).spec


def test_counting_borders_otherwise_shares_the_network_and_not_the_features():
    embedder = load_embedder("efficientnet_lite0")
    single = {"scoring": "calibrated", "resolutions": (1,)}
    other = adapted(embedder, Settings(**single))
    assert adapted(embedder, Settings(**single, count_padding=True)) is embedder
    assert other.spec.count_padding is False
    assert other.network is embedder.network
    images = IMAGES[:, :16, :16]
    assert not np.array_equal(embedder(images), other(images))
    cached = CachedEmbedder(embedder, 10**9)
    np.testing.assert_array_equal(cached(images), embedder(images))
    np.testing.assert_array_equal(adapted(cached, Settings(**single))(images), other(images))


def test_an_embedder_that_cannot_count_otherwise_says_so():
    with pytest.raises(SettingsError, match="set count_padding to True"):
        adapted(Counting(), Settings())
    with pytest.raises(SettingsError, match=r"resolutions to \(1,\)"):
        adapted(Counting(), Settings(count_padding=True, resolutions=(1, 2)))


@pytest.mark.parametrize(
    "wrapped",
    [
        CachedEmbedder(Counting(), 10),
        ProjectedEmbedder(Counting(), seed=0),
        CachedEmbedder(ProjectedEmbedder(Counting(), seed=0), 10),
    ],
)
def test_a_wrapped_embedder_of_the_user_is_used_as_it_is(wrapped):
    assert adapted(wrapped, Settings(count_padding=True)) is wrapped
    with pytest.raises(SettingsError, match="works in one way only"):
        adapted(wrapped, Settings())


def test_the_network_of_wrapped_embedders():
    embedder = load_embedder("efficientnet_lite0")
    wrapped = ProjectedEmbedder(CachedEmbedder(embedder, 10), seed=0)
    assert network_of(wrapped) == network_of(embedder) == embedder.network
    assert network_of(Counting()) is None

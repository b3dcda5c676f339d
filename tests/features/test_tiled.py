"""Tiles give the features of one pass, the slow reference, and see no more than they have to."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchcore_dual.errors import SettingsError
from patchcore_dual.features import EmbedderSpec, TiledEmbedder, as_set, load_embedder, unwrapped
from patchcore_dual.features.inspected import patches_of
from patchcore_dual.features.tiled import span_around, spans
from patchcore_dual.settings import Settings

IMAGE = np.random.default_rng(0).integers(0, 256, (200, 331, 3), dtype=np.uint8)


class Surroundings:
    """The mean colour of 8x8 cells, rounded up, and that of the cells around; counts its calls."""

    spec = EmbedderSpec("surroundings", (), (6,), stride=8)

    def __init__(self):
        self.seen = []

    def __call__(self, images):
        self.seen.append(images.shape[1:3])
        height, width = (-side % 8 for side in images.shape[1:3])
        padded = np.pad(images, ((0, 0), (0, height), (0, width), (0, 0)), mode="edge")
        b, h, w, _ = padded.shape
        cells = padded.reshape(b, h // 8, 8, w // 8, 8, 3).mean((2, 4), dtype=np.float32)
        around = np.pad(cells, ((0, 0), (1, 1), (1, 1), (0, 0)))
        means = sum(around[:, y : y + h // 8, x : x + w // 8] for y in range(3) for x in range(3))
        return np.concatenate([cells, means], axis=-1)


@pytest.fixture(scope="module")
def network():
    return load_embedder(
        "efficientnet_lite0", resolutions=(1, 2, 4), count_padding=False, device="cpu"
    )


def test_the_features_of_a_network_are_those_of_one_pass(network):
    image = np.random.default_rng(1).integers(0, 256, (530, 600, 3), dtype=np.uint8)
    image[:, :, :] = (image // 4 + np.linspace(0, 190, 600)[:, None]).astype(np.uint8)
    one = network(image[None])[0]
    grid = TiledEmbedder(network, (448, 448), overlap=384).grid(image)
    assert len(grid.resolutions[0].rows) * len(grid.resolutions[0].columns) > 2
    tiled = grid.whole()
    assert grid.shape == tiled.shape == one.shape
    np.testing.assert_allclose(tiled, one, atol=1e-4 * np.abs(one).max())
    window = np.s_[15:18, 29:32]
    np.testing.assert_allclose(grid[window], one[window], atol=1e-4 * np.abs(one).max())


def test_too_small_an_overlap_shows(network):
    image = np.random.default_rng(1).integers(0, 256, (64, 400, 3), dtype=np.uint8)
    one = network(image[None])[0]
    tiled = TiledEmbedder(network, (256, 64), overlap=0)(image[None])[0]
    assert np.abs(tiled - one).max() > 0.05 * np.abs(one).max()


def test_a_resolution_by_the_graph_is_that_of_pytorch(network):
    from patchcore_dual.features.engines.torch_engine import restore_torch_embedder

    module = restore_torch_embedder(network.spec, network.network)
    for times in (1, 2, 4):
        graph = network.at_resolution(times)
        assert graph.spec.channels == 152
        expected = module.at_resolution(times)(IMAGE[None])
        found = graph(IMAGE[None])
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    assert network.at_resolution(2) is network.at_resolution(2)


def test_one_resolution_is_the_network_itself():
    network = load_embedder("efficientnet_lite0", device="cpu")
    assert network.at_resolution(1) is network


@given(st.integers(1, 400), st.integers(1, 12), st.integers(0, 11), st.sampled_from([8, 16, 32]))
def test_every_cell_is_kept_once_and_well_inside_its_tile(side, tile, overlap, step):
    tile, overlap = tile * step, min(overlap, tile - 1) * step
    every = spans(side, tile, overlap, step, stride=8)
    assert [c for s in every for c in range(s.cells.start, s.cells.stop)] == [*range(-(-side // 8))]
    for span in every:
        start, end = span.pixels.start, span.pixels.stop
        assert start % step == 0
        assert end - start <= tile
        assert end <= side
        assert span.kept.start == span.cells.start - start // 8
        assert start == 0 or 8 * span.cells.start - start >= overlap // 2 - 8
        assert end == side or end - 8 * span.cells.stop >= overlap // 2


@given(st.integers(1, 400), st.integers(0, 49), st.integers(4, 12))
def test_a_tile_around_a_cell_lies_in_the_image(side, cell, tile):
    cell = min(cell, -(-side // 8) - 1)
    span = span_around(slice(cell, cell + 1), side, 16 * tile, 16, 8)
    assert 0 <= span.pixels.start <= 8 * cell < span.pixels.stop <= side
    assert span.pixels.start % 16 == 0


@pytest.mark.parametrize("tile", [(64, 64), (331, 64), (96, 200), (512, 512)])
def test_an_embedder_of_ones_own(tile):
    plain, reference = Surroundings(), Surroundings()(IMAGE[None])[0]
    tiled = TiledEmbedder(plain, tile, overlap=24)
    np.testing.assert_allclose(tiled(IMAGE[None])[0], reference, rtol=1e-6)
    grid = tiled.grid(IMAGE)
    np.testing.assert_allclose(grid[3:5, 7:10], reference[3:5, 7:10], rtol=1e-6)
    np.testing.assert_allclose(grid[24, 41], reference[24, 41], rtol=1e-6)
    if tile != (512, 512):
        width, height = (-(-side // 8) * 8 for side in tile)
        assert all(h <= height and w <= width for h, w in plain.seen[1:])


def test_tiles_without_a_wanted_cell_are_left_out():
    plain, reference = Surroundings(), Surroundings()(IMAGE[None])[0]
    wanted = np.zeros(reference.shape[:2], bool)
    wanted[2, 3] = True
    grid = TiledEmbedder(plain, (64, 64), overlap=16).grid(IMAGE, wanted)
    features = grid.whole()
    assert len(plain.seen) == 1
    np.testing.assert_allclose(features[wanted], reference[wanted], rtol=1e-6)
    assert np.isnan(features[~wanted]).all()


def test_an_embedder_whose_cells_are_rounded_down_is_refused():
    class Down(Surroundings):
        def __call__(self, images):
            return super().__call__(images)[:, : images.shape[1] // 8, : images.shape[2] // 8]

    with pytest.raises(SettingsError, match="rounded up"):
        TiledEmbedder(Down(), (64, 64))(IMAGE[None])


def test_what_the_settings_make_of_an_embedder():
    plain = Surroundings()
    assert as_set(plain, Settings()) is plain
    assert isinstance(patches_of(plain, IMAGE), np.ndarray)
    tiled = as_set(plain, Settings(tile=(100, 60), overlap=20))
    assert isinstance(tiled, TiledEmbedder)
    assert unwrapped(tiled) is plain
    assert (tiled.tile, tiled.overlap) == ((104, 64), 24)
    both = as_set(plain, Settings(tile=(64, 64), bank_vectors="projected"))
    assert unwrapped(both) is plain
    assert both(IMAGE[None]).shape == (1, 25, 42, both.spec.channels)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"overlap": 8}, "set tile too"),
        ({"tile": (64, 32), "overlap": 32}, "64x32"),
        ({"tile": (0, 32)}, "greater than 0"),
        ({"tile": (64, 64), "search": "approximate"}, "exact"),
    ],
)
def test_settings_that_make_no_tiles(given, says):
    with pytest.raises(SettingsError, match=says):
        Settings.of(**given)


def test_an_overlap_that_rounding_makes_a_whole_tile():
    with pytest.raises(SettingsError, match="multiples of 8"):
        TiledEmbedder(Surroundings(), (61, 61), overlap=60)


def test_a_region_of_interest_leaves_tiles_out():
    region = np.zeros(IMAGE.shape[:2], bool)
    region[8:40, 16:56] = True
    expected = patches_of(Surroundings(), IMAGE, region)
    plain = Surroundings()
    tiled = as_set(plain, Settings(tile=(64, 64), overlap=16))
    found = patches_of(tiled, IMAGE, region, None)
    assert not plain.seen
    np.testing.assert_allclose(found.whole(), expected, rtol=1e-6)
    assert len(plain.seen) <= 4

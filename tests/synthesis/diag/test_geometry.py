import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lookalikes import surface
from patchcore_dual.data.crops import Box
from patchcore_dual.synthesis.diag.geometry import View, crop_view, whole_cells, whole_view


@st.composite
def masks(draw: st.DrawFn) -> NDArray[np.bool_]:
    """One solid defect, anywhere in an image of any proportions up to 1:4."""
    width = draw(st.integers(40, 400))
    height = draw(st.integers(max(40, width // 4), min(600, 4 * width)))
    mask = np.zeros((height, width), np.bool_)
    x, y = draw(st.integers(0, width - 6)), draw(st.integers(0, height - 6))
    mask[y : y + draw(st.integers(6, height)), x : x + draw(st.integers(6, width))] = True
    return mask


@settings(max_examples=60)
@given(masks())
def test_a_crop_holds_the_mask_and_keeps_the_proportions(mask: NDArray[np.bool_]) -> None:
    view = crop_view(mask, 1024)
    box = view.box
    assert box.x >= 0
    assert box.y >= 0
    assert box.x + box.width <= mask.shape[1]
    assert box.y + box.height <= mask.shape[0]
    assert box.cut(mask).sum() == mask.sum()
    assert view.width % 32 == view.height % 32 == 0
    assert view.width * view.height == pytest.approx(1024**2, rel=0.06)
    across, down = view.width / box.width, view.height / box.height
    assert across == pytest.approx(down, rel=0.06)
    if box.width == box.height:
        assert (view.width, view.height) == (1024, 1024)


@settings(max_examples=40)
@given(masks(), st.sampled_from([crop_view, whole_view]))
def test_what_is_painted_comes_back_to_the_asked_place(mask: NDArray[np.bool_], look) -> None:
    view = look(mask, 256)
    normal = np.full((*mask.shape, 3), 100, np.uint8)
    painted = view.show(normal).copy()
    painted[view.show_mask(mask)] = 255
    result = view.put_back(normal, painted)[..., 0] > 177
    # A pixel of the smaller of the two grids may be lost or won along the border.
    off = result ^ mask
    y, x = np.nonzero(mask)
    reach_x = 1 + mask.shape[1] // view.width
    reach_y = 1 + mask.shape[0] // view.height
    grown = np.zeros_like(mask)
    grown[
        max(0, y.min() - reach_y) : y.max() + 1 + reach_y,
        max(0, x.min() - reach_x) : x.max() + 1 + reach_x,
    ] = True
    inner = np.zeros_like(mask)
    inner[y.min() + reach_y : y.max() + 1 - reach_y, x.min() + reach_x : x.max() + 1 - reach_x] = (
        True
    )
    assert not off[~grown].any()
    assert not off[inner].any()


def test_the_box_maps_back_exactly() -> None:
    image = surface(0, 90, 70)
    view = View(Box(20, 10, 64, 32), 64, 32)
    assert np.array_equal(view.put_back(image, view.show(image)), image)
    painted = surface(1, 64, 32)
    result = view.put_back(image, painted)
    assert np.array_equal(view.box.cut(result), painted)
    view.box.cut(result)[:] = view.box.cut(image)
    assert np.array_equal(result, image)


def test_a_crop_shows_as_much_surface_on_either_side_as_the_defect_is_long() -> None:
    mask = np.zeros((2000, 3000), np.bool_)
    mask[1000:1010, 700:1000] = True
    assert crop_view(mask, 1024) == View(Box(400, 555, 900, 900), 1024, 1024)


def test_a_speck_is_not_enlarged_to_a_blur() -> None:
    mask = np.zeros((2000, 3000), np.bool_)
    mask[0, 2999] = True
    assert crop_view(mask, 1024) == View(Box(2744, 0, 256, 256), 1024, 1024)


def test_a_long_defect_on_a_narrow_part_is_shown_upright() -> None:
    mask = np.zeros((632, 224), np.bool_)
    mask[100:400, 100:104] = True
    view = crop_view(mask, 1024)
    assert view == View(Box(0, 0, 224, 632), 608, 1728)
    assert whole_view(mask, 1024) == View(Box(0, 0, 224, 632), 1024, 1024)


def test_a_hairline_reaches_the_latents_unbroken() -> None:
    mask = np.zeros((64, 96), np.bool_)
    mask[13, 20:70] = True
    assert not mask[::8, ::8].any()  # what the pipeline itself would keep of it
    grown = whole_cells(mask, 8)
    expected = np.zeros((8, 12), np.bool_)
    expected[1, 2:9] = True
    assert np.array_equal(grown[::8, ::8], expected)
    assert grown.sum() == 64 * expected.sum()
    assert grown[mask].all()

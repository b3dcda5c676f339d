"""Which cells of a defective image enter the defect bank."""

import numpy as np
import pytest
from scipy import ndimage

from patchcore_dual.data.crops import MIN_SIDE, crop_boxes
from patchcore_dual.data.resizing import resize_image
from patchcore_dual.features.defect_patches import (
    MIN_COVERAGE,
    cell_coverage,
    covered_cells,
    defect_patches,
)

CELL = 8


def embed(image):
    """Per cell of 8 pixels (a part of one counts too): its mean colour, its row and column."""
    height, width = image.shape[:2]
    rows, columns = -(-height // CELL), -(-width // CELL)
    features = np.zeros((rows, columns, 5), np.float32)
    for r in range(rows):
        for c in range(columns):
            cell = image[r * CELL : (r + 1) * CELL, c * CELL : (c + 1) * CELL]
            features[r, c] = [*cell.reshape(-1, 3).mean(axis=0), r, c]
    return features


def image(height=96, width=64):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def random_mask(seed, height=96, width=64):
    """A few blobs, some of a pixel or two."""
    noise = np.random.default_rng(seed).random((height, width))
    return ndimage.gaussian_filter(noise, 1.5) > 0.62


def slow_cells(mask, rows, columns):
    """The rule as it is written, for cells that divide the image."""
    coverage = mask.reshape(rows, CELL, columns, CELL).mean(axis=(1, 3))
    cells = coverage >= MIN_COVERAGE
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    for i in range(1, count + 1):
        of_defect = (labels == i).reshape(rows, CELL, columns, CELL).mean(axis=(1, 3))
        cells[np.unravel_index(of_defect.argmax(), of_defect.shape)] = True
    return cells


@pytest.mark.parametrize("seed", range(6))
def test_cells_against_the_rule_as_written(seed):
    mask = random_mask(seed)
    mask[40, 30] = True  # a lone pixel too
    assert mask.any()
    np.testing.assert_array_equal(covered_cells(mask, 12, 8), slow_cells(mask, 12, 8))


def test_a_tenth_of_a_cell_is_enough():
    mask = np.zeros((20, 30), bool)  # cells of 10x10
    mask[:, 0:4] = True
    mask[0, 10:19] = True  # 9 pixels of the next cell
    np.testing.assert_array_equal(covered_cells(mask, 2, 3), [[1, 1, 0], [1, 0, 0]])
    mask[0, 10:19] = False
    mask[0:1, 4:14] = True  # 4 pixels of it: one defect with the bar, whose best cell is another
    np.testing.assert_array_equal(covered_cells(mask, 2, 3), [[1, 0, 0], [1, 0, 0]])
    mask[0:3, 10:14] = True
    np.testing.assert_array_equal(covered_cells(mask, 2, 3), [[1, 1, 0], [1, 0, 0]])
    assert MIN_COVERAGE == 0.1


def test_coverage_of_cells_that_do_not_divide():
    mask = np.zeros((10, 7), bool)
    mask[:5] = True
    coverage = cell_coverage(mask, 4, 2)
    np.testing.assert_allclose(coverage, [[1, 1], [1, 1], [0, 0], [0, 0]], atol=1e-6)
    mask[:4], mask[4:] = True, False
    np.testing.assert_allclose(cell_coverage(mask, 3, 1)[:, 0], [1, 0.2, 0], atol=1e-6)


def test_mask_takes_the_covered_cells():
    mask = random_mask(1)
    vectors, cells = defect_patches(embed, image(), mask, "mask", None)
    np.testing.assert_array_equal(cells, np.argwhere(slow_cells(mask, 12, 8)))
    np.testing.assert_array_equal(vectors, embed(image())[cells[:, 0], cells[:, 1]])


def test_box_takes_all_cells_of_each_defects_box():
    mask = np.zeros((96, 64), bool)
    mask[np.arange(16, 48), np.arange(8, 40)] = True  # a diagonal
    mask[80, 60] = True
    vectors, cells = defect_patches(embed, image(), mask, "box", None)
    expected = {(r, c) for r in range(2, 6) for c in range(1, 5)} | {(10, 7)}
    assert set(map(tuple, cells.tolist())) == expected
    assert len(cells) == len(expected)
    np.testing.assert_array_equal(vectors, embed(image())[cells[:, 0], cells[:, 1]])
    narrow = defect_patches(embed, image(), mask, "mask", None)[1]
    assert len(narrow) < len(cells)


@pytest.mark.parametrize("size", [(40, 72), None])
def test_crop_takes_all_cells_of_each_cut(size):
    mask = np.zeros((200, 160), bool)
    mask[10:20, 10:30] = True
    mask[150, 100:160] = True
    picture = image(200, 160)
    vectors, cells = defect_patches(embed, picture, mask, "crop", size)
    cuts = [box.cut(picture) for box in crop_boxes(mask)]
    assert len(cuts) == 2
    assert min(cuts[0].shape[:2]) >= MIN_SIDE
    embedded = [embed(resize_image(cut, *size) if size else cut) for cut in cuts]
    np.testing.assert_array_equal(vectors, np.concatenate([e.reshape(-1, 5) for e in embedded]))
    assert len(cells) == len(vectors)


def test_a_crops_cells_lie_where_they_were_cut():
    mask = np.zeros((200, 160), bool)
    mask[140:150, 90:110] = True
    (box,) = crop_boxes(mask)
    _, cells = defect_patches(embed, image(200, 160), mask, "crop", (64, 64))
    assert (box.width, box.height) == (MIN_SIDE, MIN_SIDE)  # so that a cell stays 8 pixels
    expected = [
        [(box.y + 8 * row + 4) // CELL, (box.x + 8 * column + 4) // CELL]  # of a cell's middle
        for row in range(8)
        for column in range(8)
    ]
    assert cells.tolist() == expected


@pytest.mark.parametrize(("height", "width"), [(97, 224), (224, 97), (65, 641), (70, 70)])
@pytest.mark.parametrize("size", [(48, 48), None])
def test_a_crops_cells_lie_inside_the_grid(height, width, size):
    picture = image(height, width)
    rows, columns = embed(picture).shape[:2]
    for y, x in ((0, 0), (height - 1, width - 1)):
        mask = np.zeros((height, width), bool)
        mask[y, x] = True
        _, cells = defect_patches(embed, picture, mask, "crop", size)
        assert cells.min() >= 0
        assert np.all(cells < (rows, columns))
        corner = cells[0 if y == 0 else -1]
        # The last cell of the image may be a strip that no cell of the crop has its centre in.
        last = [(height - 4) // CELL, (width - 4) // CELL]
        assert y == 0 or np.all(corner >= np.minimum(last, [rows - 1, columns - 1]))
        assert y > 0 or corner.tolist() == [0, 0]


def test_coverage_of_cells_that_reach_beyond_the_image():
    mask = np.zeros((36, 29), bool)  # cells of 8: 5 rows, 4 columns
    mask[32:, 24:] = True
    coverage = cell_coverage(mask, 5, 4)
    assert np.argwhere(coverage > 0).tolist() == [[4, 3]]
    assert coverage[4, 3] == pytest.approx(4 * 5 / 64)


def test_a_crops_cells_lie_where_they_were_cut_in_an_image_that_cells_do_not_divide():
    picture = image(297, 233)
    mask = np.zeros((297, 233), bool)
    mask[280:290, 200:220] = True
    (box,) = crop_boxes(mask)
    _, cells = defect_patches(embed, picture, mask, "crop", None)
    assert (box.width, box.height) == (MIN_SIDE, MIN_SIDE)
    expected = [
        [(box.y + 8 * row + 4) // CELL, (box.x + 8 * column + 4) // CELL]
        for row in range(8)
        for column in range(8)
    ]
    assert cells.tolist() == expected

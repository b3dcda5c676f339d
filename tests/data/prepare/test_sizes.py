"""The proposed size, and what is said of sizes that make no sense."""

from pathlib import Path

import numpy as np
import pytest

from lookalikes import make_folder, save, scratch, surface
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.prepare.preparation import prepare
from patchcore_dual.data.prepare.sizes import (
    CELL,
    KEPT,
    LEAST,
    MOST,
    Original,
    check_size,
    defect_width,
    kept_size,
    propose_size,
    size_notes,
)
from patchcore_dual.data.resizing import distortion
from patchcore_dual.errors import SettingsError
from patchcore_dual.training.size_choice import proposed_size


def images(width: int, height: int, *defects: float, count: int = 5) -> list[Original]:
    widths = [*defects] or [0.0] * count
    return [Original(f"{i}.png", width, height, wide) for i, wide in enumerate(widths)]


@pytest.mark.parametrize(
    ("width", "height"),
    [(400, 400), (500, 1262), (1262, 500), (1600, 1200), (4000, 3000), (230, 630), (777, 555)],
)
@pytest.mark.parametrize("defect", [0, 3, 8, 20, 200])
def test_a_proposed_size_keeps_proportions_and_is_no_larger_than_the_image(
    width: int, height: int, defect: float
) -> None:
    originals = images(width, height, *[defect] * 4) if defect else images(width, height)
    proposal = propose_size(originals)
    assert (
        distortion((originals[0].width, originals[0].height), (proposal.width, proposal.height))
        <= 0.02
    )
    pixels = proposal.width * proposal.height
    assert pixels <= 1.1 * min(MOST * CELL**2, width * height)
    assert pixels >= 0.85 * min(LEAST * CELL**2, width * height)
    assert size_notes(originals, proposal.width, proposal.height) == []
    assert f"{pixels / 256**2:.1f} times the time and memory of 256x256" in proposal.reason


def test_a_proposed_size_makes_the_smallest_defects_eight_pixels_wide() -> None:
    originals = images(1600, 1200, *range(20, 60))
    originals[0] = Original("speck.png", 1600, 1200, 1.0)  # one of forty does not decide
    proposal = propose_size(originals)
    assert 7.2 <= 21 * proposal.width / 1600 <= 9
    assert "the smallest defects 8 pixels wide" in proposal.reason


def test_where_defects_stay_small_the_size_that_would_do_is_named_with_its_cost() -> None:
    proposal = propose_size(images(4000, 3000, 12))
    assert proposal.width * proposal.height <= MOST * CELL**2 * 1.1
    assert "the smallest defects 2.6 pixels wide; with --size 2688x2016 they have 8.1" in (
        proposal.reason
    )
    assert "for 9.8 times the time and memory" in proposal.reason


def test_the_width_of_a_defect_is_that_of_its_widest_place() -> None:
    mask = np.zeros((100, 100), np.bool_)
    assert defect_width(mask) == 0
    mask[np.arange(80), np.arange(80)] = True  # a long hairline
    assert defect_width(mask) <= 2
    mask[60:81, 10:31] = True
    assert defect_width(mask) == pytest.approx(21, abs=1)
    assert defect_width(np.ones((30, 50), np.bool_)) == pytest.approx(30, abs=2)


@pytest.mark.parametrize(
    ("width", "height"), [(1, 1), (15, 600), (600, 15), (99999, 99999), (12000, 12000)]
)
def test_senseless_sizes_are_refused(width: int, height: int) -> None:
    with pytest.raises(SettingsError, match=f"{width}x{height} .*--size auto"):
        check_size(width, height)


def test_a_senseless_size_is_refused_before_any_image_is_read(tmp_path: Path) -> None:
    def fail(stage: str, done: int, total: int) -> None:
        raise AssertionError(stage)

    source = make_folder(tmp_path / "f")
    for side in (1, 99999):
        with pytest.raises(SettingsError):
            prepare("folder", source, tmp_path / "p", width=side, height=side, progress=fail)
    assert not (tmp_path / "p").exists()


def test_distortion_above_five_percent_is_warned_of_with_the_worst_image_and_a_better_size() -> (
    None
):
    (note,) = size_notes(images(400, 400), 224, 632)
    assert note.startswith("WARNING: 224x632 distorts 5 of 5 images by more than 5%")
    assert "0.png (400x400, by 182%)" in note
    assert "--size 384x384 keeps the proportions" in note
    assert size_notes(images(1000, 1000), 300, 312) == []
    assert len(size_notes(images(1000, 1000), 300, 320)) == 1


def test_images_of_many_shapes_are_said_to_be_distorted_by_every_size() -> None:
    mixed = [*images(400, 300, count=5), *images(300, 400, count=4)]
    proposal = propose_size(mixed)
    (note,) = size_notes(mixed, proposal.width, proposal.height)
    assert "proportions of the median image" in proposal.reason
    assert "distorts 4 of 9 images" in note
    assert "The images differ in shape" in note


def test_enlarging_and_native_sizes_above_what_a_network_takes_are_warned_of() -> None:
    (note,) = size_notes(images(100, 100), 300, 300)
    assert "enlarges all images" in note
    (note,) = size_notes(images(6000, 4000), None, None)
    assert "6000x4000" in note
    assert "--size 480x320" in note
    assert size_notes(images(4000, 4000), None, None) == []


def test_the_size_of_the_photographs_is_kept_for_fit_to_choose(tmp_path: Path) -> None:
    for number in range(4):
        save(tmp_path / f"s/good/{number}.png", surface(number, 640, 480))
        image = surface(10 + number, 640, 480)
        mask = scratch(image, (100, 100, 200, 14))
        save(tmp_path / f"s/scratch/{number}.png", image)
        save(tmp_path / f"s/masks/scratch/{number}.png", mask)
    summary = prepare("folder", tmp_path / "s", tmp_path / "p", choose_size=True)
    assert summary.size == "640x480"
    manifest = Manifest.load(tmp_path / "p")
    assert (manifest.size(), manifest.keeps_photographs) == ((640, 480), True)
    assert any(n.startswith("Size 640x480, that of the photographs") for n in summary.notes)
    assert proposed_size(manifest, cell=8)[0] == (384, 288)  # 14 pixels become 8
    assert proposed_size(manifest, cell=16)[0] == (768, 576)
    summary = prepare("folder", tmp_path / "s", tmp_path / "q", width=512, height=512)
    assert not Manifest.load(tmp_path / "q").keeps_photographs
    assert any("512x512 distorts 8 of 8 images by more than 5%" in n for n in summary.notes)


def test_what_photographs_have_is_kept_up_to_2_megapixels() -> None:
    assert kept_size(images(640, 480)).width == 640
    large = kept_size(images(6000, 4000))
    assert (large.width, large.height) == (1760, 1184) or large.width * large.height <= KEPT * 1.1
    assert abs(large.width / large.height - 1.5) < 0.05

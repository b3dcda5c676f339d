"""The choice of a size by cross-validation on training images."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lookalikes import save, surface
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.prepare.placement import SplitSettings
from patchcore_dual.data.prepare.preparation import prepare
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.errors import ModelError, SettingsError
from patchcore_dual.settings import Settings
from patchcore_dual.training.size_choice import (
    DEFECTIVES,
    NORMALS,
    TrialFit,
    candidate_sizes,
    choose_size,
)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Surfaces with a spot, prepared without a size."""
    folder = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    for number in range(14):
        image = surface(number, 128, 128)
        save(folder / f"s/good/{number}.png", image)
        image = surface(50 + number, 128, 128)
        x, y = rng.integers(10, 110, 2)
        image[y : y + 6, x : x + 6] = 255
        mask = np.zeros((128, 128), np.uint8)
        mask[y : y + 6, x : x + 6] = 255
        save(folder / f"s/spot/{number}.png", image)
        save(folder / f"s/masks/spot/{number}.png", mask)
    split = SplitSettings(train_fraction=1)
    prepare("folder", folder / "s", folder / "p", choose_size=True, split=split)
    return Manifest.load(folder / "p")


def try_sizes(manifest: Manifest, recalls: dict[int, float]) -> tuple[object, list[object]]:
    """The choice where a size of this width finds such a share of the defects; what was fitted."""
    tried: list[object] = []

    def fit_at(some: Manifest, settings: Settings) -> TrialFit:
        size = some.size()
        assert size is not None
        tried.append((size, settings.normal_rate, some))
        defective = np.full(50, -1.0)
        defective[: round(50 * recalls[size[0]])] = 1.0
        return TrialFit(np.zeros(20), defective, milliseconds=34.5, memory=3 * 2**19)

    return choose_size(manifest, Settings(normal_rate=0.04), fit_at, cell=8), tried


def test_a_size_is_chosen_that_is_clearly_better(photographs: Manifest) -> None:
    base = (128, 128)
    assert candidate_sizes(base, 8) == [(128, 128), (256, 256)]
    choice, tried = try_sizes(photographs, {128: 0.60, 256: 0.61})
    assert choice.size == (128, 128)  # not worth its time
    choice, tried = try_sizes(photographs, {128: 0.98, 256: 1.0})
    assert (choice.size, len(tried)) == ((128, 128), 1)  # there is no room for more
    choice, tried = try_sizes(photographs, {128: 0.60, 256: 0.70})
    assert choice.size == (256, 256)
    # Banks of the same number of vectors, so that time and memory grow with the pixels alone.
    assert [(size, rate) for size, rate, _ in tried] == [((128, 128), 0.04), ((256, 256), 0.01)]
    assert choice.normal_rate == 0.01
    assert "256x256" in str(choice)
    assert "34 ms   1.5 MiB" in str(choice)


def test_sizes_are_tried_on_some_training_images_only(photographs: Manifest) -> None:
    many = replace(
        photographs,
        samples=tuple(
            replace(s, image=f"{i}-{s.image}") if i else s for s in photographs for i in range(6)
        ),
    )
    _, tried = try_sizes_without_masks(many)
    assert tried
    for rate, some in tried:
        assert rate == pytest.approx(0.01 * 84 / NORMALS)  # a bank of the model's size
        assert len(some.part(label="negative")) == NORMALS
        assert len(some.part(label="positive")) == DEFECTIVES
        assert len(some.synthetic()) == 0


def try_sizes_without_masks(manifest: Manifest) -> tuple[object, list[tuple[object, Manifest]]]:
    tried: list[tuple[object, Manifest]] = []

    def fit_at(some: Manifest, settings: Settings) -> TrialFit:
        tried.append((settings.normal_rate, some))
        return TrialFit(np.zeros(20), np.ones(20), milliseconds=1, memory=1)

    bare = manifest.where(replace(s, mask="") for s in manifest)
    return choose_size(bare, Settings(), fit_at, cell=8), tried


def test_with_too_few_defects_the_proposal_is_taken(photographs: Manifest) -> None:
    few = photographs.where(
        [*photographs.part(label="negative"), *photographs.part(label="positive").samples[:2]]
    )
    choice, tried = try_sizes(few, {})
    assert (choice.size, choice.trials, tried) == ((128, 128), (), [])
    assert "Too few defective images" in str(choice)


def test_rules_that_hold_no_defects_out_take_the_proposal_untried(photographs: Manifest) -> None:
    detector = PatchCoreDual(scoring="patchcore").fit(photographs)
    assert detector.fitted is not None
    choice = detector.fitted.size
    assert choice is not None
    assert (choice.size, choice.trials) == ((128, 128), ())
    assert "patchcore holds no defects out" in str(choice)


def test_a_model_that_may_not_be_replaced_stops_fit_before_sizes_are_tried(
    photographs: Manifest, tmp_path: Path
) -> None:
    stages: list[str] = []
    PatchCoreDual().fit(photographs, size=(64, 64), model_folder=tmp_path / "m")
    with pytest.raises(ModelError, match="overwrite"):
        PatchCoreDual().fit(
            photographs,
            model_folder=tmp_path / "m",
            progress=lambda stage, done, total: stages.append(stage),
        )
    assert stages == []


def test_fit_works_at_the_size_it_chose_and_inspects_photographs_of_any(
    photographs: Manifest, tmp_path: Path
) -> None:
    detector = PatchCoreDual(normal_rate=0.05).fit(photographs, model_folder=tmp_path / "m")
    assert detector.fitted is not None
    choice = detector.fitted.size
    assert choice is not None
    assert detector.model.size == choice.size
    assert choice.trials[0].size in ((128, 128), (256, 256))
    assert choice.trials[0].milliseconds > 0
    assert detector.model.settings.normal_rate == choice.normal_rate
    assert [path.name for path in tmp_path.iterdir() if "sizes" in path.name] == []
    inspection = PatchCoreDual.load(tmp_path / "m").inspect(
        photographs.image_path(photographs.samples[0])
    )
    assert inspection.anomaly_map.shape == (128, 128)


def test_the_smallest_defect_that_is_asked_for_decides_the_proposal(
    photographs: Manifest, tmp_path: Path
) -> None:
    normal = photographs.part(label="negative")  # nothing to compare sizes on
    usual = PatchCoreDual().fit(normal)
    coarse = PatchCoreDual().fit(normal, smallest_defect=64)
    assert usual.fitted is not None
    assert coarse.fitted is not None
    assert (usual.model.size, coarse.model.size) == ((256, 256), (256, 256))
    assert "no defect with a mask" in str(usual.fitted.size)
    assert "smallest defects 128 pixels wide" in str(coarse.fitted.size)
    for width in (0, -1, float("nan"), float("inf")):
        with pytest.raises(SettingsError, match="give more than 0"):
            PatchCoreDual().fit(normal, smallest_defect=width)
    with pytest.raises(SettingsError, match="where fit chooses the size"):
        PatchCoreDual().fit(normal, smallest_defect=8, size=(64, 64))


def test_a_size_that_is_given_is_taken(photographs: Manifest) -> None:
    small = PatchCoreDual().fit(photographs, size=(64, 96))
    assert small.model.size == (64, 96)
    assert small.fitted is not None
    assert small.fitted.size is None
    as_prepared = PatchCoreDual().fit(photographs, size=None)
    assert as_prepared.model.size == (128, 128)
    with pytest.raises(SettingsError, match="1x1"):
        PatchCoreDual().fit(photographs, size=(1, 1))


def test_images_and_masks_are_read_at_another_size(photographs: Manifest) -> None:
    spot = photographs.part(label="positive").samples[0]
    resized = photographs.at_size(64, 32)
    assert resized.size() == (64, 32)
    assert resized.part("train").read_image(spot).shape == (32, 64, 3)
    mask = resized.read_mask(spot)
    assert mask.shape == (32, 64)
    assert mask.any()

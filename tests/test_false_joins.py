"""Parts that look alike, from photographs to recall: none are joined, and defects are found.

Once, likeness alone joined pins in the same pose and the edge tiles of a cloth. Thresholds were
then set by a pose that the banks of the other folds did not know: joined so, recall was .7 on
the pins and 0 on the cloth at 96x96 with one resolution, and 1 on both otherwise.
"""

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lookalikes import cloth_tile, pin_in_a_pose, save
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.prepare.groups import GroupRule
from patchcore_dual.data.prepare.preparation import prepare
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.evaluation.evaluation import evaluate
from patchcore_dual.evaluation.results import Evaluation

RENDERED = {"pins in three poses": pin_in_a_pose, "a cloth with edge tiles": cloth_tile}
# Numbers of good and of defective images.
IN = {"train": (48, 6), "test": (32, 10)}


def with_hole(image: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """The image with a dark spot near its middle, where the pin or the cloth is."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:192, :192]
    down, right = rng.integers(84, 108, 2)
    spot = np.exp(-((((y - down) ** 2 + (x - right) ** 2) / 30.0) ** 2))
    return np.asarray(image * (1 - 0.8 * spot[..., None]), dtype=np.uint8)


def photographs(folder: Path, render) -> Path:
    """Plain folders with a split of their own, so that groups decide nothing but the folds."""
    number = 0
    for split, (n_good, n_bad) in IN.items():
        for i in range(n_good + n_bad):
            number += 1
            image = render(number)
            name = f"{split}/{'good' if i < n_good else 'hole'}/image{number:03d}.png"
            save(folder / name, image if i < n_good else with_hole(image, number))
    return folder


def measured(photos: Path, prepared: Path, rule: GroupRule | None) -> tuple[Manifest, Evaluation]:
    prepare("folder", photos, prepared, width=192, height=192, groups=rule)
    manifest = Manifest.load(prepared)
    return manifest, evaluate(PatchCoreDual().fit(manifest), manifest)


@pytest.mark.parametrize("name", RENDERED)
def test_look_alikes_are_not_joined_and_their_defects_are_found(name, tmp_path):
    photos = photographs(tmp_path / "photos", RENDERED[name])
    manifest, ours = measured(photos, tmp_path / "ours", None)
    assert max(Counter(s.group for s in manifest).values()) == 1
    alone, theirs = measured(photos, tmp_path / "alone", GroupRule(pattern=r"image\d+"))
    assert max(Counter(s.group for s in alone).values()) == 1
    assert (ours.recall, ours.false_alarm_rate) == (theirs.recall, theirs.false_alarm_rate)
    assert ours.recall >= 0.9
    assert ours.n_threshold_groups == IN["train"][0]
    assert ours.image_auroc > 0.95


def test_second_photographs_of_a_pin_are_joined_and_promise_nothing_more(tmp_path):
    """Each pin once more, darker, moved and with other noise: pins count, not photographs."""
    rng = np.random.default_rng(0)
    for number in range(24):
        image = pin_in_a_pose(number)
        moved = np.roll(image, (3, -2), (0, 1)) * 0.8 + rng.normal(0, 1, image.shape)
        save(tmp_path / f"photos/good/pin{number:02d}.png", image)
        again = np.clip(moved, 0, 255).astype(np.uint8)
        save(tmp_path / f"photos/good/again{number:02d}.png", again)
    prepare("folder", tmp_path / "photos", tmp_path / "prepared", width=96, height=96)
    manifest = Manifest.load(tmp_path / "prepared")
    pins = defaultdict(set)
    for sample in manifest:
        pins[sample.group].add((Path(sample.source).stem[-2:], sample.split))
    assert len(pins) == 24
    assert all(len(of_group) == 1 for of_group in pins.values())
    threshold = PatchCoreDual().fit(manifest).model.thresholds.image
    n_train = len(manifest.part("train"))
    assert (threshold.images, threshold.groups) == (n_train, n_train // 2)
    assert threshold.promised >= 1 / (threshold.groups + 1)

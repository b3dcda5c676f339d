"""The decision how many synthetic images to keep, and the whole of it on a small data set."""

from dataclasses import replace

import numpy as np
import pytest

from patchcore_dual.data.reading import read_image, read_mask, write_png
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.errors import SettingsError
from patchcore_dual.settings import Settings
from patchcore_dual.training.synthetic_choice import (
    check_synthetic_choice,
    summarise_gain,
)

RNG = np.random.default_rng(0)
BASE = RNG.uniform(0, 1, 20)


def steady(gain: float) -> np.ndarray:
    return BASE + gain + RNG.normal(0, 0.01, 20)


def test_the_best_number_is_kept_where_its_gain_is_clear() -> None:
    gain = summarise_gain([0, 50, 100], [BASE, steady(0.2), steady(0.1)])
    assert gain.kept == 50
    assert gain.gains[1] == pytest.approx(0.2, abs=0.02)
    assert "keep 50 of 100" in str(gain)


@pytest.mark.parametrize("change", [steady(-0.1), BASE, BASE + RNG.normal(0, 1, 20) * 0.5 - 0.1])
def test_none_is_kept_where_none_clearly_helps(change: np.ndarray) -> None:
    gain = summarise_gain([0, 100], [BASE, change])
    assert gain.kept == 0
    assert "none helps here" in str(gain)


@pytest.mark.parametrize("known", [([], []), ([0.5], [0.5]), ([], [0.5, 0.5])])
def test_all_are_kept_where_nothing_can_be_held_out(known: tuple[list[float], ...]) -> None:
    gain = summarise_gain([0, 8], [np.array(r) for r in known])
    assert gain.kept == 8
    assert "cannot be told" in str(gain)


def test_on_a_data_set(prepared, tmp_path) -> None:
    train = prepared.part(split="train")
    good, bad = (train.part(label=label).samples for label in ("negative", "positive"))
    made = []
    for i, normal in enumerate(good):
        image, mask = (
            read_image(train.image_path(normal)).copy(),
            read_mask(train.folder / bad[0].mask),
        )
        image[mask] = 20
        write_png(tmp_path / f"{i}.png", image)
        write_png(tmp_path / f"{i}m.png", mask)
        made.append(
            replace(
                bad[0],
                image=str(tmp_path / f"{i}.png"),
                mask=str(tmp_path / f"{i}m.png"),
                origin="drawn",
                provenance={"parents": [normal.image]},
            )
        )
    both = train.where([*train, *made])
    detector = PatchCoreDual(normal_rate=0.3).fit(both, synthetic="best")
    gain = detector.fitted.synthetic
    assert gain.counts == (0, 2, 3, 4, 6)
    assert gain.images == len(bad)
    assert all(0 <= recall <= 1 for recall in gain.recalls)
    assert gain.kept in gain.counts
    used = detector.model.trained_on["synthetic_images"]
    assert used == ({"drawn": gain.kept} if gain.kept else {})


def test_what_cannot_be_judged_is_said(prepared) -> None:
    with pytest.raises(SettingsError, match="has no synthetic images to choose from"):
        check_synthetic_choice(Settings(), prepared)
    with pytest.raises(SettingsError, match="ratio does not hold defective images out"):
        check_synthetic_choice(Settings(scoring="ratio"), prepared)

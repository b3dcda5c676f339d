"""The images that decide the threshold are named, with what it would be without each."""

import numpy as np
import pytest

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.reading import write_png
from patchcore_dual.data.sample import Sample
from patchcore_dual.scoring import HeldOutScores
from patchcore_dual.training.deciding_images import DecidingImages, deciding_images, sentences
from patchcore_dual.training.deciding_images_sheet import draw_deciding_images

GOOD = [f"good/{i}.png" for i in range(40)]


def found(normal: np.ndarray, defective: np.ndarray, rate: float = 0.01) -> DecidingImages:
    bad = [f"bad/{i}.png" for i in range(len(defective))]
    return deciding_images(GOOD[: len(normal)], normal, bad, defective, false_alarm_rate=rate)


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.3])
def test_each_image_comes_with_the_threshold_without_it(rate: float) -> None:
    scores = np.random.default_rng(0).normal(size=40)
    at_threshold = found(scores, np.array([]), rate).at_threshold
    threshold = HeldOutScores(scores).threshold(rate).value
    assert len(at_threshold) == (scores >= threshold).sum() + 5
    for one in at_threshold:
        others = np.delete(scores, GOOD.index(one.image))
        assert one.without == HeldOutScores(others).threshold(rate).value


def test_a_good_image_that_looks_like_a_defect_is_named() -> None:
    scores = np.arange(20.0)
    scores[7] = 50
    images = found(scores, np.array([30.0, 40, 60, 2]))
    assert [one.image for one in images.like_defects] == ["good/7.png"]
    assert images.at_threshold[0].image == "good/7.png"
    rest = HeldOutScores(np.delete(scores, 7)).threshold(0.01).value
    assert images.at_threshold[0].without == rest < HeldOutScores(scores).threshold(0.01).value
    assert [one.image for one in images.nothing_found] == ["bad/3.png"]


def test_two_defects_do_not_say_what_a_defect_looks_like() -> None:
    images = found(np.arange(20.0), np.array([1.0, 2]))
    assert not images.like_defects
    assert not images.nothing_found


def test_a_single_good_image_has_no_threshold_without_it() -> None:
    (one,) = found(np.array([1.0]), np.array([])).at_threshold
    assert one.without is None


def test_the_sentences_use_the_names_of_the_user() -> None:
    images = found(np.arange(20.0), np.array([]))
    lines = sentences(images, {"good/19.png": "photographs/Tür.jpg"}, "sheet.jpg")
    assert "photographs/Tür.jpg (19), good/18.png (18)" in lines[0]
    assert f"without the first it would be {images.at_threshold[0].without:.4g}" in lines[0]
    assert "sheet.jpg" in lines[-1]
    assert "--exclude FILE" in lines[-1]


@pytest.mark.parametrize("count", [1, 5, 9])
def test_the_sheet_shows_every_image(tmp_path, count: int) -> None:
    samples = []
    for i in range(count):
        write_png(tmp_path / f"{i}.png", np.full((20, 30 + 10 * i, 3), (200, 30, 30), np.uint8))
        samples.append(Sample(f"{i}.png", "", "negative", "train", source="far/away/" * 20))
    images = deciding_images(
        [s.image for s in samples], np.arange(float(count)), [], np.array([]), false_alarm_rate=0.5
    )
    sheet = draw_deciding_images(Manifest(tmp_path, tuple(samples)), images)
    n_shown = len(images.at_threshold)
    red = (sheet == (200, 30, 30)).all(axis=-1)
    tops = sum(
        red[44 + 296 * (i // min(4, max(2, n_shown))), 16 + 256 * (i % min(4, max(2, n_shown)))]
        for i in range(n_shown)
    )
    assert tops == n_shown

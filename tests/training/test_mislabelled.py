"""Good training images that are really defective are set aside; good ones are not."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import genextreme

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.model import CalibrationSet, load_model
from patchcore_dual.scoring import Evidence, HeldOutImage, Nearest, TrainingEvidence
from patchcore_dual.settings import Settings
from patchcore_dual.training import fit
from patchcore_dual.training.deciding_images import deciding_images_of, sentences
from patchcore_dual.training.mislabelled import (
    CLEAR_EVIDENCE,
    extreme_value_density,
    likely_mislabelled,
    mislabelled,
)
from training.made_up import MadeUpEmbedder, make_stained

SETTINGS = Settings(normal_rate=0.1, defect_rate=0.5)
GOOD, DEFECTIVE, WRONG = 30, 12, 3  # images; a tenth of the good ones is mislabelled


@pytest.fixture(scope="module")
def clean(tmp_path_factory) -> Manifest:
    return make_stained(tmp_path_factory.mktemp("stained"), good=GOOD, defective=DEFECTIVE)


@pytest.fixture(scope="module")
def wrong(clean) -> set[str]:
    return {s.image for s in clean.part(label="positive").samples[:WRONG]}


@pytest.fixture(scope="module")
def contaminated(clean, wrong) -> Manifest:
    return clean.where(
        replace(s, label="negative", mask="") if s.image in wrong else s for s in clean
    )


@pytest.fixture(scope="module")
def model(contaminated):
    return fit(contaminated, MadeUpEmbedder(), SETTINGS).model


def same_decisions(one, other) -> None:
    assert one.thresholds == other.thresholds
    np.testing.assert_array_equal(one.normal_bank.vectors, other.normal_bank.vectors)
    np.testing.assert_array_equal(one.probe.weights, other.probe.weights)


def found(model) -> float:
    """Share of the held-out defects above the threshold."""
    _, defective = model.calibration.scores(model.rule)
    return float((defective > model.thresholds.image.value).mean())


def test_the_model_is_that_of_the_clean_data(model, clean, wrong) -> None:
    assert set(model.trained_on["set_aside"]) == wrong
    assert model.trained_on["normal_images"] == GOOD
    without = clean.where(s for s in clean if s.image not in wrong)
    reference = fit(without, MadeUpEmbedder(), SETTINGS).model
    assert reference.trained_on["set_aside"] == {}
    same_decisions(model, reference)
    assert found(model) == 1


def test_what_was_set_aside_scores_above_the_threshold(model) -> None:
    scores = model.trained_on["set_aside"].values()
    assert min(scores) > model.thresholds.image.value


def test_all_are_kept_if_asked(contaminated) -> None:
    kept = fit(contaminated, MadeUpEmbedder(), SETTINGS, keep_all=True).model
    assert kept.trained_on["set_aside"] == {}
    assert kept.trained_on["normal_images"] == GOOD + WRONG
    assert found(kept) < 0.5  # what setting them aside is for


@pytest.mark.parametrize("seed", range(5))
def test_no_good_image_is_set_aside(clean, seed: int) -> None:
    """Of clean data, nor of any half of it."""
    names = [s.image for s in clean.part(label="negative")]
    kept = set(np.random.default_rng(seed).permutation(names)[: GOOD // 2].tolist())
    half = clean.where(s for s in clean if s.is_defective or s.image in kept)
    assert fit(half, MadeUpEmbedder(), SETTINGS).model.trained_on["set_aside"] == {}


def test_without_defects_nothing_tells_them_apart(contaminated) -> None:
    model = fit(contaminated, MadeUpEmbedder(), SETTINGS, defects=0).model
    assert model.trained_on["set_aside"] == {}


def test_an_interrupted_second_fit_resumes_to_the_same_model(contaminated, model, tmp_path) -> None:
    stages: list[str] = []

    def interrupt(stage: str, done: int, total: int) -> None:
        stages.append(stage)
        is_last = stage == "scoring held-out images" and done == total
        if is_last and stages.count(stage) > GOOD + DEFECTIVE:
            raise KeyboardInterrupt

    folder = tmp_path / "model"
    with pytest.raises(KeyboardInterrupt):
        fit(contaminated, MadeUpEmbedder(), SETTINGS, model_folder=folder, progress=interrupt)
    stages.clear()
    fit(contaminated, MadeUpEmbedder(), SETTINGS, model_folder=folder)
    resumed = load_model(folder)
    same_decisions(resumed, model)
    assert resumed.trained_on["set_aside"] == model.trained_on["set_aside"]
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["model"]


def test_they_are_named_and_drawn(model, wrong) -> None:
    images = deciding_images_of(model)
    assert {one.image for one in images.set_aside} == wrong
    reasons = images.reasons()
    assert list(reasons)[:WRONG] == [one.image for one in images.set_aside]
    line = sentences(images, {f"{GOOD}.png": "Tür.jpg"})[0]
    assert "3 good images" in line
    assert "Tür.jpg (" in line
    assert "--keep-all" in line


def test_an_image_beyond_the_tail_that_is_unlike_defects_stays() -> None:
    good = np.append(np.random.default_rng(1).gumbel(2, 1, 80), 11.0)
    assert mislabelled(good, np.full(20, 40.0) + np.arange(20)).probability.max() < 0.1


def test_harmless_marks_of_every_strength_mostly_stay() -> None:
    """They look as much like the known defects as mislabelled images do, but make no hump."""
    clear = {False: 0, True: 0}  # by whether images are mislabelled
    for seed in range(20):
        rng = np.random.default_rng(seed)
        good = genextreme.rvs(-0.2, loc=2, scale=0.7, size=100, random_state=rng)
        defective, wrong = rng.normal(8, 2, 20), rng.normal(8, 2, 10)
        assert (good > 4).any()
        clear[False] += mislabelled(good, defective).gain >= CLEAR_EVIDENCE
        clear[True] += mislabelled(np.append(good, wrong), defective).gain >= CLEAR_EVIDENCE
    assert clear[False] <= 3
    assert clear[True] >= 10


@pytest.mark.parametrize("shape", [0.0, 1e-9, 0.02, 0.5])
def test_the_density_of_extreme_values_is_scipys(shape: float) -> None:
    at = np.linspace(-40, 60, 501)
    expected = genextreme.pdf(at, -shape, 1.5, 0.7)
    np.testing.assert_allclose(extreme_value_density(at, 1.5, 0.7, shape), expected, atol=1e-12)


def calibration_with(good: np.ndarray, defective: np.ndarray) -> CalibrationSet:
    """Images of one patch each, with these log odds."""
    nearest = Nearest(np.zeros((1, 1), np.float32), np.zeros((1, 1), int))

    def images(log_odds: np.ndarray) -> tuple[HeldOutImage, ...]:
        grids = log_odds.reshape(-1, 1, 1)
        return tuple(HeldOutImage(Evidence(nearest, logit=grid), 0, 8, 8) for grid in grids)

    normals = tuple(f"good/{i}.png" for i in range(len(good)))
    defectives = tuple(f"bad/{i}.png" for i in range(len(defective)))
    evidence = TrainingEvidence(images(good), images(defective))
    return CalibrationSet(evidence, normals, defectives, normals, {}, "", covering_radius=0.0)


def test_images_are_set_aside_on_clear_evidence_alone() -> None:
    rng = np.random.default_rng(7)
    good = genextreme.rvs(-0.2, loc=2, scale=0.7, size=60, random_state=rng)
    defective, wrong = rng.normal(8, 2, 20), rng.normal(8, 1, 8)
    assert mislabelled(good, defective).probability.max() > 0.9  # taken that some are
    assert likely_mislabelled(calibration_with(good, defective)) == ()
    found = likely_mislabelled(calibration_with(np.append(good, wrong), defective))
    assert {f"good/{60 + i}.png" for i in range(8)} <= set(found)


@pytest.mark.filterwarnings("error")
def test_many_equal_scores_are_fitted_without_a_scale_of_nothing() -> None:
    found = mislabelled(np.append(np.ones(9), [2.0, 3.0]), np.array([1.0, 1.0, 2.0]))
    assert np.isfinite(found.probability).all()
    assert np.isfinite(found.gain)


def test_equal_scores_say_nothing() -> None:
    assert not mislabelled(np.ones(20), np.arange(5.0)).probability.any()
    assert not mislabelled(np.arange(20.0), np.ones(5)).probability.any()

"""Fitting on good images in other light, and measuring what light does to a model."""

import json
from dataclasses import replace

import numpy as np
import pytest

from patchcore_dual.data.light import CHANGES, LightPlan, change_light, without_change
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.errors import SettingsError
from patchcore_dual.model import load_model
from patchcore_dual.scoring import RULES, gather_evidence
from patchcore_dual.settings import Settings
from patchcore_dual.training import light_choice
from patchcore_dual.training.deciding_images import deciding_images_of
from patchcore_dual.training.first_steps import FirstSteps
from patchcore_dual.training.light_choice import summarise_light
from patchcore_dual.training.light_effect import measure_light, possible_changes
from patchcore_dual.training.normal_banks import build_normal_banks
from training.made_up import MadeUpEmbedder, calibration_of, context_of, defect_bank, make_stained

PLAN = LightPlan(("darker", "offset-up", "blur"), 2)


@pytest.fixture(scope="module")
def stained(tmp_path_factory):
    return make_stained(tmp_path_factory.mktemp("stained"), good=12, defective=5)


@pytest.fixture(scope="module")
def robust(stained, tmp_path_factory):
    """A detector fitted with --robust light, and its folder."""
    folder = tmp_path_factory.mktemp("robust") / "model"
    detector = PatchCoreDual(embedder=MadeUpEmbedder(), robust="light")
    return detector.fit(stained, model_folder=folder), folder


def test_variants_are_in_the_fold_of_their_image_and_make_no_bank_larger(stained):
    with context_of(stained, Settings(normal_rate=0.9)) as context:
        plain = build_normal_banks(context, stained)
        banks = build_normal_banks(context.in_light(PLAN), stained)
        assert len(banks.variants) == 24
        assert len(banks.whole) == len(plain.whole) > 600
        assert len(banks.without_fold) == len(plain.without_fold)
        for name, fold in plain.fold_of.items():
            assert banks.fold_of[name] == fold
        for one in banks.variants:
            assert banks.fold_of[one.image] == banks.fold_of[without_change(one.image)]
        assert any("#" in name for name in banks.whole.sources)
        for fold, bank in enumerate(banks.without_fold):
            assert all(banks.fold_of[name] != fold for name in bank.sources)


def test_variants_are_inspected_where_their_image_is(stained):
    region = np.zeros((32, 32), bool)
    region[16:] = True
    lower = stained.within(region)
    with context_of(lower, Settings()) as context:
        banks = build_normal_banks(context.in_light(PLAN), lower)
    assert any("#" in name for name in banks.whole.sources)
    assert banks.whole.cell[:, 0].min() >= 16 // 4


def test_the_promise_counts_images_and_not_their_variants(stained):
    settings = Settings(scoring="ratio")
    with context_of(stained, settings) as context:
        banks = build_normal_banks(context.in_light(PLAN), stained)
    banks = replace(banks, evidence={})  # that was on disk
    calibration = calibration_of(stained, settings, banks, defect_bank(stained, settings))
    assert len(calibration.normals) == 36
    assert not any("#" in name for name in calibration.sha256)
    threshold = calibration.thresholds(calibration.fit_rule(RULES["ratio"]), 0.2).image
    assert (threshold.images, threshold.groups) == (36, 12)
    assert threshold.least_promise == pytest.approx(1 / 13)


def test_drift_is_judged_by_images_in_their_own_light(stained, robust):
    detector, folder = robust
    assert any("#" in name for name in detector.model.calibration.normals)
    own = tuple(sample.image for sample in stained.part(label="negative"))
    assert detector.model.drift.names == load_model(folder).drift.names == own


def test_what_is_measured_is_the_difference_out_of_fold(stained):
    with context_of(stained, Settings()) as context:
        first = FirstSteps.of(context, stained, MadeUpEmbedder())
        model = first.model(stained)
        effects = measure_light(context, stained, first.banks, model, images=12)

        def score(sample, image):
            bank = first.banks.without_fold[first.banks.fold_of[sample.image]]
            features = context.embed(image)
            evidence = gather_evidence(features, bank, model.defect_bank, model.probe)
            return model.rule(evidence).score

        differences = []
        for sample in stained.part(label="negative"):
            image = stained.read_image(sample)
            differences.append(score(sample, change_light(image, "darker")) - score(sample, image))
    held_out = model.calibration.scores(model.rule)[0]
    above = [h + d > model.thresholds.image.value for h in held_out for d in differences]
    assert effects["darker"].rise == pytest.approx(np.median(differences))
    assert effects["darker"].rejected == pytest.approx(np.mean(above))
    assert effects["unchanged"].rise == 0
    assert effects.keys() == {"unchanged", *CHANGES}


def test_grey_images_have_no_balance_of_colours(prepared, stained):
    assert set(CHANGES) - set(possible_changes(prepared)) == {"colour"}
    assert possible_changes(stained) == tuple(CHANGES)


def test_a_robust_fit_rejects_fewer_good_images_in_other_light(robust):
    detector, folder = robust
    choice, model = detector.fitted.light, detector.model
    assert choice.kept > 0
    none, *_ = choice.trials
    assert choice.trials[choice.kept].false_alarms < none.false_alarms
    assert f"{choice.kept} variant" in str(choice)
    facts = json.loads((folder / "model.json").read_text())["trained_on"]
    assert facts["light"]["darker"]["rejected"] == model.trained_on["light"]["darker"]["rejected"]
    assert facts["light_choice"]["kept"] == choice.kept
    assert facts["normal_images"] == 12
    assert facts["synthetic_images"] == {}
    assert load_model(folder).settings.robust == "light"
    assert not list(folder.parent.glob(".*.unfinished*"))


def test_images_that_decide_are_named_as_the_user_knows_them(robust):
    found = deciding_images_of(robust[0].model).at_threshold
    names = [one.image for one in found]
    assert len(names) == len(set(names))
    assert not any("#" in name for name in names)
    assert names
    assert [one.score for one in found] == sorted((o.score for o in found), reverse=True)


def test_a_fit_without_it_knows_no_variants(stained):
    detector = PatchCoreDual(embedder=MadeUpEmbedder()).fit(stained)
    assert detector.fitted.light is None
    assert "light_choice" not in detector.model.trained_on
    calibration = detector.model.calibration
    assert set(calibration.normals) <= calibration.sha256.keys()


def test_a_published_rule_is_chosen_by_false_alarms_alone(stained):
    detector = PatchCoreDual(embedder=MadeUpEmbedder(), scoring="patchcore", robust="light")
    choice = detector.fit(stained).fitted.light
    assert choice.defects == 0
    assert "cannot be told" in str(choice)
    assert choice.kept == min(choice.trials, key=lambda t: t.false_alarms).each


def test_too_few_good_images_are_refused(prepared):
    detector = PatchCoreDual(embedder=MadeUpEmbedder(), robust="light")
    with pytest.raises(SettingsError, match="at least 10; there are 6"):
        detector.fit(prepared)


def test_a_name_that_nobody_knows_is_refused():
    with pytest.raises(SettingsError, match="setting robust = 'dark'"):
        Settings.of(robust="dark")


def test_what_misses_defects_beyond_noise_is_not_kept():
    rates = [(0.5, 0.0), (0.1, 0.0), (0.2, 0.0)]
    found = [np.ones(40), np.r_[np.zeros(8), np.ones(32)], np.r_[np.zeros(2), np.ones(38)]]
    pairs = [(one > 0, one) for one in found]
    choice = summarise_light(["darker"], [0, 1, 2], rates, pairs)
    assert choice.kept == 2
    assert choice.trials[1].loss == pytest.approx(0.2)
    few = summarise_light(["darker"], [0, 1, 2], rates, [(a[:2], b[:2]) for a, b in pairs])
    assert few.defects == 0
    assert few.kept == 1
    worse = summarise_light(["darker"], [0, 1], [(0.1, 0), (0.2, 0)], pairs[:2])
    assert worse.kept == 0
    assert "no variants" in str(worse)


def test_what_needs_more_than_the_memory_limit_is_not_tried(stained, monkeypatch):
    def too_little(context, training_set):
        raise SettingsError("--memory 1 MiB is too little")

    monkeypatch.setattr(light_choice, "build_normal_banks", too_little)
    detector = PatchCoreDual(embedder=MadeUpEmbedder(), robust="light").fit(stained)
    choice = detector.fitted.light
    assert [trial.each for trial in choice.trials] == [choice.kept] == [0]
    assert choice.changes

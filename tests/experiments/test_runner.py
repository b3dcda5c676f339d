"""`TrialRunner` fits as `fit` does, with a method's synthetic images, and repeats no work."""

import numpy as np
import pytest

from patchcore_dual.data import reading
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.subsets import choose_defects, choose_synthetic
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.evaluation.evaluation import evaluate
from patchcore_dual.experiments import runner as module
from patchcore_dual.experiments.protocols import PATCHCORE, RATIO, RECOMMENDED, THESIS
from patchcore_dual.experiments.runner import TrialRunner, with_cached_features
from patchcore_dual.experiments.trials import Condition, Method, Trial
from patchcore_dual.synthesis import CPU_GENERATORS
from patchcore_dual.synthesis.runs.synthesise import synthesise


def method_with(generator, count):
    return Method(f"{count} of {generator}", "ratio", generator=generator, synthetic=count)


@pytest.fixture
def trained_on(monkeypatch):
    """The manifests that detectors were fitted on, in order."""
    manifests = []
    real = PatchCoreDual.fit

    def fit(self, manifest, **options):
        manifests.append(manifest)
        return real(self, manifest, **options)

    monkeypatch.setattr(PatchCoreDual, "fit", fit)
    return manifests


@pytest.mark.parametrize("method", [PATCHCORE, THESIS, RATIO, RECOMMENDED])
def test_a_trial_equals_fit_and_evaluate(runner, tiles, method):
    ours = runner.run(Trial(Condition(), tiles, (method,), pixels=True))[method.name]
    detector = PatchCoreDual(scoring=method.scoring, patches=method.patches).fit(tiles)
    theirs = evaluate(detector, tiles)
    ours_scores, their_scores = ours.scores, theirs.scores
    np.testing.assert_allclose(ours_scores, their_scores, rtol=1e-5)
    assert ours.threshold == pytest.approx(theirs.threshold, rel=1e-6)
    for name in ("image_auroc", "image_ap", "pixel_auroc", "aupro", "n_test_normal", "scoring"):
        assert getattr(ours, name) == pytest.approx(getattr(theirs, name)), name


def test_normal_banks_are_built_and_searched_once(tiles, monkeypatch):
    built = []
    real = module.normal_banks_of
    monkeypatch.setattr(
        module, "normal_banks_of", lambda *a, **b: (built.append(1), real(*a, **b))[1]
    )
    runner = TrialRunner(tiles, PatchCoreDual())
    for count in (0, 2, 5):
        runner.run(Trial(Condition(), choose_defects(tiles, count, (), 0), (RATIO, PATCHCORE)))
    assert len(built) == 1
    runner.run(Trial(Condition(), tiles, (RECOMMENDED,)))  # reads other features at the border
    assert len(built) == 2


def test_no_defects_is_patchcore_without_a_bank(runner, tiles):
    none = choose_defects(tiles, 0, (), 0)
    assert runner.fit(RECOMMENDED, none).model.defect_bank is None
    got = runner.run(Trial(Condition(), none, (PATCHCORE, RATIO)))
    np.testing.assert_array_equal(got[RATIO.name].scores, got[PATCHCORE.name].scores)
    assert got[RATIO.name].threshold == got[PATCHCORE.name].threshold


def test_a_test_image_is_read_once(tiles, monkeypatch):
    read, real = [], reading.read_image
    monkeypatch.setattr(reading, "read_image", lambda p: (read.append(p), real(p))[1])
    runner = TrialRunner(tiles, PatchCoreDual())
    for count in (0, 2):
        runner.run(Trial(Condition(), choose_defects(tiles, count, (), 0), (RATIO,)))
    tested = {tiles.image_path(s) for s in tiles.part("test")}
    assert sorted(p for p in read if p in tested) == sorted(tested)


@pytest.mark.parametrize("generator", CPU_GENERATORS)
@pytest.mark.parametrize("count", [1, 3])
def test_with_few_real_defects_synthetic_ones_come_from_those(tiles, trained_on, generator, count):
    few = choose_defects(tiles, count, (), 5)
    defects = {s.image for s in few.part("train", "positive")}
    runner = TrialRunner(tiles, PatchCoreDual())
    runner.fit(method_with(generator, 4), few)
    (manifest,) = trained_on
    made = manifest.synthetic()
    assert len(made) == 4
    assert {s.origin for s in made} == {generator}
    assert manifest.real().samples == few.samples
    good = {s.image for s in few.part("train", "negative")}
    for sample in made:
        assert sample.split == "train"
        assert len(sample.parents & good) == 1
        assert len(sample.parents & defects) == 1
        assert sample.parents <= good | defects


def test_fewer_synthetic_images_are_among_more_and_none_is_tested(tiles, trained_on):
    runner = TrialRunner(tiles, PatchCoreDual())
    methods = tuple(method_with("strokes", n) for n in (2, 6, 4))
    evaluations = runner.run(Trial(Condition(), tiles, methods))
    sets = [[s.image for s in m.synthetic()] for m in trained_on]
    assert [len(s) for s in sets] == [2, 6, 4]
    assert sets[0] == sets[1][:2]
    assert sets[2] == sets[1][:4]
    for name, method in zip(evaluations, methods, strict=True):
        assert {r.path for r in evaluations[name].images} == {s.image for s in tiles.part("test")}
        assert evaluations[name].synthetic_images == {"strokes": method.synthetic}


def test_the_prepared_sets_own_images_are_taken_before_any_is_made(prepared, tmp_path, trained_on):
    """The first ones, as `choose_synthetic` takes them for `fit`."""
    own = synthesise(prepared, [CPU_GENERATORS["strokes"]()], 6, 0, tmp_path)
    other = synthesise(prepared, [CPU_GENERATORS["perlin"]()], 3, 0, tmp_path / "other")
    manifest = prepared.where([*other, *prepared, *own])
    runner = TrialRunner(manifest, PatchCoreDual())
    ours = runner.run(Trial(Condition(), manifest, (method_with("strokes", 4), RATIO)))
    assert [list(m.synthetic()) for m in trained_on] == [list(own[:4]), []]
    fewer = choose_synthetic(Manifest(prepared.folder, (*prepared, *own)), 4)
    theirs = evaluate(PatchCoreDual(scoring="ratio").fit(fewer), prepared)
    np.testing.assert_allclose(ours["4 of strokes"].scores, theirs.scores, rtol=1e-5)


def test_features_are_cached_across_seeds_and_rules(prepared):
    detector = with_cached_features(PatchCoreDual())
    images = np.random.default_rng(0).integers(0, 255, (2, 32, 48, 3), dtype=np.uint8)
    expected = detector.embedder(images)
    network = detector.embedder.embedder

    def forbidden(images):
        raise AssertionError("the features are cached")

    detector.embedder.embedder = forbidden
    again = detector.with_settings(seed=4)
    np.testing.assert_array_equal(again.embedder(images), expected)
    detector.embedder.embedder = network
    other = again.with_settings(scoring="patchcore")
    assert other.embedder.spec.count_padding
    assert not np.array_equal(other.embedder(images), expected)


def test_features_are_cached_up_to_a_limit():
    detector = with_cached_features(PatchCoreDual(), limit=10)
    image = np.random.default_rng(0).integers(0, 255, (1, 32, 48, 3), dtype=np.uint8)
    for _ in range(2):
        np.testing.assert_array_equal(detector.embedder(image), detector.embedder.embedder(image))

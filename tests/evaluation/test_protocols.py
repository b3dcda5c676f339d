"""Protocols: splits by group, benches that fit as `fit` does, and what each protocol tries."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from lookalikes import make_ksdd2, make_magnetic_tile
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.errors import DataError
from patchcore_dual.evaluation.evaluation import evaluate
from patchcore_dual.evaluation.findings import MEAN_OVER_KINDS, rows_of
from patchcore_dual.evaluation.protocols import (
    PATCHCORE,
    RATIO,
    RECOMMENDED,
    THESIS,
    Bench,
    RememberingBackbone,
    Trial,
    few_shot,
    groups_of,
    resplit,
    table1,
    unseen_kinds,
)
from patchcore_dual.images.manifest import PREPARATION_NAME, Manifest
from patchcore_dual.images.preparation import prepare
from patchcore_dual.images.subsets import choose_defects


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    """Magnetic Tile with two kinds, 48x48: 4 tiles of each and of good ones, split in halves."""
    folder = tmp_path_factory.mktemp("tiles")
    source = make_magnetic_tile(folder / "source")
    prepare("magnetic-tile", source, folder / "prepared", width=48, height=48)
    return Manifest.load(folder / "prepared")


@pytest.fixture(scope="module")
def bench(tiles):
    return Bench(tiles, PatchCoreDual())


@pytest.mark.parametrize("seed", range(4))
def test_resplit_never_splits_a_group(tiles, seed):
    split = resplit(tiles, seed)
    assert [s.image for s in split] == [s.image for s in tiles]
    sides = {}
    for s in split:
        assert sides.setdefault(s.group, s.split) == s.split
    for kind in ("", "Blowhole", "Uneven"):  # stratified: each kind on both sides
        counts = Counter(s.split for s in split if s.kind == kind)
        assert counts["train"] == counts["test"] == 6


def test_resplit_goes_by_its_seed(tiles):
    def sides(seed):
        return [s.split for s in resplit(tiles, seed)]

    assert sides(1) == sides(1)
    assert len({tuple(sides(seed)) for seed in range(5)}) > 1


def test_images_that_are_alike_share_a_group(tmp_path):
    """Where a data set has its own split, the groups of a manifest do not see to that."""
    prepare(
        "ksdd2",
        make_ksdd2(tmp_path / "s", (4, 2), (3, 2), 0.1),
        tmp_path / "p",
        width=32,
        height=64,
    )
    manifest = Manifest.load(tmp_path / "p")
    first = manifest.part("train").samples[0]
    second = manifest.part("test").samples[0]
    assert groups_of(manifest)[first.image] != groups_of(manifest)[second.image]
    path = manifest.folder / PREPARATION_NAME
    noted = json.loads(path.read_text())
    noted["audit"]["near_duplicates"] = [{"first": first.source, "second": second.source}]
    noted["audit"]["copies"].append({"images": ["dropped.png", first.source]})
    path.write_text(json.dumps(noted))
    assert groups_of(manifest)[first.image] == groups_of(manifest)[second.image]
    for seed in range(6):
        sides = {s.image: s.split for s in resplit(manifest, seed)}
        assert sides[first.image] == sides[second.image]


def test_synthetic_images_are_left_out_of_new_splits(tiles):
    first, *rest = tiles.samples
    manifest = tiles.where([replace(first, origin="cut-paste"), *rest])
    assert len(resplit(manifest, 0)) == len(tiles) - 1


@pytest.mark.parametrize("method", [PATCHCORE, THESIS, RATIO, RECOMMENDED])
def test_a_bench_gives_what_fit_and_evaluate_give(bench, tiles, method):
    ours = bench.run(Trial("", tiles, (method,), pixels=True))[method.name]
    detector = PatchCoreDual(scoring=method.scoring, patches=method.patches).fit(tiles)
    theirs = evaluate(detector, tiles)
    ours_scores, their_scores = ours.scores, theirs.scores
    np.testing.assert_allclose(ours_scores, their_scores, rtol=1e-5)
    assert ours.threshold == pytest.approx(theirs.threshold, rel=1e-6)
    for name in ("image_auroc", "image_ap", "pixel_auroc", "aupro", "n_test_normal", "scoring"):
        assert getattr(ours, name) == pytest.approx(getattr(theirs, name)), name


def test_normal_banks_are_built_and_searched_once(tiles, monkeypatch):
    built = []
    real = PatchCoreDual.normal_banks
    monkeypatch.setattr(PatchCoreDual, "normal_banks", lambda *a: (built.append(1), real(*a))[1])
    bench = Bench(tiles, PatchCoreDual())
    for count in (0, 2, 5):
        bench.run(Trial("", choose_defects(tiles, count, (), 0), (RATIO, PATCHCORE)))
    assert len(built) == 1
    bench.run(Trial("", tiles, (RECOMMENDED,)))  # reads other features at the border
    assert len(built) == 2


def test_no_defects_is_patchcore_without_a_bank(bench, tiles):
    none = choose_defects(tiles, 0, (), 0)
    assert bench.fit(RECOMMENDED, none).model.defect_bank is None
    got = bench.run(Trial("", none, (PATCHCORE, RATIO)))
    np.testing.assert_array_equal(got[RATIO.name].scores, got[PATCHCORE.name].scores)
    assert got[RATIO.name].threshold == got[PATCHCORE.name].threshold


def test_few_shot_draws_each_count_several_times(tiles):
    trials = list(few_shot(tiles, seed=1, draws=3))
    counts = Counter(len(t.manifest.part("train", "positive")) for t in trials)
    assert counts == {0: 1, 1: 3, 3: 3, 5: 3, 10: 3, 12: 1}
    assert [t.name for t in trials if "all" in t.name] == ["all defects, draw 0"]
    assert len({t.name for t in trials}) == len(trials)
    drawn = [t.manifest.part("train", "positive").samples for t in trials if t.name[:2] == "1 "]
    assert len({sample.image for (sample,) in drawn}) > 1
    assert all(t.manifest.part("test").samples == tiles.part("test").samples for t in trials)


def test_a_kind_left_out_is_left_out_of_the_bank(bench, tiles):
    trials = {t.name: t for t in unseen_kinds(tiles, 0, 1)}
    assert set(trials) == {"no defects", "all defects", "Blowhole", "Uneven"}
    kind_of = {s.image: s.kind for s in tiles}
    for kind, other in (("Blowhole", "Uneven"), ("Uneven", "Blowhole")):
        detector = bench.fit(RECOMMENDED, trials[kind].manifest)
        assert {kind_of[name] for name in detector.model.defect_bank.sources} == {other}
        tested = trials[kind].manifest.part("test")
        assert {s.kind for s in tested} == {"", kind}
        assert tested.part(label="negative").samples == tiles.part("test", "negative").samples


def test_one_kind_is_not_enough_to_leave_one_out(prepared, tiles):
    with pytest.raises(DataError, match="names no kinds of defect"):
        list(unseen_kinds(prepared, 0, 1))
    one = tiles.where(s for s in tiles if s.kind != "Uneven")
    with pytest.raises(DataError, match="names 1 kind of defect"):
        list(unseen_kinds(one, 0, 1))


def test_rows_of_unseen_kinds_are_paired(bench, tiles):
    results = [{t.name: bench.run(t) for t in unseen_kinds(tiles, 0, 1)}]
    rows = {(r.condition, r.method): r for r in rows_of("unseen-kinds", results, groups_of(tiles))}
    baseline = bench.run(Trial("", tiles, (PATCHCORE,)))[PATCHCORE.name]
    for kind in ("Blowhole", "Uneven"):
        row = rows[kind, PATCHCORE.name]
        assert row.figures["image_auroc"].mean == pytest.approx(baseline.kinds[kind].auroc)
        assert row.difference == {}
        own = rows[kind, RATIO.name]
        gain = own.figures["image_auroc"].mean - row.figures["image_auroc"].mean
        assert own.difference["image_auroc"].mean == pytest.approx(gain)
    means = [rows[k, RATIO.name].difference["image_auroc"].mean for k in ("Blowhole", "Uneven")]
    mean = rows[MEAN_OVER_KINDS, RATIO.name].difference["image_auroc"].mean
    assert mean == pytest.approx(np.mean(means))


def test_a_method_beside_itself_differs_by_nothing(bench, tiles):
    evaluations = bench.run(next(table1(tiles, 0, 1)))
    same = dict.fromkeys(evaluations, evaluations[PATCHCORE.name])
    for row in rows_of("table1", [{"all defects": same}], groups_of(tiles)):
        for difference in row.difference.values():
            assert difference.mean == 0
            assert not difference.low < 0 < difference.high


def test_a_remembering_backbone_answers_as_the_backbone_and_keeps_to_its_limit():
    plain = PatchCoreDual().backbone
    images = np.random.default_rng(0).integers(0, 255, (4, 1, 32, 48, 3), dtype=np.uint8)
    size = plain(images[0]).nbytes
    remembering = RememberingBackbone(plain, 2 * size)
    first = [remembering(image) for image in images]
    again = [remembering(image) for image in images]
    for image, one, two in zip(images, first, again, strict=True):
        np.testing.assert_array_equal(one, plain(image))
        np.testing.assert_array_equal(two, one)
    assert [one is two for one, two in zip(first, again, strict=True)] == [True, True, False, False]
    assert (remembering(images[0], False) != first[0]).any()
    assert remembering.weights_sha256 == plain.weights_sha256

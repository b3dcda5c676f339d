"""Protocols: splits by group, and what each protocol tries on them."""

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from lookalikes import make_ksdd2
from patchcore_dual.data.manifest import PREPARATION_NAME, Manifest
from patchcore_dual.data.prepare.preparation import prepare
from patchcore_dual.errors import DataError
from patchcore_dual.experiments import protocols
from patchcore_dual.experiments.findings import MEAN_OVER_KINDS, rows_of
from patchcore_dual.experiments.protocols import (
    PATCHCORE,
    RATIO,
    RECOMMENDED,
    THESIS,
    WITHOUT,
    few_shot,
    generators,
    groups_of,
    resplit,
    table1,
    table2,
    unseen_kinds,
)
from patchcore_dual.experiments.runner import Trial
from patchcore_dual.synthesis import CPU_GENERATORS


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


def test_few_shot_draws_each_count_several_times(tiles):
    trials = list(few_shot(tiles, 1, 3, ""))
    counts = Counter(len(t.manifest.part("train", "positive")) for t in trials)
    assert counts == {0: 1, 1: 3, 3: 3, 5: 3, 10: 3, 12: 1}
    assert [t.name for t in trials if "all" in t.name] == ["all defects, draw 0"]
    assert len({t.name for t in trials}) == len(trials)
    drawn = [t.manifest.part("train", "positive").samples for t in trials if t.name[:2] == "1 "]
    assert len({sample.image for (sample,) in drawn}) > 1
    assert all(t.manifest.part("test").samples == tiles.part("test").samples for t in trials)


def test_a_kind_left_out_is_left_out_of_the_bank(bench, tiles):
    trials = {t.name: t for t in unseen_kinds(tiles, 0, 1, "")}
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
        list(unseen_kinds(prepared, 0, 1, ""))
    one = tiles.where(s for s in tiles if s.kind != "Uneven")
    with pytest.raises(DataError, match="names 1 kind of defect"):
        list(unseen_kinds(one, 0, 1, ""))


def test_rows_of_unseen_kinds_are_paired(bench, tiles):
    results = [{t.name: bench.run(t) for t in unseen_kinds(tiles, 0, 1, "")}]
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
    evaluations = bench.run(Trial("", tiles, (PATCHCORE, RATIO), pixels=True))
    same = dict.fromkeys(evaluations, evaluations[PATCHCORE.name])
    rows = rows_of("table1", [{"all defects": same}], groups_of(tiles))
    assert [row.baseline for row in rows] == ["", PATCHCORE.name]
    for row in rows:
        for difference in row.difference.values():
            assert difference.mean == 0
            assert not difference.low < 0 < difference.high


def synthetic(like, name, *parents):
    return replace(
        like, image=name, split="train", origin="cutpaste", provenance={"parents": list(parents)}
    )


@pytest.mark.parametrize("seed", range(4))
def test_synthetic_images_stay_where_all_their_parents_are_trained_on(tiles, seed):
    names = [s.image for s in tiles]
    made = [
        synthetic(tiles.samples[0], f"made/{i}", *pair) for i, pair in enumerate(pairwise(names))
    ]
    orphan = synthetic(tiles.samples[0], "made/orphan")
    split = resplit(tiles.where([*tiles, *made, orphan]), seed)
    trained = {s.image for s in split.real().part("train")}
    assert {s.image for s in split.real()} == set(names)
    assert [s.image for s in split.synthetic()] == [s.image for s in made if s.parents <= trained]
    assert 0 < len(split.synthetic()) < len(made)


def test_only_the_methods_of_table_1_and_2_see_synthetic_images(tiles):
    defect = tiles.part("train", "positive").samples[0]
    made = [synthetic(defect, f"made/{i}", defect.image) for i in range(30)]
    manifest = tiles.where([*tiles, *made])
    for protocol in (few_shot, unseen_kinds):
        real = list(protocol(tiles, 0, 1, "cutpaste"))
        assert list(protocol(manifest, 0, 1, "cutpaste")) == real
        assert all(m.synthetic == 0 for trial in real for m in trial.methods)
    (trial,) = table1(manifest, 0, 1, "cutpaste")
    *without, last = trial.methods
    assert without == [PATCHCORE, THESIS, RECOMMENDED]
    assert last == replace(
        RECOMMENDED, name="PatchCoreDual with cutpaste", generator="cutpaste", synthetic=100
    )


def test_table_2_is_the_thesiss_reading_and_ours_with_more_and_more(tiles):
    for trial, method in zip(table2(tiles, 0, 1, "diag"), (THESIS, RECOMMENDED), strict=True):
        assert trial.name == method.name
        assert trial.pixels
        assert [m.synthetic for m in trial.methods] == [0, 50, 100, 150]
        assert {(m.scoring, m.patches) for m in trial.methods} == {(method.scoring, method.patches)}
        assert [m.generator for m in trial.methods] == ["", "diag", "diag", "diag"]


def test_generators_are_tried_on_the_same_few_real_defects(tiles):
    trials = {t.name: t for t in generators(tiles, 3, 1, "")}
    counts = {"0 real": 0, "1 real": 1, "5 real": 5, "all real": 12}  # not 20: there are 12
    names = [f"{real}, {g}" for real in counts for g in CPU_GENERATORS]
    names.remove("0 real, poisson")  # it borrows from real defects
    assert sorted(trials) == sorted([*counts, *names])
    taught = {}
    for name, trial in trials.items():
        real = name.split(", ")[0]
        defects = [s.image for s in trial.manifest.part("train", "positive")]
        assert len(defects) == counts[real]
        assert taught.setdefault(real, defects) == defects
        assert trial.manifest.part("test").samples == tiles.part("test").samples
    assert set(taught["1 real"]) < set(taught["5 real"])


def test_rows_of_generators_are_paired_with_the_same_real_defects(bench, tiles, monkeypatch):
    monkeypatch.setattr(protocols, "GENERATORS_REAL", (1,))
    monkeypatch.setattr(protocols, "GENERATORS_SYNTHETIC", (2, 4))
    kept = {"cutpaste": CPU_GENERATORS["cutpaste"], "strokes": CPU_GENERATORS["strokes"]}
    monkeypatch.setattr(protocols, "CPU_GENERATORS", kept)
    trials = [t for t in generators(tiles, 0, 1, "") if t.name.startswith("1 ")]
    results = [{t.name: bench.run(t) for t in trials}]
    rows = {(r.condition, r.method): r for r in rows_of("generators", results, groups_of(tiles))}
    assert [c for c, m in rows if m == WITHOUT] == ["1 real, 2 synthetic", "1 real, 4 synthetic"]
    for (condition, generator), row in rows.items():
        if generator == WITHOUT:
            assert (row.baseline, row.difference) == ("", {})
            continue
        assert row.baseline == WITHOUT
        own = results[0][f"1 real, {generator}"][condition.split(", ")[1]]
        gain = own.image_ap - results[0]["1 real"][WITHOUT].image_ap
        assert row.difference["image_ap"].mean == pytest.approx(gain)
        assert own.synthetic_images == {generator: int(condition.split()[2])}


def test_a_count_that_one_seed_is_too_poor_for_is_judged_on_the_others(bench, tiles):
    (judged,) = bench.run(Trial("", tiles, (PATCHCORE,))).values()
    rich = {"20 real": {WITHOUT: judged}, "20 real, strokes": {"50 synthetic": judged}}
    every = {"all real": {WITHOUT: judged}, "all real, strokes": {"50 synthetic": judged}}
    rows = rows_of("generators", [{**rich, **every}, every], groups_of(tiles))
    assert list(dict.fromkeys(r.condition for r in rows)) == [
        "20 real, 50 synthetic",
        "all real, 50 synthetic",
    ]
    deviations = [r.figures["image_ap"].deviation for r in rows if r.method == WITHOUT]
    np.testing.assert_array_equal(deviations, [np.nan, 0])

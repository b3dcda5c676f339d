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
from patchcore_dual.experiments.protocol_report import headline
from patchcore_dual.experiments.protocols import (
    ALL_DEFECTS,
    NO_DEFECTS,
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
from patchcore_dual.experiments.result_rows import MEAN_OVER_KINDS, rows_of
from patchcore_dual.experiments.tables import tables_of
from patchcore_dual.experiments.trials import Condition, Trial
from patchcore_dual.synthesis import CPU_GENERATORS


def left_out(kind):
    return Condition(left_out_kind=kind)


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
    assert Counter(t.condition.defects for t in trials) == {0: 1, 1: 3, 3: 3, 5: 3, 10: 3, None: 1}
    assert len({t.condition for t in trials}) == len(trials)
    drawn = [
        t.manifest.part("train", "positive").samples for t in trials if t.condition.defects == 1
    ]
    assert len({sample.image for (sample,) in drawn}) > 1
    assert all(t.manifest.part("test").samples == tiles.part("test").samples for t in trials)


def test_few_shot_without_any_defects_is_one_trial(tiles):
    (trial,) = few_shot(tiles.where(s for s in tiles if not s.is_defective), 0, 3, "")
    assert trial.condition == NO_DEFECTS
    assert PATCHCORE in trial.methods


def test_a_kind_left_out_is_left_out_of_the_bank(runner, tiles):
    trials = {t.condition: t for t in unseen_kinds(tiles, 0, 1, "")}
    assert set(trials) == {NO_DEFECTS, ALL_DEFECTS, left_out("Blowhole"), left_out("Uneven")}
    kind_of = {s.image: s.kind for s in tiles}
    for kind, other in (("Blowhole", "Uneven"), ("Uneven", "Blowhole")):
        detector = runner.fit(RECOMMENDED, trials[left_out(kind)].manifest)
        assert {kind_of[name] for name in detector.model.defect_bank.sources} == {other}
        tested = trials[left_out(kind)].manifest.part("test")
        assert {s.kind for s in tested} == {"", kind}
        assert tested.part(label="negative").samples == tiles.part("test", "negative").samples


def test_one_kind_is_not_enough_to_leave_one_out(prepared, tiles):
    with pytest.raises(DataError, match="names no kinds of defect"):
        list(unseen_kinds(prepared, 0, 1, ""))
    one = tiles.where(s for s in tiles if s.kind != "Uneven")
    with pytest.raises(DataError, match="names 1 kind of defect"):
        list(unseen_kinds(one, 0, 1, ""))


def test_rows_of_unseen_kinds_are_paired(runner, tiles):
    results = [{t.condition: runner.run(t) for t in unseen_kinds(tiles, 0, 1, "")}]
    rows = {
        (r.condition.left_out_kind if r.condition.left_out_kind else r.condition, r.method): r
        for r in rows_of("unseen-kinds", results, groups_of(tiles))
    }
    baseline = runner.run(Trial(ALL_DEFECTS, tiles, (PATCHCORE,)))[PATCHCORE.name]
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


def renamed(manifest, names):
    """The manifest with its kinds of defect, in alphabetical order, called something else."""
    kinds = sorted({s.kind for s in manifest} - {""})
    new = {"": "", **dict(zip(kinds, names, strict=True))}
    return manifest.where(replace(s, kind=new[s.kind]) for s in manifest)


def rows_of_unseen_kinds(runner, manifest):
    results = [{t.condition: runner.run(t) for t in unseen_kinds(manifest, 0, 1, "")}]
    return rows_of("unseen-kinds", results, groups_of(manifest))


@pytest.fixture(scope="module")
def plain_rows(runner, tiles):
    return rows_of_unseen_kinds(runner, renamed(tiles, ("a", "b")))


@pytest.mark.parametrize(
    "names",
    [
        ("all defects", "no defects"),
        ("3 defects, draw 1", "all kinds in training"),
        (", ", "mean over kinds"),
    ],
)
def test_kinds_of_defect_may_have_any_names(runner, tiles, plain_rows, names):
    """Every row has the figures of the same images under plain names."""
    rows = rows_of_unseen_kinds(runner, renamed(tiles, names))
    for row, plain in zip(rows, plain_rows, strict=True):
        own, expected = row.to_json(), plain.to_json()  # without NaN, which equals nothing
        assert all(own[name] == expected[name] for name in ("method", "figures", "difference"))
    assert [row.condition.left_out_kind for row in rows[::3]] == [*names, None, None]
    tables, plain_tables = (tables_of("unseen-kinds", r, False) for r in (rows, plain_rows))
    for table, plain_table in zip(tables, plain_tables, strict=True):
        labels = [label for label, _, _ in table.rows]
        assert labels == [*names, "mean over kinds", "all kinds in training"]
        assert [cells for *_, cells in table.rows] == [cells for *_, cells in plain_table.rows]
    assert headline("unseen-kinds", rows) == headline("unseen-kinds", plain_rows)


def test_a_method_beside_itself_differs_by_nothing(runner, tiles):
    evaluations = runner.run(Trial(ALL_DEFECTS, tiles, (PATCHCORE, RATIO), pixels=True))
    same = dict.fromkeys(evaluations, evaluations[PATCHCORE.name])
    rows = rows_of("table1", [{ALL_DEFECTS: same}], groups_of(tiles))
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


def test_table_2_varies_the_synthetic_images_of_the_thesiss_rule_and_ours(tiles):
    for trial, method in zip(table2(tiles, 0, 1, "diag"), (THESIS, RECOMMENDED), strict=True):
        assert trial.condition == Condition(varied_method=method.name)
        assert trial.pixels
        assert [m.synthetic for m in trial.methods] == [0, 50, 100, 150]
        assert {(m.scoring, m.patches) for m in trial.methods} == {(method.scoring, method.patches)}
        assert [m.generator for m in trial.methods] == ["", "diag", "diag", "diag"]


def test_generators_are_tried_on_the_same_few_real_defects(tiles):
    trials = {t.condition: t for t in generators(tiles, 3, 1, "")}
    counts = {0: 0, 1: 1, 5: 5, None: 12}  # not 20: there are 12
    expected = {Condition(defects) for defects in counts}
    expected |= {
        Condition(defects, generator=g, synthetic=n)
        for defects in counts
        for g in CPU_GENERATORS
        for n in (50, 100, 150)
        if (defects, g) != (0, "poisson")  # it borrows from real defects
    }
    assert set(trials) == expected
    trained_on = {}
    for condition, trial in trials.items():
        defects = [s.image for s in trial.manifest.part("train", "positive")]
        assert len(defects) == counts[condition.defects]
        assert trained_on.setdefault(condition.defects, defects) == defects
        assert trial.manifest.part("test").samples == tiles.part("test").samples
        (method,) = trial.methods
        assert (method.generator, method.synthetic) == (condition.generator, condition.synthetic)
    assert set(trained_on[1]) < set(trained_on[5])


def test_rows_of_generators_are_paired_with_the_same_real_defects(runner, tiles, monkeypatch):
    monkeypatch.setattr(protocols, "GENERATORS_REAL", (1,))
    monkeypatch.setattr(protocols, "GENERATORS_SYNTHETIC", (2, 4))
    kept = {"cutpaste": CPU_GENERATORS["cutpaste"], "strokes": CPU_GENERATORS["strokes"]}
    monkeypatch.setattr(protocols, "CPU_GENERATORS", kept)
    trials = [t for t in generators(tiles, 0, 1, "") if t.condition.defects == 1]
    results = [{t.condition: runner.run(t) for t in trials}]
    rows = rows_of("generators", results, groups_of(tiles))
    labels = [row.condition.label for row in rows if row.method == WITHOUT]
    assert labels == ["1 real, 2 synthetic", "1 real, 4 synthetic"]
    assert {row.method for row in rows} == {WITHOUT, *kept}
    for row in rows:
        if row.method == WITHOUT:
            assert (row.baseline, row.difference) == ("", {})
            continue
        assert row.baseline == WITHOUT
        condition = Condition(1, generator=row.method, synthetic=row.condition.synthetic)
        (own,) = results[0][condition].values()
        gain = own.image_ap - results[0][Condition(1)][WITHOUT].image_ap
        assert row.difference["image_ap"].mean == pytest.approx(gain)
        assert own.synthetic_images == {row.method: row.condition.synthetic}


def test_a_count_that_one_split_has_too_few_defects_for_is_evaluated_on_the_others(runner, tiles):
    (evaluation,) = runner.run(Trial(ALL_DEFECTS, tiles, (PATCHCORE,))).values()

    def trials(defects):
        made = Condition(defects, generator="strokes", synthetic=50)
        return {Condition(defects): {WITHOUT: evaluation}, made: {"50 synthetic": evaluation}}

    rows = rows_of("generators", [{**trials(20), **trials(None)}, trials(None)], groups_of(tiles))
    assert list(dict.fromkeys(r.condition.label for r in rows)) == [
        "20 real, 50 synthetic",
        "all real, 50 synthetic",
    ]
    deviations = [r.figures["image_ap"].deviation for r in rows if r.method == WITHOUT]
    np.testing.assert_array_equal(deviations, [np.nan, 0])

"""`Row`: a line of a protocol's table: means over seeds, intervals and paired differences."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from patchcore_dual.evaluation.results import Evaluation
from patchcore_dual.experiments.bootstrap import RESAMPLED, Figure, Floats, Resampling
from patchcore_dual.experiments.protocols import (
    ALL_DEFECTS,
    NO_DEFECTS,
    PATCHCORE,
    RATIO,
    RECOMMENDED,
    WITHOUT,
)
from patchcore_dual.experiments.trials import Condition, Evaluations

# Columns of each protocol's table: fields of `Evaluation`, the first one the headline.
TABLE1_FIELDS = (
    "image_auroc",
    "pixel_auroc",
    "image_ap",
    "aupro",
    "recall_at_fpr_01",
    "recall",
    "false_alarm_rate",
)
SHORT_FIELDS = ("image_auroc", "image_ap", "recall_at_fpr_01")
FIELDS = {
    "table1": TABLE1_FIELDS,
    "table2": ("image_auroc", "pixel_auroc", "image_ap", "aupro", "recall_at_fpr_01"),
    "generators": SHORT_FIELDS,
    "few-shot": SHORT_FIELDS,
    "unseen-kinds": SHORT_FIELDS,
}

# The method that the others are compared to, under each condition.
BASELINES = {
    "table1": PATCHCORE.name,
    "table2": WITHOUT,
    "generators": WITHOUT,
    "few-shot": PATCHCORE.name,
    "unseen-kinds": PATCHCORE.name,
}


@dataclass(frozen=True)
class RowCondition:
    """What the methods of a row were trained on. Rows with an equal condition are compared.

    Attributes:
        label: as tables print it; two conditions may share one.
        defects: number of real defective training images; None for all of them.
        synthetic: number of synthetic training images; None where it is not varied.
        left_out_kind: the kind of defect that was left out of training; None for no single one.
        is_mean_over_kinds: whether the figures are means over all kinds left out one by one.
    """

    label: str = ""
    defects: int | None = None
    synthetic: int | None = None
    left_out_kind: str | None = None
    is_mean_over_kinds: bool = False


MEAN_OVER_KINDS = RowCondition("mean over kinds", is_mean_over_kinds=True)
ALL_KINDS = RowCondition("all kinds in training")


@dataclass(frozen=True)
class Row:
    """One method under one condition.

    Attributes:
        condition: what the method was trained on.
        method: its name.
        figures: by field of `Evaluation`.
        baseline: name of the method that it is compared to under the same condition; empty for
            the baseline itself.
        difference: by field of `Evaluation`, the paired difference to the baseline on the same
            images; empty for the baseline itself.
    """

    condition: RowCondition
    method: str
    figures: dict[str, Figure]
    baseline: str
    difference: dict[str, Figure]

    def to_json(self) -> dict[str, Any]:
        """Plain values; None for NaN."""
        return {
            "condition": self.condition.label,
            "defects": self.condition.defects,
            "synthetic": self.condition.synthetic,
            "left_out_kind": self.condition.left_out_kind,
            "method": self.method,
            "figures": {k: _plain(f) for k, f in self.figures.items()},
            "baseline": self.baseline or None,
            "difference": {k: _plain(f) for k, f in self.difference.items()},
        }


Cells = dict[str, Sequence[Sequence[Evaluation]]]
"""By method, for each seed, the evaluations whose mean is the figure of that seed."""


def rows_of(target: str, results: Sequence[Evaluations], groups: Mapping[str, str]) -> list[Row]:
    """The rows of a protocol's table.

    Args:
        target: name of the protocol.
        results: the evaluations of each seed.
        groups: the group of every image by name.
    """
    everything = [e for by_method in results for t in by_method.values() for e in t.values()]
    resampling = Resampling(everything, groups)
    names, baseline = FIELDS[target], BASELINES[target]
    rows = []
    for condition, cells in _CELLS[target](results).items():
        values = {m: _values(cells[m], names) for m in cells}
        draws = {m: _draws(cells[m], names, resampling) for m in cells}
        for method in cells:
            figures, difference = {}, {}
            for name in names:
                own, other = values[method][name], values[baseline][name]
                own_draws, other_draws = (draws[m].get(name) for m in (method, baseline))
                figures[name] = Figure.of(own, own_draws)
                if method != baseline:
                    paired = None
                    if own_draws is not None and other_draws is not None:
                        paired = own_draws - other_draws
                    difference[name] = Figure.of(own - other, paired)
            rows.append(Row(condition, method, figures, baseline if difference else "", difference))
    return rows


def _values(seeds: Sequence[Sequence[Evaluation]], names: Sequence[str]) -> dict[str, Floats]:
    """For each field, every seed's mean, `[seeds]`."""
    return {
        name: np.array([np.mean([_value(e, name) for e in seed]) for seed in seeds])
        for name in names
    }


def _value(evaluation: Evaluation, name: str) -> float:
    # `_on_same_images` keeps some of the images only, so figures are computed from those.
    if name in RESAMPLED and name != "pixel_auroc":
        return float(RESAMPLED[name](evaluation, np.ones((1, len(evaluation.images))))[0])
    return float(getattr(evaluation, name))


def _draws(
    seeds: Sequence[Sequence[Evaluation]], names: Sequence[str], resampling: Resampling
) -> dict[str, Floats]:
    """For each field that can be resampled, the mean over seeds in every draw, `[r]`."""
    return {
        name: np.nanmean([resampling.draws(RESAMPLED[name], seed) for seed in seeds], axis=0)
        for name in names
        if name in RESAMPLED
    }


def _table1(results: Sequence[Evaluations]) -> dict[RowCondition, Cells]:
    methods = results[0][ALL_DEFECTS]
    return {RowCondition(): {m: [[t[ALL_DEFECTS][m]] for t in results] for m in methods}}


def _table2(results: Sequence[Evaluations]) -> dict[RowCondition, Cells]:
    return {
        RowCondition(condition.varied_method): {
            m: [[t[condition][m]] for t in results] for m in by_method
        }
        for condition, by_method in results[0].items()
    }


def _generators(results: Sequence[Evaluations]) -> dict[RowCondition, Cells]:
    synthetic = [c for c in _conditions(results) if c.synthetic]
    rows: dict[RowCondition, Cells] = {}
    for defects in _ascending(c.defects for c in synthetic):
        own = [c for c in synthetic if c.defects == defects]
        # A split with too few defects for this count has no such trials: the others are used.
        used = [t for t in results if all(c in t for c in own)]
        real = f"{'all' if defects is None else defects} real"
        for count in dict.fromkeys(c.synthetic for c in own if used):
            cells: Cells = {WITHOUT: [[t[Condition(defects)][WITHOUT]] for t in used]}
            for c in own:
                if c.synthetic == count:
                    cells[c.generator] = [list(t[c].values()) for t in used]
            rows[RowCondition(f"{real}, {count} synthetic", defects, count)] = cells
    return rows


def _few_shot(results: Sequence[Evaluations]) -> dict[RowCondition, Cells]:
    rows: dict[RowCondition, Cells] = {}
    for defects in _ascending(c.defects for c in _conditions(results)):
        draws = [[e for c, e in t.items() if c.defects == defects] for t in results]
        # A split with too few defects for this count has no such trials: the others are used.
        used = [(t, own) for t, own in zip(results, draws, strict=True) if own]
        rows[RowCondition("all" if defects is None else str(defects), defects)] = {
            PATCHCORE.name: [[t[NO_DEFECTS][PATCHCORE.name]] for t, _ in used],
            **{
                method: [[by_method[method] for by_method in own] for _, own in used]
                for method in (RATIO.name, RECOMMENDED.name)
            },
        }
    return rows


def _unseen_kinds(results: Sequence[Evaluations]) -> dict[RowCondition, Cells]:
    trained = (RATIO.name, RECOMMENDED.name)
    methods = (PATCHCORE.name, *trained)

    def evaluation(seed: Evaluations, condition: Condition, method: str) -> Evaluation:
        """PatchCore uses no defects, so one evaluation of it serves for every kind."""
        if method != PATCHCORE.name:
            return seed[condition][method]
        return _on_same_images(seed[NO_DEFECTS][method], seed[condition][RATIO.name])

    kinds = sorted(
        (c for c in _conditions(results) if c.left_out_kind is not None),
        key=lambda condition: str(condition.left_out_kind),
    )
    rows: dict[RowCondition, Cells] = {}
    for kind in kinds:
        name = str(kind.left_out_kind)
        rows[RowCondition(name, left_out_kind=name)] = {
            m: [[evaluation(t, kind, m)] for t in results if kind in t] for m in methods
        }
    rows[MEAN_OVER_KINDS] = {
        m: [[evaluation(t, kind, m) for kind in kinds if kind in t] for t in results]
        for m in methods
    }
    rows[ALL_KINDS] = {m: [[evaluation(t, ALL_DEFECTS, m)] for t in results] for m in methods}
    return rows


_CELLS: dict[str, Callable[[Sequence[Evaluations]], dict[RowCondition, Cells]]] = {
    "table1": _table1,
    "table2": _table2,
    "generators": _generators,
    "few-shot": _few_shot,
    "unseen-kinds": _unseen_kinds,
}


def _conditions(results: Sequence[Evaluations]) -> list[Condition]:
    """Every condition that a trial of any seed has, once, in order."""
    return list(dict.fromkeys(condition for trials in results for condition in trials))


def _ascending(counts: Iterable[int | None]) -> list[int | None]:
    """Different numbers in ascending order; None, for all, comes last."""
    return sorted(set(counts), key=lambda n: math.inf if n is None else n)


def _on_same_images(evaluation: Evaluation, other: Evaluation) -> Evaluation:
    chosen = {r.path for r in other.images}
    return replace(evaluation, images=tuple(r for r in evaluation.images if r.path in chosen))


def _plain(figure: Figure) -> dict[str, float | None]:
    return {k: None if math.isnan(v) else v for k, v in asdict(figure).items()}

"""What a protocol found, as rows: means over seeds, intervals, paired differences to PatchCore."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from patchcore_dual.evaluation.bootstrap import RESAMPLED, Figure, Floats, Resampling
from patchcore_dual.evaluation.evaluation import Evaluation
from patchcore_dual.evaluation.protocols import (
    PATCHCORE,
    RATIO,
    RECOMMENDED,
    TABLE1_METHODS,
    THESIS,
    few_shot_count,
)
from patchcore_dual.evaluation.reproduce import Trials

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
FIELDS = {"table1": TABLE1_FIELDS, "few-shot": SHORT_FIELDS, "unseen-kinds": SHORT_FIELDS}

MEAN_OVER_KINDS = "mean over kinds"
ALL_TAUGHT = "all kinds, all taught"

# Thesis, Table 1, KSDD2: image and pixel AUROC, by our name of the method.
PUBLISHED = {
    PATCHCORE.name: {"image_auroc": 0.912, "pixel_auroc": 0.958},
    THESIS.name: {"image_auroc": 0.931, "pixel_auroc": 0.969},
    "PatchCoreDual with DIAG": {"image_auroc": 0.942, "pixel_auroc": 0.977},
}

Cells = dict[str, Sequence[Sequence[Evaluation]]]
"""By method, for each seed, the evaluations whose mean counts."""


@dataclass(frozen=True)
class Row:
    """One method under one condition (how many defects, which kind left out).

    Attributes:
        figures: by field of `Evaluation`.
        difference: to PatchCore on the same images, likewise; empty for PatchCore itself.
    """

    condition: str
    method: str
    figures: dict[str, Figure]
    difference: dict[str, Figure]

    def to_json(self) -> dict[str, Any]:
        return {
            "condition": self.condition,
            "method": self.method,
            "figures": {k: _plain(f) for k, f in self.figures.items()},
            "difference_to_patchcore": {k: _plain(f) for k, f in self.difference.items()},
        }


def rows_of(target: str, results: Sequence[Trials], groups: Mapping[str, str]) -> list[Row]:
    """The rows of a protocol's table.

    Args:
        results: the evaluations of each seed.
        groups: the group of every image by name.
    """
    conditions = _CONDITIONS[target](results)
    everything = [e for by_method in results for t in by_method.values() for e in t.values()]
    resampling = Resampling(everything, groups)
    rows = []
    for condition, cells in conditions.items():
        values = {m: _values(cells[m], FIELDS[target]) for m in cells}
        draws = {m: _draws(cells[m], FIELDS[target], resampling) for m in cells}
        for method in cells:
            figures, difference = {}, {}
            for name in FIELDS[target]:
                own, baseline = values[method][name], values[PATCHCORE.name][name]
                own_draws, baseline_draws = (draws[m].get(name) for m in (method, PATCHCORE.name))
                figures[name] = Figure.of(own, own_draws)
                if method != PATCHCORE.name:
                    apart = None
                    if own_draws is not None and baseline_draws is not None:
                        apart = own_draws - baseline_draws
                    difference[name] = Figure.of(own - baseline, apart)
            rows.append(Row(condition, method, figures, difference))
    return rows


def _values(seeds: Sequence[Sequence[Evaluation]], names: Sequence[str]) -> dict[str, Floats]:
    """For each field, every seed's mean, `[seeds]`."""
    return {
        name: np.array([np.mean([_value(e, name) for e in seed]) for seed in seeds])
        for name in names
    }


def _value(evaluation: Evaluation, name: str) -> float:
    # Evaluations may be of part of the test images: what can be, is read from the images.
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


def _table1(results: Sequence[Trials]) -> dict[str, Cells]:
    return {"": {m.name: [[t["all defects"][m.name]] for t in results] for m in TABLE1_METHODS}}


def _few_shot(results: Sequence[Trials]) -> dict[str, Cells]:
    counts = dict.fromkeys(few_shot_count(name) for trials in results for name in trials)
    found: dict[str, Cells] = {}
    for count in sorted(counts, key=lambda c: math.inf if c == "all" else int(c)):
        at = [
            [t for name, t in trials.items() if few_shot_count(name) == count] for trials in results
        ]
        cells = {PATCHCORE.name: [[t["0 defects, draw 0"][PATCHCORE.name]] for t in results]}
        for method in (RATIO.name, RECOMMENDED.name):
            cells[method] = [[t[method] for t in seed] for seed in at]
        # A count that some seeds are too poor for is judged on the others.
        there = [i for i, seed in enumerate(at) if seed]
        found[count] = {m: [seeds[i] for i in there] for m, seeds in cells.items()}
    return found


def _unseen_kinds(results: Sequence[Trials]) -> dict[str, Cells]:
    other = (RATIO.name, RECOMMENDED.name)
    kinds = sorted({name for t in results for name in t} - {"no defects", "all defects"})
    found: dict[str, Cells] = {}
    for kind in kinds:
        there = [t for t in results if kind in t]
        found[kind] = {
            PATCHCORE.name: [
                [_on_same_images(t["no defects"][PATCHCORE.name], t[kind][RATIO.name])]
                for t in there
            ],
            **{m: [[t[kind][m]] for t in there] for m in other},
        }
    methods = (PATCHCORE.name, *other)
    seeds = [[kind for kind in kinds if kind in t] for t in results]
    places = {kind: iter(range(len(results))) for kind in kinds}
    order = [[(kind, next(places[kind])) for kind in there] for there in seeds]
    found[MEAN_OVER_KINDS] = {
        m: [[found[kind][m][i][0] for kind, i in seed] for seed in order] for m in methods
    }
    found[ALL_TAUGHT] = {
        PATCHCORE.name: [[t["no defects"][PATCHCORE.name]] for t in results],
        **{m: [[t["all defects"][m]] for t in results] for m in other},
    }
    return found


_CONDITIONS = {"table1": _table1, "few-shot": _few_shot, "unseen-kinds": _unseen_kinds}


def _on_same_images(evaluation: Evaluation, other: Evaluation) -> Evaluation:
    chosen = {r.path for r in other.images}
    return replace(evaluation, images=tuple(r for r in evaluation.images if r.path in chosen))


def _plain(figure: Figure) -> dict[str, float | None]:
    return {k: None if math.isnan(v) else v for k, v in asdict(figure).items()}

"""What a protocol found, as rows: means over seeds, intervals, paired differences to a baseline."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from patchcore_dual.evaluation.evaluation import Evaluation
from patchcore_dual.experiments.bootstrap import RESAMPLED, Figure, Floats, Resampling
from patchcore_dual.experiments.protocols import (
    PATCHCORE,
    RATIO,
    RECOMMENDED,
    THESIS,
    WITHOUT,
    few_shot_count,
)
from patchcore_dual.experiments.reproduce import Trials

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

MEAN_OVER_KINDS = "mean over kinds"
ALL_TAUGHT = "all kinds, all taught"

# The thesis's Tables 1 and 2, KSDD2: image and pixel AUROC, by our name of the method. Its
# synthetic images are DIAG's.
PUBLISHED = {
    "table1": {
        PATCHCORE.name: {"image_auroc": 0.912, "pixel_auroc": 0.958},
        THESIS.name: {"image_auroc": 0.931, "pixel_auroc": 0.969},
        "PatchCoreDual with DIAG": {"image_auroc": 0.942, "pixel_auroc": 0.977},
    },
    "table2": {
        WITHOUT: {"image_auroc": 0.931, "pixel_auroc": 0.969},
        "50 synthetic": {"image_auroc": 0.934, "pixel_auroc": 0.971},
        "100 synthetic": {"image_auroc": 0.942, "pixel_auroc": 0.977},
        "150 synthetic": {"image_auroc": 0.935, "pixel_auroc": 0.972},
    },
}

Cells = dict[str, Sequence[Sequence[Evaluation]]]
"""By method, for each seed, the evaluations whose mean counts."""


@dataclass(frozen=True)
class Row:
    """One method under one condition (how many defects, which kind left out).

    Attributes:
        figures: by field of `Evaluation`.
        baseline: the method that it is compared to under the same condition; empty for that
            itself, and where there is none.
        difference: to the baseline on the same images, likewise.
    """

    condition: str
    method: str
    figures: dict[str, Figure]
    baseline: str
    difference: dict[str, Figure]

    def to_json(self) -> dict[str, Any]:
        return {
            "condition": self.condition,
            "method": self.method,
            "figures": {k: _plain(f) for k, f in self.figures.items()},
            "baseline": self.baseline or None,
            "difference": {k: _plain(f) for k, f in self.difference.items()},
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
    names, baseline = FIELDS[target], BASELINES[target]
    rows = []
    for condition, cells in conditions.items():
        values = {m: _values(cells[m], names) for m in cells}
        draws = {m: _draws(cells[m], names, resampling) for m in cells}
        for method in cells:
            figures, difference = {}, {}
            for name in names:
                own, other = values[method][name], values[baseline][name]
                own_draws, other_draws = (draws[m].get(name) for m in (method, baseline))
                figures[name] = Figure.of(own, own_draws)
                if method != baseline:
                    apart = None
                    if own_draws is not None and other_draws is not None:
                        apart = own_draws - other_draws
                    difference[name] = Figure.of(own - other, apart)
            rows.append(Row(condition, method, figures, baseline if difference else "", difference))
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
    methods = results[0]["all defects"]
    return {"": {m: [[t["all defects"][m]] for t in results] for m in methods}}


def _table2(results: Sequence[Trials]) -> dict[str, Cells]:
    return {
        trial: {m: [[t[trial][m]] for t in results] for m in by_method}
        for trial, by_method in results[0].items()
    }


def _generators(results: Sequence[Trials]) -> dict[str, Cells]:
    made = dict.fromkeys(tuple(name.split(", ")) for t in results for name in t if ", " in name)
    found: dict[str, Cells] = {}
    for real in sorted({real for real, _ in made}, key=_number_first):
        own = [g for r, g in made if r == real]
        # A count that some seeds are too poor for is judged on the others.
        there = [t for t in results if all(f"{real}, {g}" in t for g in own)]
        for count in there[0][f"{real}, {own[0]}"] if there else ():
            found[f"{real}, {count}"] = {
                WITHOUT: [[t[real][WITHOUT]] for t in there],
                **{g: [[t[f"{real}, {g}"][count]] for t in there] for g in own},
            }
    return found


def _number_first(name: str) -> float:
    """A sorting key: "5 real" by its number, "all real" last."""
    count = name.split(" ", 1)[0]
    return math.inf if count == "all" else int(count)


def _few_shot(results: Sequence[Trials]) -> dict[str, Cells]:
    counts = dict.fromkeys(few_shot_count(name) for trials in results for name in trials)
    found: dict[str, Cells] = {}
    for count in sorted(counts, key=_number_first):
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


_CONDITIONS = {
    "table1": _table1,
    "table2": _table2,
    "generators": _generators,
    "few-shot": _few_shot,
    "unseen-kinds": _unseen_kinds,
}


def _on_same_images(evaluation: Evaluation, other: Evaluation) -> Evaluation:
    chosen = {r.path for r in other.images}
    return replace(evaluation, images=tuple(r for r in evaluation.images if r.path in chosen))


def _plain(figure: Figure) -> dict[str, float | None]:
    return {k: None if math.isnan(v) else v for k, v in asdict(figure).items()}

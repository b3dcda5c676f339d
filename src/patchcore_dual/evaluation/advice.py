"""What to do after an evaluation, depending on what it found."""

import math

from patchcore_dual.evaluation.figures import rate_text, threshold_of
from patchcore_dual.evaluation.headline import count_parts
from patchcore_dual.evaluation.results import Evaluation

_FEW_PARTS = 20  # test parts below which one more or less moves a rate by over 5 points


def advice(evaluation: Evaluation) -> list[str]:
    """Sentences that say what to do next, the most urgent first; at least one."""
    steps = _about_the_images(evaluation)
    steps += _about_too_many_false_alarms(evaluation)
    steps += _about_misses(evaluation)
    steps += _about_the_threshold(evaluation)
    if not steps:
        steps.append(
            "Nothing was missed and nothing rejected wrongly that the numbers could show. Inspect "
            "new parts: patchcore-dual inspect MODEL NEW_IMAGES --out pictures"
        )
    steps += _about_numbers(evaluation)
    return steps


def _about_the_images(e: Evaluation) -> list[str]:
    steps = []
    if e.n_training_images:
        how = ": --split test" if e.split == "train" else ""
        steps.append(f"Evaluate on parts that the model has not seen{how}.")
    if not e.n_test_defective:
        steps.append(
            "Add defective parts to the test images: without them nothing says whether defects "
            "are found."
        )
    if not e.n_test_normal:
        steps.append(
            "Add normal parts to the test images: without them nothing says how often good parts "
            "are rejected."
        )
    return steps


def _about_too_many_false_alarms(e: Evaluation) -> list[str]:
    low, _ = e.false_alarm_rate_interval
    if low > e.false_alarm_rate_promised:  # False where either is undefined
        return [
            f"More normal parts were rejected than the {rate_text(e.false_alarm_rate_promised)} "
            "promised, and chance does not explain it: the test parts differ from the training "
            "parts. Look at the false alarms; add normal parts of that sort to the training images."
        ]
    return []


def _about_the_threshold(e: Evaluation) -> list[str]:
    steps = []
    n = e.count("false alarm")
    if n and not _about_too_many_false_alarms(e):
        which = "the false alarm" if n == 1 else f"the {n} false alarms"
        steps.append(
            f"Look at {which}: a defect that nobody labelled, or something harmless that the "
            "training images lack?"
        )
    threshold = threshold_of(e)
    if threshold and threshold.shortfall:
        steps.append(f"Add normal training images, of other parts. {threshold.shortfall}")
    return steps


def _about_misses(e: Evaluation) -> list[str]:
    missed = e.count("miss")
    if not missed:
        return []
    steps = []
    were = "was" if missed == 1 else "were"
    of = f"{missed} of {count_parts(e.n_test_defective, 'defective')} {were} missed"
    waiting = sum(r.outcome == "miss" and r.verdict == "review" for r in e.images)
    if waiting:
        was = "was" if waiting == 1 else "were"
        steps.append(
            f"{waiting} of the {missed} missed {was} sent to review: have people look at review."
        )
    if e.recall_at_fpr_05 > e.recall:  # False where it is undefined
        steps.append(
            f"{of}, and a lower threshold would find some of them: up to "
            f"{100 * e.recall_at_fpr_05:.0f} % at 5 % false alarms. If that is "
            "worth it: patchcore-dual threshold MODEL --false-alarm-rate 0.05"
        )
    else:
        steps.append(
            f"{of}, and no threshold finds more at 5 % false alarms. If the heat map "
            "is cold on the defect, fit at a larger size, or add one or two such parts with "
            "masks to the training images."
        )
    if len(e.kinds) > 1:
        name, kind = min(e.kinds.items(), key=lambda item: item[1].recall)
        steps.append(
            f"Begin with the kind {name}: {round(kind.recall * kind.n)} of {kind.n} found."
        )
    return steps


def _about_numbers(e: Evaluation) -> list[str]:
    if not 0 < e.n_test_defective < _FEW_PARTS:
        return []
    low, high = (100 * end for end in e.recall_interval)
    if math.isnan(low):
        return []
    return [
        f"Test on more defective parts: with {e.n_test_defective}, the true recall can be "
        f"anything from {low:.0f} to {high:.0f} %."
    ]

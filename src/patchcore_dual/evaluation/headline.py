"""The headline of an evaluation: its outcomes in a sentence, for the command line and pages."""

from patchcore_dual.evaluation.results import Evaluation


def headline(evaluation: Evaluation) -> str:
    """The outcomes at the model's own threshold and the warnings, in sentences."""
    return " ".join([outcomes(evaluation), *evaluation.warnings])


def outcomes(evaluation: Evaluation) -> str:
    """The outcomes at the model's own threshold, in a sentence."""
    n_defective, n_normal = evaluation.n_test_defective, evaluation.n_test_normal
    found = f"Found {evaluation.count('found')} of {count_parts(n_defective, 'defective')}"
    n_alarms = evaluation.count("false alarm")
    alarms = f"{n_alarms or 'no'} false alarm{'' if n_alarms == 1 else 's'}"
    if not n_normal:
        return f"{found}; there were no normal ones to raise a false alarm."
    if not n_defective:
        parts = count_parts(n_normal, "normal")
        return f"{alarms.capitalize()} on {parts}; there was no defect to find."
    return f"{found}, {alarms} on {n_normal} normal one{'' if n_normal == 1 else 's'}."


def count_parts(n: int, adjective: str) -> str:
    """A number of parts in words: "1 normal part", "3 defective parts"."""
    return f"{n} {adjective} part{'' if n == 1 else 's'}"

"""`PrecisionCost`: what 8-bit integers cost, on held-out training images."""

from dataclasses import dataclass

import numpy as np

from patchcore_dual.model import Model
from patchcore_dual.training.size_choice import auroc


@dataclass(frozen=True)
class PrecisionCost:
    """Both precisions on held-out training images, each with banks and threshold of its own.

    >>> print(PrecisionCost(0.991, 0.98, 0.9, 0.85, 20))
    int8: AUROC 0.980, finds 85% of 20 held-out defective images; float32: 0.991, 90%.

    Attributes:
        auroc_float32, auroc_int8: of known defects against good images; None without defects.
        recall_float32, recall_int8: at each model's own threshold.
        defective: how many defective images were held out.
    """

    auroc_float32: float | None
    auroc_int8: float | None
    recall_float32: float | None
    recall_int8: float | None
    defective: int

    def __str__(self) -> str:
        if self.auroc_int8 is None or self.auroc_float32 is None:
            return "int8 was not compared with float32: no defective images were held out."
        return (
            f"int8: AUROC {self.auroc_int8:.3f}, finds {self.recall_int8:.0%} of {self.defective} "
            f"held-out defective images; float32: {self.auroc_float32:.3f}, "
            f"{self.recall_float32:.0%}."
        )


def precision_cost(in_floats: Model, in_integers: Model) -> PrecisionCost:
    """Compare two models of the same images."""
    before, after = _measured(in_floats), _measured(in_integers)
    known = in_integers.held_out.known if in_integers.held_out else ()
    return PrecisionCost(before[0], after[0], before[1], after[1], len(known))


def _measured(model: Model) -> tuple[float | None, float | None]:
    results = model.held_out
    if results is None or not len(results.known):
        return None, None
    found = results.known > model.thresholds.image.value
    return auroc(np.asarray(results.normals.scores), results.known), float(found.mean())

"""Two rules on the same data: python examples/compare_rules.py PREPARED."""

import sys

from patchcore_dual import Manifest, PatchCoreDual
from patchcore_dual.evaluation.evaluation import evaluate

manifest = Manifest.load(sys.argv[1])
for scoring in ("patchcore", "calibrated"):
    figures = evaluate(PatchCoreDual(scoring=scoring).fit(manifest), manifest)
    print(f"{scoring:12s} image AUROC {figures.image_auroc:.3f}   AP {figures.image_ap:.3f}")

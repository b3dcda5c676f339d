"""Fusion rules: from the evidence of both banks to an image score (thesis 4.3.5)."""

from patchcore_dual.scoring.fusion.calibrated import Calibrated
from patchcore_dual.scoring.fusion.contrast import Contrast
from patchcore_dual.scoring.fusion.patchcore import PatchCore, PatchCoreWeighted
from patchcore_dual.scoring.fusion.ratio import Ratio
from patchcore_dual.scoring.fusion.registry import RULES, rule_for
from patchcore_dual.scoring.fusion.rule import Rule, RuleOutput
from patchcore_dual.scoring.fusion.thesis import Thesis

__all__ = [
    "RULES",
    "Calibrated",
    "Contrast",
    "PatchCore",
    "PatchCoreWeighted",
    "Ratio",
    "Rule",
    "RuleOutput",
    "Thesis",
    "rule_for",
]

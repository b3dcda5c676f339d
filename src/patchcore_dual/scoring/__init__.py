"""From distances to decisions: weights, fusion rules, maps, thresholds, regions (4.3.5)."""

from patchcore_dual.scoring.adaptive_search import (
    AdaptiveSearch,
    choose_exact_share,
    search_adaptively,
)
from patchcore_dual.scoring.evidence import (
    Evidence,
    HeldOutImage,
    Nearest,
    TrainingEvidence,
    gather_evidence,
)
from patchcore_dual.scoring.fusion.probe import Probe
from patchcore_dual.scoring.fusion.rule import Rule, RuleOutput
from patchcore_dual.scoring.fusion.rules import RULES, rule_for
from patchcore_dual.scoring.inspection import Inspection, Match, match_at
from patchcore_dual.scoring.maps import anomaly_map, resize_map
from patchcore_dual.scoring.regions import Region, find_regions, peak_region
from patchcore_dual.scoring.thresholds import Threshold, conformal_threshold
from patchcore_dual.scoring.uncertainty import score_uncertainty

__all__ = [
    "RULES",
    "AdaptiveSearch",
    "Evidence",
    "HeldOutImage",
    "Inspection",
    "Match",
    "Nearest",
    "Probe",
    "Region",
    "Rule",
    "RuleOutput",
    "Threshold",
    "TrainingEvidence",
    "anomaly_map",
    "choose_exact_share",
    "conformal_threshold",
    "find_regions",
    "gather_evidence",
    "match_at",
    "peak_region",
    "resize_map",
    "rule_for",
    "score_uncertainty",
    "search_adaptively",
]

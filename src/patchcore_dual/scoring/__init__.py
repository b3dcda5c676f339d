"""From distances to decisions: fusion rules, maps, thresholds, regions, `Inspection` (4.3.5)."""

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
from patchcore_dual.scoring.fusion import RULES, Rule, RuleOutput, rule_for
from patchcore_dual.scoring.fusion.probe import Probe
from patchcore_dual.scoring.inspection import Inspection, Match, match_at
from patchcore_dual.scoring.maps import anomaly_map, covered_size, heat_map, resize_map
from patchcore_dual.scoring.operating_points import (
    HeldOutResults,
    OperatingPoint,
    operating_point,
    operating_points,
)
from patchcore_dual.scoring.regions import Region, find_regions
from patchcore_dual.scoring.thresholds import (
    HeldOutScores,
    Threshold,
    Thresholds,
    calibrate_thresholds,
)
from patchcore_dual.scoring.uncertainty import score_uncertainty

__all__ = [
    "RULES",
    "AdaptiveSearch",
    "Evidence",
    "HeldOutImage",
    "HeldOutResults",
    "HeldOutScores",
    "Inspection",
    "Match",
    "Nearest",
    "OperatingPoint",
    "Probe",
    "Region",
    "Rule",
    "RuleOutput",
    "Threshold",
    "Thresholds",
    "TrainingEvidence",
    "anomaly_map",
    "calibrate_thresholds",
    "choose_exact_share",
    "covered_size",
    "find_regions",
    "gather_evidence",
    "heat_map",
    "match_at",
    "operating_point",
    "operating_points",
    "resize_map",
    "rule_for",
    "score_uncertainty",
    "search_adaptively",
]

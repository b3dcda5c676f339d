"""From distances to decisions: weights, fusion rules, maps, thresholds, regions (4.3.5)."""

from patchcore_dual.scoring.evidence import Evidence, Nearest, gather_evidence
from patchcore_dual.scoring.inspection import Inspection, Match
from patchcore_dual.scoring.maps import anomaly_map, resize_map
from patchcore_dual.scoring.regions import Region, find_regions, peak_region
from patchcore_dual.scoring.rules import RULES, Rule, rule_constants, rule_for
from patchcore_dual.scoring.thresholds import Threshold, conformal_threshold

__all__ = [
    "RULES",
    "Evidence",
    "Inspection",
    "Match",
    "Nearest",
    "Region",
    "Rule",
    "Threshold",
    "anomaly_map",
    "conformal_threshold",
    "find_regions",
    "gather_evidence",
    "peak_region",
    "resize_map",
    "rule_constants",
    "rule_for",
]

"""Patch features: an image batch in, a grid of patch features out (thesis 4.3.2, 4.3.3)."""

from patchcore_dual.features.aggregation import patch_features
from patchcore_dual.features.backbones import (
    BACKBONES,
    Backbone,
    check_backbone,
    choose_device,
    load_backbone,
)

__all__ = [
    "BACKBONES",
    "Backbone",
    "check_backbone",
    "choose_device",
    "load_backbone",
    "patch_features",
]

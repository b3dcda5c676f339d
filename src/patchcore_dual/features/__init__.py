"""Patch features: an image batch in, a grid of patch features out (thesis 4.3.2, 4.3.3)."""

from patchcore_dual.features.embedder import (
    CachedEmbedder,
    Embedder,
    EmbedderSpec,
    EmbedImage,
    ProjectedEmbedder,
    adapted,
    network_of,
    projected,
)
from patchcore_dual.features.engines import load_embedder, restore_embedder
from patchcore_dual.features.networks import BACKBONES

__all__ = [
    "BACKBONES",
    "CachedEmbedder",
    "EmbedImage",
    "Embedder",
    "EmbedderSpec",
    "ProjectedEmbedder",
    "adapted",
    "load_embedder",
    "network_of",
    "projected",
    "restore_embedder",
]

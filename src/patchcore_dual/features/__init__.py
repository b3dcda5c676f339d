"""Patch features: an image batch in, a grid of patch features out (thesis 4.3.2, 4.3.3)."""

from patchcore_dual.features.embedder import (
    CachedEmbedder,
    Embedder,
    EmbedderSpec,
    EmbedImage,
    ProjectedEmbedder,
    adapted,
    graph_of,
    network_of,
    projected,
    unwrapped,
)
from patchcore_dual.features.engines import load_embedder, on_cpu, restore_embedder
from patchcore_dual.features.graph import Graph
from patchcore_dual.features.networks import BACKBONES

__all__ = [
    "BACKBONES",
    "CachedEmbedder",
    "EmbedImage",
    "Embedder",
    "EmbedderSpec",
    "Graph",
    "ProjectedEmbedder",
    "adapted",
    "graph_of",
    "load_embedder",
    "network_of",
    "on_cpu",
    "projected",
    "restore_embedder",
    "unwrapped",
]

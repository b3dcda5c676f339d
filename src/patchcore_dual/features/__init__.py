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
    unwrapped,
)
from patchcore_dual.features.engines import load_embedder, on_cpu, restore_embedder
from patchcore_dual.features.graph import Graph
from patchcore_dual.features.networks import BACKBONES
from patchcore_dual.features.tiled import TiledEmbedder, TiledFeatures, as_set

__all__ = [
    "BACKBONES",
    "CachedEmbedder",
    "EmbedImage",
    "Embedder",
    "EmbedderSpec",
    "Graph",
    "ProjectedEmbedder",
    "TiledEmbedder",
    "TiledFeatures",
    "adapted",
    "as_set",
    "graph_of",
    "load_embedder",
    "network_of",
    "on_cpu",
    "restore_embedder",
    "unwrapped",
]

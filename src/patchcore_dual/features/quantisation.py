"""A network's graph in 8-bit integers, by NNCF: static, weights per channel."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from patchcore_dual.errors import SettingsError
from patchcore_dual.features.embedder import Embedder, unwrapped
from patchcore_dual.features.engines import on_cpu
from patchcore_dual.features.graph import Graph, openvino, read_graph, serialised
from patchcore_dual.utils.dependencies import require

LEAST_IMAGES = 10  # of which the ranges of activations are taken
MOST_IMAGES = 100


def quantised(embedder: Embedder, images: Sequence[np.ndarray]) -> Embedder:
    """The embedder whose network computes in 8-bit integers, on a CPU.

    Everything that is then built on its features belongs to it: nothing is approximated afterwards.

    Args:
        embedder: of one of this package's networks, in float32.
        images: uint8 `[H, W, 3]` each, of the kind it will see: ranges of values follow from them.

    Raises:
        MissingDependencyError: without NNCF.
        SettingsError: for an embedder of the user's own.
    """
    from patchcore_dual.features.engines.graph_engine import GraphEmbedder

    embedder = on_cpu(unwrapped(embedder))
    if not isinstance(embedder, GraphEmbedder):
        raise SettingsError("precision int8 is for the networks of this package.")
    original = embedder.with_spec(replace(embedder.spec, precision="float32"))
    graph = _quantised(original.graph, images)
    return GraphEmbedder(replace(original.spec, precision="int8"), graph, original.network)


def check_calibration(images: int) -> None:
    """Raise SettingsError where there are too few images for precision int8."""
    require("precision int8", "nncf")
    if images < LEAST_IMAGES:
        raise SettingsError(
            f"precision int8 takes the ranges of a network's values from at least {LEAST_IMAGES} "
            f"training images, and there are {images}. Add images, or use --precision float32."
        )


def _quantised(graph: Graph, images: Sequence[np.ndarray]) -> Graph:
    openvino()  # first: it keeps out what reports to its makers
    import nncf

    logging.getLogger("nncf").setLevel(logging.ERROR)
    model: Any = nncf.quantize(
        read_graph(graph),
        nncf.Dataset(images, lambda image: np.ascontiguousarray(image[None])),
        subset_size=len(images),
        preset=nncf.QuantizationPreset.MIXED,  # values below zero are symmetric where none are cut
    )
    return serialised(model)

"""A network's graph in 8-bit integers, by NNCF: static, weights per channel."""

import io
import logging
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from typing import Any

import numpy as np

from patchcore_dual.errors import SettingsError
from patchcore_dual.features.embedder import Embedder, network_of, unwrapped
from patchcore_dual.features.engines import on_cpu
from patchcore_dual.features.graph import Graph, openvino, read_graph, serialised
from patchcore_dual.features.networks import network_definition
from patchcore_dual.utils.dependencies import require

LEAST_IMAGES = 10  # of which the ranges of activations are taken
MOST_IMAGES = 100
_OWN = "precision int8 is for the networks of this package."
_IN_FLOATS = ["AvgPool", "Interpolate"]  # how patch features are made of the network's maps


def quantised(embedder: Embedder, images: Sequence[np.ndarray]) -> Embedder:
    """The embedder whose network computes in 8-bit integers, on a CPU.

    Everything that is then built on its features belongs to it: nothing is approximated afterwards.

    Args:
        embedder: of one of this package's networks.
        images: uint8 `[H, W, 3]` each, of the kind it will see: ranges of values follow from them.

    Raises:
        SettingsError: for an embedder of the user's own.
    """
    from patchcore_dual.features.engines.graph_engine import GraphEmbedder

    embedder = on_cpu(unwrapped(embedder))
    if not isinstance(embedder, GraphEmbedder):
        raise SettingsError(_OWN)
    original = embedder.with_spec(replace(embedder.spec, precision="float32"))
    kept = network_definition(original.spec.backbone).kept_in_float
    graph = _quantised(original.graph, images, kept)
    return GraphEmbedder(replace(original.spec, precision="int8"), graph, original.network)


def in_floats(embedder: Embedder) -> Embedder:
    """The embedder of one of this package's networks in float32, whatever it is now."""
    if embedder.spec.precision == "float32":
        return embedder
    spec = replace(embedder.spec, precision="float32")
    floats: Embedder = embedder.with_spec(spec)  # type: ignore[attr-defined]
    return floats


def check_calibration(embedder: Embedder, images: int) -> None:
    """Check what precision int8 needs, before hours of fitting.

    Raises:
        MissingDependencyError: without NNCF.
        SettingsError: for an embedder of the user's own, or too few images.
    """
    require("precision int8", "nncf")
    if network_of(embedder) is None:
        raise SettingsError(_OWN)
    if images < LEAST_IMAGES:
        raise SettingsError(
            f"precision int8 takes the ranges of a network's values from at least {LEAST_IMAGES} "
            f"training images, and there are {images}. Add images, or use --precision float32."
        )


def _quantised(graph: Graph, images: Sequence[np.ndarray], kept: Sequence[str]) -> Graph:
    openvino()  # first: it keeps out what reports to its makers
    import nncf
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix

    logging.getLogger("nncf").setLevel(logging.ERROR)
    with redirect_stdout(io.StringIO()):  # bars of its own
        model: Any = nncf.quantize(
            read_graph(graph),
            nncf.Dataset(images, lambda image: np.ascontiguousarray(image[None])),
            subset_size=len(images),
            preset=nncf.QuantizationPreset.MIXED,  # ranges are symmetric where values are
            ignored_scope=nncf.IgnoredScope(patterns=[*kept], types=_IN_FLOATS, validate=False),
            # Weights of 7 bits: with 8, processors without 8-bit dot products would overflow, and
            # others not.
            advanced_parameters=AdvancedQuantizationParameters(overflow_fix=OverflowFix.ENABLE),
        )
    return serialised(model)

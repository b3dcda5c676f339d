"""`Graph`: a network in a form that OpenVINO runs, and how one is made of a PyTorch module."""

import re
import sys
import warnings
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from patchcore_dual.banks.backend.compute import get_backend
from patchcore_dual.errors import DataError, ModelError

if TYPE_CHECKING:
    from torch import nn


class Graph(NamedTuple):
    """A network in OpenVINO's format: images uint8 `[B, H, W, 3]` in, patch features out.

    Attributes:
        structure: the operations, as XML.
        weights: their constants.
    """

    structure: bytes
    weights: bytes


@lru_cache(maxsize=1)
def openvino() -> Any:
    """The module `openvino`.

    OpenVINO reports each import to its makers where the package `openvino_telemetry` is there,
    which it installs by itself. A PC on a line is to send nothing, so that this is kept out.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def converted(module: "nn.Module") -> Graph:
    """The graph of a module whose input is an image batch uint8 `[B, H, W, 3]` of any size."""
    import torch

    ov = openvino()
    # Sides that nothing divides, so that no step of padding is taken for one that never happens.
    example = torch.zeros(1, 67, 83, 3, dtype=torch.uint8)
    with torch.inference_mode(), warnings.catch_warnings():
        # Which way levels are resampled is decided once. Tracing is said to be old, but quick.
        warnings.simplefilter("ignore")
        traced = torch.jit.freeze(torch.jit.trace(module.eval(), example, check_trace=False))
    shape = ov.PartialShape([-1, -1, -1, 3])
    return serialised(ov.convert_model(traced, input=[(shape, ov.Type.u8)]))


def serialised(model: Any) -> Graph:
    """The graph of a model of OpenVINO; the same network gives the same bytes.

    Raises:
        DataError: where there is no room for temporary files.
    """
    _number_names(model)
    with TemporaryDirectory(prefix="patchcore-dual-") as folder:
        path = Path(folder) / "graph.xml"
        try:
            openvino().save_model(model, path, compress_to_fp16=False)
            return Graph(path.read_bytes(), path.with_suffix(".bin").read_bytes())
        except (OSError, RuntimeError):
            raise DataError(
                f"cannot write the graph of the network into {folder}: the disk is full, or the "
                "folder for temporary files is not writable. Make room, or set TMPDIR."
            ) from None


def part_of(graph: Graph, part: int, parts: int) -> Graph:
    """One part of a network whose result joins several side by side, as at several resolutions.

    Raises:
        ModelError: for a graph that is damaged, newer than this OpenVINO, or of other parts.
    """
    model = read_graph(graph)
    joined = model.get_results()[0].input_value(0).get_node()
    if joined.get_type_name() != "Concat" or joined.get_input_size() != parts:
        raise ModelError("the model's network cannot be taken apart by resolution. Fit again.")
    some = openvino().Model([joined.input_value(part)], model.get_parameters(), "network")
    return serialised(some)


def _number_names(model: Any) -> None:
    """Number the names that OpenVINO made up from 0; it counts on for as long as a process runs."""
    model.set_friendly_name("network")
    for number, operation in enumerate(model.get_ordered_ops()):
        kind = operation.get_type_name()
        if re.fullmatch(rf"{kind}_\d+", operation.get_friendly_name()):
            operation.set_friendly_name(f"{kind}_{number}")


def read_graph(graph: Graph) -> Any:
    """The graph as a model of OpenVINO, which belongs to the caller.

    Raises:
        ModelError: for a graph that is damaged, or newer than this OpenVINO.
    """
    ov = openvino()
    try:
        weights = ov.Tensor(np.frombuffer(graph.weights, np.uint8))
        return ov.Core().read_model(graph.structure, weights)
    except RuntimeError as error:
        raise _unreadable(error) from None


@lru_cache(maxsize=4)
def compiled(graph: Graph, size: tuple[int, int] | None = None) -> Any:
    """A graph made ready for this processor, for as many threads as a search uses.

    Detectors of the same network share it.

    Args:
        size: height and width of the images, for which the graph is made ready in a third of the
            time and runs faster, with the same results; None for any size. It does not count for a
            transformer, which resamples its positions: where sizes are known, OpenVINO does that
            beforehand, and less exactly.

    Raises:
        ModelError: for a graph that is damaged, or newer than this OpenVINO.
    """
    options = {
        "INFERENCE_PRECISION_HINT": "f32",  # some processors would take half precision
        "INFERENCE_NUM_THREADS": get_backend().thread_count(),
        "NUM_STREAMS": 1,
    }
    model = read_graph(graph)
    try:
        if size is not None and not _resamples_cubically(model):
            model.reshape([1, *size, 3])
        return openvino().Core().compile_model(model, "CPU", options)
    except RuntimeError as error:
        raise _unreadable(error) from None


def _resamples_cubically(model: Any) -> bool:
    return any(
        operation.get_type_name() == "Interpolate"
        and "cubic" in str(operation.get_attributes().get("mode"))
        for operation in model.get_ops()
    )


def _unreadable(error: RuntimeError) -> ModelError:
    reason = str(error).strip().splitlines()[-1]
    return ModelError(
        f"OpenVINO {version('openvino')} cannot read the graph of the network ({reason}). It is "
        "damaged, was made by a newer version, or cannot run on this processor: update openvino or "
        "fit again."
    )

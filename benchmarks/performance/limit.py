"""The physical limit of a network: its multiplications over what the machine does in a second.

What the machine does is measured by one large matrix product, in float32 and in 8-bit integers, by
the library that runs the network. No network comes close: its matrices are smaller, and its data
come from memory.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.features import load_embedder
from patchcore_dual.features.graph import openvino, read_graph

SIDE = 2048  # of the square matrices


def multiplications(graph: Any, width: int, height: int) -> float:
    """Of all convolutions and matrix products of a graph, for one image."""
    model = read_graph(graph)
    model.reshape([1, height, width, 3])
    total = 0.0
    for node in model.get_ops():
        kind = node.get_type_name()
        if kind not in ("Convolution", "GroupConvolution", "MatMul"):
            continue
        outputs = float(np.prod(list(node.output(0).shape)))
        weights = list(node.input_value(1).shape)
        # [out, in, h, w]; [groups, out, in, h, w]; [m, k] · [k, n], either of them transposed.
        skipped = {"Convolution": 1, "GroupConvolution": 2}
        if kind == "MatMul":
            each = list(node.input_value(0).shape)[
                -2 if node.get_attributes()["transpose_a"] else -1
            ]
        else:
            each = float(np.prod(weights[skipped[kind] :]))
        total += outputs * each
    return total


def products_a_second(levels: int | None) -> float:
    """Multiplications a second of a matrix product.

    Args:
        levels: that both matrices are quantised to, 256 for 8-bit integers; None for float32.
    """
    ov = openvino()
    ops = ov.opset13
    values = np.random.default_rng(0).uniform(-1, 1, (SIDE, SIDE)).astype(np.float32)
    image = ops.parameter([SIDE, SIDE], np.float32)
    matrices = [image, ops.constant(values)]
    if levels:
        low, high = (ops.constant(np.float32(x)) for x in (-1, 127 / 128))
        matrices = [ops.fake_quantize(m, low, high, low, high, levels) for m in matrices]
    # The largest of each row alone is given back, so that writing the result takes no time.
    largest = ops.reduce_max(ops.matmul(*matrices, False, True), ops.constant(np.int64(1)))
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    model = ov.Core().compile_model(ov.Model([largest], [image]), "CPU", options)
    request = model.create_infer_request()
    return SIDE**3 / _fastest(lambda: request.infer([values], share_inputs=True))


def _fastest(work: Callable[[], Any]) -> float:
    times = []
    for _ in range(9):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def limits(width: int, height: int, model: str = "", **network: Any) -> dict[str, Any]:
    """Milliseconds that one image's multiplications take at least, by precision.

    Args:
        model: folder of a model; or
        network: name of a backbone, and its weights.
    """
    embedder = PatchCoreDual.load(model).embedder if model else load_embedder(**network)
    count = multiplications(embedder.graph, width, height)
    speeds = {"float32": products_a_second(None), "int8": products_a_second(256)}
    return {
        "multiplications": count,
        "a_second": speeds,
        "limit_ms": {name: 1000 * count / speed for name, speed in speeds.items()},
    }

"""The physical limit of a network: its multiplications over what the machine does in a second.

What the machine does is measured on large products, in float32 and in 8-bit integers, by the
library that runs the networks. A network's own products are smaller, and between them its data go
through memory.
"""

import time
from typing import Any

import numpy as np

from patchcore_dual.banks.backend.compute import get_backend
from patchcore_dual.features.graph import Graph, openvino, read_graph

# Shapes of the left side, a matrix or an image, and of the weights: 10^9 multiplications each.
# Where a processor has no 8-bit dot products, OpenVINO's matrix product is slower in integers than
# in floats, and only its convolutions show what the machine can do.
PRODUCTS = {
    "matrix product": ((1024, 1024), (1024, 1024)),
    "convolution": ((1, 256, 32, 64), (256, 256, 3, 3)),
}
MEASURED_S = 4.0  # for each product
AT_LEAST = 20  # times


def multiplications(graph: Graph, width: int, height: int) -> int:
    """Of all convolutions and matrix products of a network, for one image."""
    model = read_graph(graph)
    model.reshape([1, height, width, 3])
    return sum(map(_multiplications, model.get_ops()))


def _multiplications(operation: Any) -> int:
    kind = operation.get_type_name()
    if kind == "MatMul":
        shared = -2 if operation.get_attributes()["transpose_a"] else -1
        each = list(operation.input_value(0).shape)[shared]
    elif kind in ("Convolution", "GroupConvolution"):  # [out, in, h, w], of each group
        first = {"Convolution": 1, "GroupConvolution": 2}[kind]
        each = np.prod(list(operation.input_value(1).shape)[first:])
    else:
        return 0
    return int(np.prod(list(operation.output(0).shape)) * each)


def machine() -> dict[str, Any]:
    """Multiplications a second of each of `PRODUCTS`, by precision."""
    return {
        "a_second": {
            precision: {name: _a_second(name, precision) for name in PRODUCTS}
            for precision in ("float32", "int8")
        }
    }


def _a_second(product: str, precision: str) -> float:
    ov = openvino()
    model, values = _model(product, precision)
    options = {  # of `features.graph.compiled`
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": get_backend().thread_count(),
        "NUM_STREAMS": 1,
    }
    request = ov.Core().compile_model(model, "CPU", options).create_infer_request()
    times: list[float] = []
    while len(times) < AT_LEAST or sum(times) < MEASURED_S:
        started = time.perf_counter()
        request.infer([values], share_inputs=True)
        times.append(time.perf_counter() - started)
    return sum(map(_multiplications, model.get_ops())) / min(times)


def _model(product: str, precision: str) -> tuple[Any, np.ndarray]:
    """A product as a model of OpenVINO, and values for its input."""
    ov = openvino()
    ops = ov.opset13
    rng = np.random.default_rng(0)
    values, weights = (rng.uniform(0, 1, shape).astype(np.float32) for shape in PRODUCTS[product])
    image = ops.parameter(values.shape, np.float32)
    factors = [image, ops.constant(weights - np.float32(0.5))]
    if precision == "int8":  # as in a network: activations without a sign, weights of 7 bits
        for i, (lowest, levels) in enumerate(((0, 256), (-1, 255))):
            low, high = ops.constant(np.float32(lowest)), ops.constant(np.float32(1))
            factors[i] = ops.fake_quantize(factors[i], low, high, low, high, levels)
    if values.ndim == 2:
        result = ops.matmul(*factors, False, True)
    else:
        border = [weights.shape[-1] // 2] * 2
        result = ops.convolution(*factors, [1, 1], border, border, [1, 1])
    # Only the largest value is given back, so that no time is spent on writing the result.
    axes = ops.constant(np.arange(1, values.ndim, dtype=np.int64))
    return ov.Model([ops.reduce_max(result, axes)], [image]), values


def limit_ms(machine: dict[str, Any], precision: str, count: int) -> float:
    """What so many multiplications take by the fastest of the products that were measured."""
    return 1000 * count / max(machine["a_second"][precision].values())

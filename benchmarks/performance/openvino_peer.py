"""anomalib's PatchCore as anomalib exports it to OpenVINO and runs it: `export`, then `inspect`."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from anomalib.deploy import OpenVINOInferencer
from anomalib.models import Patchcore

from performance.anomalib_peer import filled
from performance.images import listed, mixed, read
from performance.measuring import auroc, peak_mib, size_mib, time_each


def export(prepared: str, folder: str, backbone: str, **filling: Any) -> dict[str, Any]:
    """Write the model with its bank by `Patchcore.to_openvino`, for images of the prepared size.

    Its preprocessing resizes to that size, which changes nothing, and normalises. The batch is
    fixed at one image: by default anomalib 2.7 writes this model for exactly two. Scores are left
    as they are: scaling and thresholding them would take a validation run.

    Args:
        filling: of `anomalib_peer.filled`.
    """
    height, width = read(prepared, listed(prepared, "test")[0]).shape[:2]
    model = Patchcore(
        backbone=backbone,
        layers=["layer2", "layer3"],
        pre_trained=False,
        pre_processor=Patchcore.configure_pre_processor(image_size=(height, width)),
        post_processor=False,
        evaluator=False,
        visualizer=False,
    )
    model.model = filled(prepared, backbone=backbone, **filling)
    path = model.eval().to_openvino(
        folder, input_size=(height, width), onnx_kwargs={"dynamic_axes": None}
    )
    return {"path": str(path), "model_mib": size_mib(Path(path).parent)}


def inspect(
    prepared: str, path: str, images: int | None = None, with_auroc: bool = True, **limits: Any
) -> dict[str, Any]:
    """Test images one at a time by `OpenVINOInferencer`, from pixels in memory to score and map."""
    rows = listed(prepared, "test")
    rows = mixed(rows, images or len(rows))
    with TemporaryDirectory() as folder:
        os.chdir(folder)  # it writes a cache into the current folder
        inferencer = OpenVINOInferencer(path, device="CPU")
        times, scores = time_each(
            (read(prepared, row) for row in rows),
            lambda image: float(np.ravel(inferencer.predict(image).pred_score)[0]),
            **limits,
        )
        os.chdir("/")
    labels = [row["label"] == "positive" for row in rows][: len(scores)]
    return {
        "ms": times,
        "peak_mib": peak_mib(),
        "image_auroc": auroc(scores, labels) if with_auroc else None,
        "model_mib": size_mib(Path(path).parent),
    }

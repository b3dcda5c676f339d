"""anomalib's PatchCore by its own model classes, without the trainer around them."""

import io
import time
from typing import Any

import numpy as np
import torch
from anomalib.models.components import KCenterGreedy
from anomalib.models.image.patchcore.torch_model import PatchcoreModel
from safetensors.torch import load_file

from performance import chosen
from performance.images import listed, mixed, read
from performance.measuring import Stopwatch, auroc, peak_mib, time_each
from performance.normalise import tensor

BATCH = 32  # anomalib's own default for training


def load(backbone: str, weights: str) -> PatchcoreModel:
    """Its model with our weights in its network (timm names tensors as torchvision does)."""
    model = PatchcoreModel(layers=["layer2", "layer3"], backbone=backbone, pre_trained=False)
    network = model.feature_extractor.feature_extractor
    missing = network.load_state_dict(load_file(weights), strict=False).missing_keys
    used = [k for k in missing if not k.startswith("layer4") and not k.endswith("batches_tracked")]
    if used:
        raise ValueError(f"{weights} lacks {used[0]}")
    return model


def fit(
    prepared: str, weights: str, rates: list[float], limit_s: float | None, backbone: str
) -> dict[str, Any]:
    """Features of all good images, then its coreset loop: to the end, or as far as the limit.

    Args:
        rates: coreset rates. Its loop does the same in every step, so one step's time serves all.
        limit_s: seconds for the loop; None runs the last rate's to the end.
    """
    model = load(backbone, weights).train()
    rows = listed(prepared, "train", "negative")
    started = time.perf_counter()
    for i in range(0, len(rows), BATCH):
        model(tensor([read(prepared, row) for row in rows[i : i + BATCH]]))
    bank = torch.vstack(model.embedding_store)
    model.embedding_store.clear()
    features_s = time.perf_counter() - started
    sampler = KCenterGreedy(embedding=bank, sampling_ratio=rates[-1])
    total = sampler.coreset_size
    before = _run(sampler, 2)
    if limit_s is None:
        steps, whole = total, _run(sampler, total)
        step_s = (whole - before) / (total - 2)
    else:
        trial = (_run(sampler, 12) - before) / 10
        steps = int(min(max(limit_s / trial, 20), total))
        step_s = (_run(sampler, steps + 2) - before) / steps
    coreset = {str(rate): before + step_s * int(len(bank) * rate) for rate in rates}
    return {
        "features_s": features_s,
        "coreset_s": coreset,
        "fit_s": {rate: features_s + seconds for rate, seconds in coreset.items()},
        "step_s": step_s,
        "steps": steps,
        "is_estimated": steps < total,
        "peak_mib": peak_mib(),
        "images": len(rows),
        "patches": len(bank),
    }


def _run(sampler: KCenterGreedy, steps: int) -> float:
    """Seconds for its projection and so many steps of its loop."""
    torch.manual_seed(0)
    sampler.coreset_size = steps
    started = time.perf_counter()
    sampler.select_coreset_idxs()
    return time.perf_counter() - started


def filled(
    prepared: str,
    weights: str,
    backbone: str,
    our_choice: str | None = None,
    vectors: str | None = None,
) -> PatchcoreModel:
    """Its model with a bank.

    Args:
        our_choice: fill the bank with its own features of the patches that our coreset chose.
        vectors: or with these (`.npy`); then scores mean nothing, only times do.
    """
    model = load(backbone, weights).eval()
    if our_choice is not None:
        model.memory_bank = _features_of(model, prepared, our_choice)
    else:
        model.memory_bank = torch.from_numpy(np.load(str(vectors)))
    return model


def inspect(
    prepared: str,
    weights: str,
    backbone: str,
    our_choice: str | None = None,
    vectors: str | None = None,
    images: int | None = None,
    **limits: Any,
) -> dict[str, Any]:
    """Test images one at a time, from pixels in memory to score and map.

    Args:
        our_choice, vectors: see `filled`.
    """
    model = filled(prepared, weights, backbone, our_choice, vectors)
    rows = listed(prepared, "test")
    rows = mixed(rows, images or len(rows))
    watch = Stopwatch()
    model.feature_extractor.forward = watch.wrap("network", model.feature_extractor.forward)
    model.nearest_neighbors = watch.wrap("search", model.nearest_neighbors)

    @torch.inference_mode()
    def score(image: np.ndarray) -> float:
        return float(model(tensor([image])).pred_score)

    times, scores = time_each((read(prepared, row) for row in rows), score, watch, **limits)
    labels = [row["label"] == "positive" for row in rows][: len(scores)]
    return {
        "ms": times,
        "peak_mib": peak_mib(),
        "image_auroc": None if vectors else auroc(scores, labels),
        "model_mib": _saved_mib(model),
        "bank": len(model.memory_bank),
    }


@torch.no_grad()  # what inference mode makes cannot be exported
def _features_of(model: PatchcoreModel, prepared: str, choice: str) -> torch.Tensor:
    """Its features of the patches in `choice`."""
    model.train()
    names = [str(name) for name in np.load(choice)["sources"]]
    columns = -(-read(prepared, {"image": names[0]}).shape[1] // 8)
    found = []
    for name, patches in chosen.by_image(choice, columns).items():
        features = model(tensor([read(prepared, {"image": name})]))
        found.append(features[torch.from_numpy(patches)])
        model.embedding_store.clear()
    model.eval()
    return torch.vstack(found)


def _saved_mib(model: PatchcoreModel) -> float:
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    return len(buffer.getvalue()) / 2**20

"""PatchCoreDual: fitting, and inspecting one image at a time."""

import shutil
import time
from pathlib import Path
from typing import Any

from patchcore_dual.banks import MemoryBank
from patchcore_dual.banks.pruned_search import PrunedSearch
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.features import Backbone
from patchcore_dual.images.manifest import Manifest
from patchcore_dual.images.reading import read_image
from patchcore_dual.memory import UNLIMITED, parse_memory
from performance import chosen
from performance.measuring import Stopwatch, auroc, peak_mib, size_mib, time_each


class Stages:
    """`Progress` that notes how long each stage of fitting took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0) + now - self._last
        self._last = now


def fit(
    prepared: str,
    model: str,
    weights: str,
    backbone: str = "resnet18",
    images: int | None = None,
    memory: str | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """The whole of `fit`, thresholds by cross-fitting included (five coresets more than peers).

    Args:
        images: take only so many of the good training images.
        memory: the limit that `fit --memory` sets, as 3GiB.
    """
    detector = PatchCoreDual(backbone=backbone, weights=weights, **settings)
    manifest = Manifest.load(prepared).part("train")
    if images is not None:
        manifest = manifest.where(manifest.part(label="negative").samples[:images])
    stages = Stages()
    started = time.perf_counter()
    unfinished = Path(model).with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    said: list[str] = []
    limit = parse_memory(memory) if memory else UNLIMITED
    banks = detector.normal_banks(
        manifest, stages, unfinished=unfinished, memory=limit, tell=said.append
    )
    detector.fit(manifest, stages, banks)
    seconds, peak = time.perf_counter() - started, peak_mib()
    shutil.rmtree(unfinished, ignore_errors=True)
    detector.save(model)
    bank = detector.model.normal_bank
    chosen.save(Path(model).with_suffix(".npz"), bank.sources, bank.image, bank.cell)
    return {
        "fit_s": seconds,
        "coreset_s": sum(s for name, s in stages.seconds.items() if name.startswith("coreset")),
        "stages_s": stages.seconds,
        "said": said,
        "peak_mib": peak,
        "images": len(manifest.part(label="negative")),
        "size": "{}x{}".format(*manifest.size() or ("native", "")),
        "bank": len(bank),
        "dimensions": bank.vectors.shape[1],
        "model_mib": size_mib(Path(model)),
    }


def watch_parts(watch: Stopwatch) -> None:
    """Time the network and every search of a bank, wherever `inspect` calls them.

    What is made ready for a search counts with it.
    """
    Backbone.__call__ = watch.wrap("network", Backbone.__call__)  # type: ignore[method-assign]
    for kind, names in (
        (MemoryBank, ("nearest", "nearest_by_source", "nearest_sources", "queries")),
        (PrunedSearch, ("guess", "refine")),
    ):
        for name in names:
            setattr(kind, name, watch.wrap("search", getattr(kind, name)))


def inspect(prepared: str, model: str, **limits: Any) -> dict[str, Any]:
    """Every test image, from pixels in memory to score, map and regions."""
    detector = PatchCoreDual.load(model)
    manifest = Manifest.load(prepared).part("test")
    watch = Stopwatch()
    watch_parts(watch)
    pixels = (read_image(manifest.image_path(sample)) for sample in manifest)
    times, answers = time_each(pixels, detector.inspect, watch, **limits)
    labels = [sample.is_defective for sample in manifest][: len(answers)]
    return {
        "ms": times,
        "peak_mib": peak_mib(),
        "image_auroc": auroc([answer.score for answer in answers], labels),
        "bank": len(detector.model.normal_bank),
    }

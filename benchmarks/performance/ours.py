"""PatchCoreDual: fitting, and inspecting one image at a time."""

import logging
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from patchcore_dual.banks import MemoryBank
from patchcore_dual.banks.search.pruned import PrunedSearch
from patchcore_dual.data.manifest import Manifest, Sample
from patchcore_dual.data.reading import read_image
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.features.engines.graph_engine import GraphEmbedder
from patchcore_dual.scoring import AdaptiveSearch, Inspection, choose_exact_share
from patchcore_dual.utils.memory import UNLIMITED, parse_memory
from performance import chosen
from performance.limit import multiplications
from performance.measuring import Stopwatch, auroc, peak_mib, size_mib, time_each

JUDGED_ON = 8  # images on which approximate search is judged, beside those that are timed


class Stages:
    """`Progress` that notes how long each stage of fitting took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0) + now - self._last
        self._last = now


@contextmanager
def messages() -> Iterator[list[str]]:
    """The library's messages, as they come."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("patchcore_dual")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield said
    finally:
        logger.removeHandler(handler)


def fit(
    prepared: str,
    model: str,
    weights: str,
    backbone: str = "resnet18",
    images: int | None = None,
    memory: str | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """The whole of `fit`, cross-fitting included: up to twenty coresets more than the peers.

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
    shutil.rmtree(model, ignore_errors=True)
    with messages() as said:
        detector.fit(
            manifest,
            model_folder=Path(model),
            memory=parse_memory(memory) if memory else UNLIMITED,
            progress=stages,
        )
    seconds, peak = time.perf_counter() - started, peak_mib()
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
    embed = watch.wrap("network", GraphEmbedder.__call__)
    GraphEmbedder.__call__ = embed  # type: ignore[method-assign]
    for kind, names in (
        (MemoryBank, ("nearest", "nearest_by_source", "nearest_sources", "queries")),
        (PrunedSearch, ("guess", "refine")),
    ):
        for name in names:
            setattr(kind, name, watch.wrap("search", getattr(kind, name)))


def search_approximately(detector: PatchCoreDual, features: Iterable[np.ndarray]) -> None:
    """Approximate search with the share of tiles that does for these features `[h, w, d]`.

    Fitting judges more images, defective ones too, and with banks that lack them.
    """
    model = detector.model
    ones = [(one, model.normal_bank, model.defect_bank) for one in features]
    look = choose_exact_share(model.rule, model.thresholds.image.value, ones, model.probe)
    detector._model = replace(model, adaptive_search=look)


def score_error(
    detector: PatchCoreDual, images: Iterable[np.ndarray], answers: Sequence[Inspection]
) -> float:
    """The largest error of a score, relative to the larger of the exact one and the threshold.

    The detector searches exactly from then on.
    """
    if detector.model.adaptive_search.exact_share == 1:
        return 0.0
    detector._model = replace(detector.model, adaptive_search=AdaptiveSearch())
    threshold, errors = abs(detector.model.thresholds.image.value), [0.0]
    for image, answer in zip(images, answers, strict=False):
        exact = detector.inspect(image).score
        errors.append(abs(answer.score - exact) / max(abs(exact), threshold))
    return max(errors)


def inspect(prepared: str, model: str, search: str = "exact", **limits: Any) -> dict[str, Any]:
    """Every test image, from pixels in memory to score, map and regions."""
    detector = PatchCoreDual.load(model)
    manifest = Manifest.load(prepared)

    def pixels(samples: Iterable[Sample]) -> Iterable[np.ndarray]:
        return (read_image(manifest.image_path(sample)) for sample in samples)

    if search == "approximate":
        good = list(manifest.part("train", label="negative"))[:JUDGED_ON]
        search_approximately(detector, map(detector.embed, pixels(good)))
    share = detector.model.adaptive_search.exact_share
    tested = list(manifest.part("test"))
    watch = Stopwatch()
    watch_parts(watch)
    times, answers = time_each(pixels(tested), detector.inspect, watch, **limits)
    labels = [sample.is_defective for sample in tested][: len(answers)]
    peak = peak_mib()
    return {
        "ms": times,
        "peak_mib": peak,
        "image_auroc": auroc([answer.score for answer in answers], labels),
        "bank": len(detector.model.normal_bank),
        "share": share,
        "multiplications": multiplications(detector.embedder.graph, *manifest.size()),
        "score_error": score_error(detector, pixels(tested), answers),
    }

"""`inspect` as it would be with a ResNet-50 and banks of thesis size, without its weights.

The network is a ResNet-50 with random weights, run for the time it takes; what it returns is put
aside, and real features of the same length take its place (`vectors.py`): one resolution, as in the
thesis. A detector is fitted on a few images so that rule, probe and thresholds are real; then its
banks are exchanged. For 8-bit integers the network is quantised on those images.
"""

import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from patchcore_dual.banks import MemoryBank
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.reading import read_image
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.features import load_embedder
from patchcore_dual.features.quantisation import quantised
from performance.images import mixed
from performance.limit import multiplications
from performance.measuring import Stopwatch, peak_mib, time_each
from performance.ours import JUDGED_ON, score_error, search_approximately, watch_parts
from performance.vectors import four_views

FITTED_ON = 8  # good images; each is a fold of its own, whose whitening takes seconds


class RealFeatures:
    """Stands where the detector's embedder stood; its spec is that embedder's.

    It has no graph, so that `fit` does not compare its features with those of the network.
    """

    def __init__(self, network: Any, eyes: Any) -> None:
        self._network, self._eyes, self.spec = network, eyes, network.spec
        self._seen: dict[int, np.ndarray] = {}
        self.runs_network = False

    def __call__(self, images: np.ndarray) -> np.ndarray:
        if self.runs_network:
            self._network(images)
        found = [self.features(image) for image in images]
        return found[0][None] if len(found) == 1 else np.stack(found)

    def features(self, image: np.ndarray) -> np.ndarray:
        """float32 `[h, w, 1536]`, kept for when the image comes again."""
        key = zlib.crc32(np.ascontiguousarray(image))
        if key not in self._seen:
            self._seen[key] = np.ascontiguousarray(four_views(self._eyes, image))
        return self._seen[key]

    def forget(self) -> None:
        self._seen.clear()


def inspect(
    prepared: str,
    weights: str,
    eyes: str,
    folder: str,
    images: int,
    scoring: str = "calibrated",
    precision: str = "float32",
    **settings: Any,
) -> dict[str, Any]:
    """Test images one at a time against the banks in `folder`.

    Args:
        weights: of the ResNet-50; eyes: of the ResNet-18 that gives the features.
    """
    detector = PatchCoreDual(
        backbone="resnet50", weights=weights, scoring=scoring, resolutions=(1,), **settings
    )
    manifest = Manifest.load(prepared)
    training = manifest.part("train")
    good = mixed(list(training.part(label="negative")), FITTED_ON)  # type: ignore[arg-type]
    network = detector.embedder
    if precision == "int8":
        network = quantised(network, [read_image(manifest.image_path(one)) for one in good])
    embedder = RealFeatures(network, load_embedder("resnet18", weights=Path(eyes)))
    detector.embedder = embedder
    detector.fit(training.where([*good, *training.part(label="positive")]), keep_all=True)
    embedder.forget()
    detector._model = replace(
        detector.model,
        normal_bank=_bank(Path(folder) / "normal.npy"),
        defect_bank=_bank(Path(folder) / "defect.npy") if detector.model.defect_bank else None,
    )
    detector._fingerprint = "exchanged banks"
    rows = mixed(list(manifest.part("test")), images + JUDGED_ON)  # type: ignore[arg-type]
    pixels = [read_image(manifest.image_path(sample)) for sample in rows]
    judged = [embedder.features(image) for image in pixels[:JUDGED_ON]]
    pixels = pixels[JUDGED_ON:]
    if detector.settings.search == "approximate":
        search_approximately(detector, judged)
    for image in pixels:
        embedder.features(image)
    embedder.runs_network = True
    watch = Stopwatch()
    watch_parts(watch)
    # Looking features up is no part of inspecting, but it takes well under a millisecond.
    times, answers = time_each(pixels, detector.inspect, watch)
    embedder.runs_network = False
    share, peak = detector.model.adaptive_search.exact_share, peak_mib()
    return {
        "share": share,
        "score_error": score_error(detector, pixels, answers),
        "ms": times,
        "peak_mib": peak,
        "bank": len(detector.model.normal_bank),
        "defect_bank": len(detector.model.defect_bank or ()),
        "scoring": scoring,
        "multiplications": multiplications(network.graph, *manifest.size()),
    }


def _bank(path: Path) -> MemoryBank:
    vectors = np.load(path)
    image = np.zeros(len(vectors), dtype=np.int32)
    return MemoryBank(vectors, image, np.zeros((len(vectors), 2), np.int32), (path.stem,))

"""Whether memory stays flat over very many inspections."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.prepare.preparation import prepare
from patchcore_dual.data.reading import read_image
from patchcore_dual.demo.surfaces import make_surfaces
from patchcore_dual.detector import PatchCoreDual
from performance.measuring import resident_mib

SIZE = 64


def inspections(count: int, intervals: int = 20) -> dict[str, Any]:
    """Inspect `count` different small images with the packaged EfficientNet-Lite0.

    Returns: MiB held after each interval, and the growth from a tenth of the way to the end.
    """
    with tempfile.TemporaryDirectory() as folder:
        parts, prepared = Path(folder) / "parts", Path(folder) / "prepared"
        make_surfaces(parts, train_good=20, train_defective=6, test_good=6, test_defective=6)
        prepare("folder", parts, prepared, width=SIZE, height=SIZE)
        manifest = Manifest.load(prepared)
        detector = PatchCoreDual().fit(manifest)
        images = [read_image(manifest.image_path(sample)) for sample in manifest.part("test")]
    rng = np.random.default_rng(0)
    held = []
    for i in range(1, count + 1):
        image = images[i % len(images)]
        noise = rng.integers(-3, 4, image.shape)
        detector.inspect(np.clip(image + noise, 0, 255).astype(np.uint8))
        if i % max(1, count // intervals) == 0:
            held.append((i, round(resident_mib(), 2)))
    settled = next(mib for i, mib in held if i >= count / 10)
    return {"held_mib": held, "growth_mib": held[-1][1] - settled, "inspections": count}

"""Makes docs/inspection.jpg from a finished demo: python docs/make_pictures.py DEMO."""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from patchcore_dual import Manifest, PatchCoreDual
from patchcore_dual.evaluation.evaluation import known_mask

demo = Path(sys.argv[1])
manifest = Manifest.load(demo / "prepared")
detector = PatchCoreDual.load(demo / "model-patchcore-dual")
pictures = {}
for sample in manifest.part("test", "positive"):
    if sample.kind in pictures:
        continue
    inspection = detector.inspect(manifest.image_path(sample))
    if inspection.verdict == "reject":
        mask = known_mask(manifest, sample, inspection.anomaly_map.shape)
        pictures[sample.kind] = inspection.draw(mask)
gap = np.full((8, next(iter(pictures.values())).shape[1], 3), 255, np.uint8)
rows = [row for kind in sorted(pictures) for row in (pictures[kind], gap)][:-1]
picture = Image.fromarray(np.concatenate(rows))
picture.save(Path(__file__).parent / "inspection.jpg", quality=90)

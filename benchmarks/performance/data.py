"""The prepared folders that are measured on."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from patchcore_dual.data.manifest import PREPARATION_NAME, Manifest, Sample
from patchcore_dual.data.prepare.placement import SplitSettings
from patchcore_dual.data.prepare.preparation import prepare
from patchcore_dual.data.reading import read_image
from patchcore_dual.demo.surfaces import make_surfaces

MOST_SHIFT = 6  # pixels


def prepared(
    source: str | None, out: str, width: int, height: int, split_seed: int = 0
) -> dict[str, Any]:
    """Prepare KolektorSDD at a size, or the demo's generated parts where there is no source."""
    if source is None:
        parts = Path(out).parent / "parts"
        if not parts.is_dir():
            make_surfaces(parts)
        prepare("folder", parts, Path(out), width=width, height=height, overwrite=True)
    else:
        prepare(
            "kolektorsdd",
            Path(source),
            Path(out),
            width=width,
            height=height,
            split=SplitSettings(seed=split_seed),
            overwrite=True,
        )
    manifest = Manifest.load(out)
    return {
        f"{split}_{label}": len(manifest.part(split, label))
        for split in ("train", "test")
        for label in ("negative", "positive")
    }


def grown(prepared: str, out: str, images: int) -> dict[str, Any]:
    """A training set of as many good images as are asked for: the prepared ones come first, then
    copies of them, mirrored and shifted by a few pixels, each in its original's group."""
    manifest = Manifest.load(prepared).part("train", "negative")
    folder = Path(out)
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    samples = []
    for i in range(images):
        original = manifest.samples[i % len(manifest)]
        image = read_image(manifest.image_path(original))
        if i >= len(manifest):
            image = _varied(image, rng)
        name = f"images/{i:05}.png"
        Image.fromarray(image).save(folder / name, compress_level=1)
        samples.append(Sample(name, "", "negative", "train", group=original.group))
    shutil.copy(Path(prepared) / PREPARATION_NAME, folder / PREPARATION_NAME)
    Manifest(folder, tuple(samples)).save()
    return {"images": images, "originals": len(manifest)}


def _varied(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirrored or not along each axis, and shifted with its border reflected."""
    down, across = rng.choice((-1, 1), 2)
    shift = rng.integers(0, 2 * MOST_SHIFT + 1, 2)
    wide = np.pad(
        image[::down, ::across], ((MOST_SHIFT,) * 2, (MOST_SHIFT,) * 2, (0, 0)), mode="reflect"
    )
    height, width = image.shape[:2]
    return np.ascontiguousarray(wide[shift[0] : shift[0] + height, shift[1] : shift[1] + width])

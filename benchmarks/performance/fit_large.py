"""Fitting at the size of the thesis: 2,085 good images of 224x632, ResNet-50, a rate of 1 %.

The images are the good ones of a prepared set, mirrored and shifted until there are enough; the
network has random weights, which takes the same time and memory. What is reported: peak resident
memory of the process, seconds of each stage, and the covering radius among projected features.

    python -m performance.fit_large PREPARED FOLDER [--images 2085] [--memory 3GiB]
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.torch import save_file

from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.features.resnet import build_resnet
from patchcore_dual.images.manifest import Manifest, Sample
from patchcore_dual.images.reading import read_image
from patchcore_dual.images.resizing import resize_image
from patchcore_dual.memory import parse_memory
from patchcore_dual.partial import Partial
from performance.measuring import peak_mib
from performance.ours import Stages

WIDTH, HEIGHT = 224, 632


def enlarge(prepared: Path, folder: Path, count: int) -> Manifest:
    """So many good images in a folder, from those of a prepared set."""
    manifest = Manifest.load(prepared).part("train", "negative")
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    samples = []
    for i in range(count):
        turn, of = divmod(i, len(manifest))
        source = manifest.samples[of]
        name = f"{i}.png"
        if not (folder / name).is_file():
            image = resize_image(read_image(manifest.image_path(source)), WIDTH, HEIGHT)
            image = image[:: -1 if turn & 1 else 1, :: -1 if turn & 2 else 1]
            if turn:
                image = np.roll(image, rng.integers(-30, 30, 2), (0, 1))
            Image.fromarray(image).save(folder / name, compress_level=1)
        samples.append(Sample(name, "", "negative", "train", group=source.group or source.image))
    return Manifest(folder, tuple(samples))


def random_weights(file: Path) -> Path:
    """Weights of a ResNet-50 that was never trained."""
    if not file.is_file():
        import torch

        torch.manual_seed(0)
        state = build_resnet("resnet50", 3).state_dict()
        save_file({name: value.contiguous() for name, value in state.items()}, file)
    return file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=2085)
    parser.add_argument("--memory", default="3GiB")
    parser.add_argument("--scored", type=int, default=10, help="held-out images that are searched")
    options = parser.parse_args()
    manifest = enlarge(options.prepared, options.folder / "images", options.images)
    weights = random_weights(options.folder / "resnet50.safetensors")
    detector = PatchCoreDual(backbone="resnet50", weights=weights, scoring="patchcore")
    stages, messages = Stages(), list[str]()
    unfinished = Partial(options.folder / "unfinished", str(options.images))
    started = time.perf_counter()
    banks = detector.normal_banks(
        manifest, stages, True, unfinished, parse_memory(options.memory), messages.append
    )
    seconds = time.perf_counter() - started
    before_scoring = peak_mib()
    for sample in manifest.samples[: options.scored]:
        features = detector.embed(read_image(manifest.image_path(sample)))
        bank = banks.without_fold[banks.fold_of[sample.image]]
        bank.nearest(features.reshape(-1, features.shape[-1]))
    unfinished.remove()
    report = {
        "told": messages,
        "images": len(manifest),
        "vectors": len(banks.whole),
        "radius": banks.radius,
        "seconds": seconds,
        "stages_s": stages.seconds,
        "peak_mib_before_scoring": before_scoring,
        "peak_mib": peak_mib(),
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()

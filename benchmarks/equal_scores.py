"""Writes every test image's score under each fusion rule, and compares two such files bit by bit.

    python benchmarks/equal_scores.py write PREPARED before.json --weights RESNET18.safetensors
    python benchmarks/equal_scores.py write PREPARED after.json --weights RESNET18.safetensors
    python benchmarks/equal_scores.py compare before.json after.json

A change that only moves or renames code must leave every score, anomaly map and threshold equal to
the last bit. The default model (EfficientNet-Lite0, `calibrated`) and, with `--weights`, ResNet-18
under each rule are fitted on the prepared split as `patchcore-dual fit` would, and every test image
is inspected. `compare` exits with 1 and names the first differences where there are any.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

from patchcore_dual import Manifest, PatchCoreDual

RULES = ("calibrated", "ratio", "contrast", "thesis", "patchcore", "patchcore-weighted")


def configurations(weights: Path | None) -> dict[str, dict]:
    """Keyword arguments of the detector, by the name of the configuration."""
    found: dict[str, dict] = {"default": {}}
    if weights is not None:
        resnet18 = {"backbone": "resnet18", "weights": weights}
        found |= {f"resnet18, {rule}": {**resnet18, "scoring": rule} for rule in RULES}
        found["resnet18, thesis, crop"] = {**resnet18, "scoring": "thesis", "patches": "crop"}
        found["resnet18, calibrated, approximate"] = {**resnet18, "search": "approximate"}
    return found


def scores_of(manifest: Manifest, **arguments: object) -> dict:
    """Threshold, and score and hash of the anomaly map of every test image, as exact text."""
    detector = PatchCoreDual(**arguments).fit(manifest)
    test = manifest.real().part("test").samples
    inspections = detector.inspect_many([manifest.image_path(sample) for sample in test])
    images = {}
    for sample, inspection in zip(test, inspections, strict=True):
        digest = hashlib.sha256(inspection.anomaly_map.tobytes()).hexdigest()
        exact = (inspection.score.hex(), inspection.uncertainty.hex(), digest[:16])
        images[sample.image] = " ".join(exact)
    return {"threshold": float(inspection.threshold).hex(), "images": images}


def differences(before: dict, after: dict) -> list[str]:
    """What differs, one line each."""
    found = [f"{name}: only in one file" for name in before.keys() ^ after.keys()]
    for name in before.keys() & after.keys():
        if before[name]["threshold"] != after[name]["threshold"]:
            found.append(f"{name}: threshold")
        old, new = before[name]["images"], after[name]["images"]
        found += [
            f"{name}: {image}"
            for image in old.keys() | new.keys()
            if old.get(image) != new.get(image)
        ]
    return sorted(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    write = commands.add_parser("write")
    write.add_argument("prepared", type=Path)
    write.add_argument("file", type=Path)
    write.add_argument("--weights", type=Path, help="ResNet-18 weights")
    compare = commands.add_parser("compare")
    compare.add_argument("files", type=Path, nargs=2)
    args = parser.parse_args()
    if args.command == "write":
        manifest = Manifest.load(args.prepared)
        found = {}
        for name, arguments in configurations(args.weights).items():
            print(name, file=sys.stderr, flush=True)
            found[name] = scores_of(manifest, **arguments)
        args.file.write_text(json.dumps(found, indent=1) + "\n")
        return
    before, after = (json.loads(file.read_text()) for file in args.files)
    different = differences(before, after)
    images = sum(len(one["images"]) for one in before.values())
    print(*different[:10], sep="\n")
    print(f"{len(before)} models, {images} scores: {len(different)} differences")
    sys.exit(bool(different))


if __name__ == "__main__":
    main()

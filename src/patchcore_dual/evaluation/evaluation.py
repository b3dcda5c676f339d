"""`evaluate`: a detector run on one split of a prepared data set."""

import csv
import io
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from patchcore_dual.data.duplicates import find_exact_duplicates, fingerprint
from patchcore_dual.data.inputs import InRegion
from patchcore_dual.data.manifest import Manifest, Sample, Split
from patchcore_dual.data.near_duplicates import find_likeness
from patchcore_dual.data.reading import read_image
from patchcore_dual.errors import DataError, ImageError
from patchcore_dual.evaluation.image_result import ImageResult
from patchcore_dual.evaluation.pixel_metrics import PixelMetrics
from patchcore_dual.evaluation.results import Evaluation, summarise
from patchcore_dual.scoring.inspection import Inspection
from patchcore_dual.utils.files import file_sha256, write_atomically
from patchcore_dual.utils.progress import Progress, silent


class Detector(Protocol):
    """What an evaluation needs of a detector; `PatchCoreDual` has it."""

    def inspect_many(self, images: Iterable[Path | InRegion], /) -> Iterable[Inspection]:
        """An inspection of each image, in order and one at a time."""
        ...

    def about(self) -> dict[str, Any]:
        """The fields of `Evaluation` that describe the model."""
        ...

    def training_images(self) -> Mapping[Path, str] | None:
        """Hex digests of the image files it was fitted on, by path; None where not known."""
        ...


def evaluate(
    detector: Detector,
    manifest: Manifest,
    split: Split = "test",
    on_result: Callable[[ImageResult, Inspection], None] | None = None,
    progress: Progress = silent,
    *,
    allow_training_images: bool = False,
) -> Evaluation:
    """Inspect every real image of one split and compute all metrics.

    One image at a time is in memory. Pixel metrics leave out defective images without a mask.
    Images that the model was fitted on are recognised by their content, whatever they are called.
    With a region of interest, only pixels inside it count, and an image whose defect lies wholly
    outside counts as good: there is nothing to find.

    Args:
        detector: fitted.
        manifest: a prepared data set.
        split: "test" or "train".
        on_result: called with each image's result and inspection.
        progress: called with the stage, the steps done and their number.
        allow_training_images: evaluate on test images that the model was fitted on too. Training
            images are always allowed as such; the evaluation counts both.

    Raises:
        DataError: where the split has no images, or the model was fitted on test images.
        ImageError: where a mask does not have its image's size.
    """
    samples = manifest.real().part(split).samples
    if not samples:
        raise DataError(f"{manifest.folder} has no {split} images to evaluate on.")
    fitted_on = images_fitted_on(detector, manifest, samples)
    if fitted_on and split == "test" and not allow_training_images:
        raise DataError(
            f"the model was fitted on {len(fitted_on)} of the {len(samples)} test images of "
            f"{manifest.folder} (the first is {fitted_on[0]}), so figures on them say nothing "
            "about new parts. Evaluate on the folder that the model was fitted on, or fit on this "
            "one. --allow-training-images evaluates all the same, and marks every figure."
        )
    similar = images_like_training(detector, manifest, samples) if split == "test" else []
    pixel_metrics = PixelMetrics()
    results = []
    threshold = math.nan
    outside = 0
    inspections = iter(detector.inspect_many([image_in_region(manifest, s) for s in samples]))
    for sample in samples:
        inspection = next(inspections)
        threshold = inspection.threshold
        mask = known_mask(manifest, sample, inspection.anomaly_map.shape)
        label, kind = sample.label, sample.kind
        if mask is not None and mask.any() and np.isnan(inspection.anomaly_map[mask]).all():
            label, kind, outside = "negative", "", outside + 1
        result = ImageResult(sample.image, label, kind, float(inspection.score), inspection.verdict)
        results.append(result)
        if mask is not None:
            pixel_metrics.update(inspection.anomaly_map, mask)
        if on_result:
            on_result(result, inspection)
        del inspection, mask  # the next image needs the memory
        progress("evaluating", len(results), len(samples))
    return summarise(
        results,
        threshold,
        pixel_metrics.compute(),
        dataset=manifest.folder.resolve().name,
        split=split,
        n_training_images=None if fitted_on is None else len(fitted_on),
        n_like_training=len(set(similar) - set(fitted_on or ())),
        n_defects_outside=outside,
        **detector.about(),
    )


def image_in_region(manifest: Manifest, sample: Sample) -> Path | InRegion:
    """What is inspected of a sample: its image, or the region of it that the folder names."""
    path, region = manifest.image_path(sample), manifest.region_of(sample)
    return path if region is None else InRegion(path, region)


def images_fitted_on(
    detector: Detector, manifest: Manifest, samples: Iterable[Sample]
) -> list[str] | None:
    """Names of those images that a detector was fitted on; None where that cannot be known."""
    known = detector.training_images()
    if known is None:
        return None
    digests = set(known.values())
    return [s.image for s in samples if file_sha256(manifest.image_path(s)) in digests]


def images_like_training(
    detector: Detector, manifest: Manifest, samples: Iterable[Sample]
) -> list[str]:
    """Names of images that are near duplicates of images that a detector was fitted on.

    They may be the same photographs in another size or format. The images are compared where they
    were fitted on, if they are still there. In the folder that the detector was fitted on itself,
    `prepare` keeps near duplicates on one side.
    """
    known = detector.training_images() or {}
    training = [p for p in known if p.is_file() and not _lies_in(p, manifest.folder)]
    if not training:
        return []
    theirs = {str(path): path for path in training}
    ours = {s.image: manifest.image_path(s) for s in samples}
    prints = []
    for name, path in (*theirs.items(), *ours.items()):
        try:
            image = read_image(path)
        except ImageError:
            if name in ours:
                raise
            continue  # damaged since it was fitted on
        prints.append(fingerprint(name, image, "negative", ""))
    copies = [set(one.images) for one in find_exact_duplicates(prints)]
    pairs = [{pair.first, pair.second} for pair in find_likeness(prints).near]
    # Of copies, only the first is compared with others.
    alike = [s.union(*(c for c in copies if c & s)) for s in (*copies, *pairs)]
    return [name for name in ours if any(name in s and s & theirs.keys() for s in alike)]


def _lies_in(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def write_scores(evaluation: Evaluation, path: Path) -> None:
    """Write a CSV file with path, label, kind, score and verdict of each image."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(f.name for f in fields(ImageResult))
    writer.writerows(astuple(result) for result in evaluation.images)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.getvalue().encode())


def known_mask(
    manifest: Manifest, sample: Sample, shape: tuple[int, ...]
) -> NDArray[np.bool_] | None:
    """The defect mask of an image; None for a defective image that has none.

    Args:
        manifest: the data set of the sample.
        sample: the image.
        shape: its height and width.

    Returns:
        bool `[H, W]`, all False for a normal image.

    Raises:
        ImageError: where the mask has another shape.
    """
    path = manifest.mask_path(sample)
    if path is None:
        return None if sample.is_defective else np.zeros(shape, dtype=bool)
    mask = manifest.read_mask(sample)
    if mask.shape != shape:
        raise ImageError(
            f"{path} is {mask.shape[1]}x{mask.shape[0]}, its image {shape[1]}x{shape[0]}. "
            "Prepare the data set again."
        )
    return mask

"""`CalibrationImages`: what teaching needs of the images that a model is calibrated on.

When a bank or the probe changes, every calibration image is scored again, by its patch features.
They are computed once, from the prepared folder, and kept in half precision in the folder `images`
of the model, with a small picture of each image; so a model that is copied to another PC can be
taught there without its training images. All but the pixels of taught images, which are kept there
too, can be made again from the prepared folder.
"""

import hashlib
import io
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np

from patchcore_dual.data.duplicates import digest
from patchcore_dual.data.light import is_variant, with_variants
from patchcore_dual.data.manifest import Manifest, Sample
from patchcore_dual.data.reading import read_image
from patchcore_dual.data.sample import LIGHT
from patchcore_dual.errors import DataError, ModelError
from patchcore_dual.features import EmbedImage
from patchcore_dual.model import CalibrationSet, Model
from patchcore_dual.utils.files import file_sha256, write_atomically
from patchcore_dual.utils.prefetch import prefetch
from patchcore_dual.utils.progress import Progress, silent

FOLDER = "images"  # in a model folder
_JPEG_QUALITY = 85
_LARGEST_HALF = 60_000  # of a feature, up to which half precision holds it


@dataclass(frozen=True)
class ImageRow:
    """A training image of a model.

    Attributes:
        label, kind, group, origin, parents: see `Sample`.
        sha256: hex digest of its file; "" for one that was no file.
        pixels: digest of its pixels at the model's size; "" where it was never read.
        height, width: of these pixels.
    """

    label: str
    kind: str = ""
    group: str = ""
    origin: str = "real"
    parents: tuple[str, ...] = ()
    sha256: str = ""
    pixels: str = ""
    height: int = 0
    width: int = 0

    def sample(self, name: str) -> Sample:
        """The image as a sample of the training set; it has no mask file."""
        return Sample(
            name,
            "",
            "positive" if self.label == "positive" else "negative",
            "train",
            kind=self.kind,
            group=self.group,
            origin=self.origin,
            provenance={"parents": list(self.parents)} if self.parents else {},
        )


class CalibrationImages:
    """The calibration images of one model, all of them at hand.

    Attributes:
        rows: every training image by name, synthetic ones included.
        folder: the prepared folder, where it is at hand.
        tests: names of the test images of the prepared folder, by the digest of their pixels.
    """

    def __init__(
        self,
        model: Model,
        embed: EmbedImage,
        folder: Path | str | None = None,
        *,
        prepared: Path | str | None = None,
        progress: Progress = silent,
    ) -> None:
        """Find the features of every calibration image, or compute and keep them.

        Args:
            model: the fitted model.
            embed: one image uint8 `[H, W, 3]` of the model's size to its patch features, also those
                outside the region of interest, as of `features.inspected.everywhere`.
            folder: the model's. None, or one that cannot be written, keeps nothing.
            prepared: the folder that the images lie in; None for that of the fit.
            progress: gets the stage and how far it is.

        Raises:
            ModelError: where the model keeps no calibration set, or images are not at hand.
        """
        calibration = model.calibration
        if calibration is None:
            raise ModelError("the model keeps no calibration set, and cannot be taught. Fit again.")
        self._embed, self._size = embed, model.size
        kept_in = Path(folder) / FOLDER if folder is not None else None
        if kept_in is not None and (kept_in.is_dir() or os.access(kept_in.parent, os.W_OK)):
            self._folder = kept_in
            self._folder.mkdir(exist_ok=True)
        else:
            self._temporary = TemporaryDirectory(prefix="patchcore-dual-")
            self._folder = Path(self._temporary.name)
        self._key = _key_of(model)
        # The rows are of one prepared set: another may give the same images other groups.
        prepared_set = str(model.trained_on.get("manifest_sha256", ""))[:8]
        self._index = self._folder / f"{self._key}-{prepared_set}.json"
        self.folder = Path(prepared or calibration.prepared)
        self.rows, self.tests = read_rows(self._index)
        for name, said in model.trained_on.get("taught", {}).items():
            facts = {key: said[key] for key in ("label", "kind", "group")}
            row = ImageRow(said["label"], sha256=calibration.sha256.get(name, ""))
            self.rows[name] = replace(self.rows.get(name, row), **facts)
        synthetic = _bank_sources(model, calibration) - calibration.sha256.keys()
        lit = [name for name in calibration.normals if name not in calibration.sha256]
        names = [*calibration.sha256, *sorted(synthetic), *lit]
        scored = [*calibration.normals, *calibration.defectives]
        missing = [n for n in names if not self._is_known(n, calibration.sha256.get(n, ""))]
        absent = [n for n in scored if n in missing or not self._array(n).is_file()]
        if missing or absent:
            self._gather(missing, absent, calibration, progress)

    @property
    def kept_in(self) -> Path:
        """Where features and pictures are kept."""
        return self._folder

    def features(self, name: str) -> np.ndarray:
        """Patch features float32 `[h, w, d]` of a calibration image, also where not inspected."""
        try:
            kept: np.ndarray = np.load(self._array(name))
        except (OSError, ValueError, EOFError):  # removed or damaged meanwhile
            picture = self._array(name).with_suffix(".png")
            if not picture.is_file():
                raise ModelError(
                    f"{self._array(name)} is missing or damaged. Delete it and teach again."
                ) from None
            kept = self._keep(name, read_image(picture))
        return kept.astype(np.float32)

    def image(self, name: str) -> np.ndarray | None:
        """A calibration image, uint8 `[H, W, 3]`, of the model's size; None where it is not kept.

        Where the prepared folder is not at hand, it is a JPEG, unless it was taught.
        """
        taught, picture = (self._array(name).with_suffix(suffix) for suffix in (".png", ".jpg"))
        sample = self._prepared.get(name)
        if taught.is_file():
            return read_image(taught)
        if sample is not None and self._is_unchanged(sample, self.rows[name].sha256):
            return self._manifest.read_image(sample)
        return read_image(picture) if picture.is_file() else None

    def add(self, name: str, row: ImageRow, image: np.ndarray) -> None:
        """Keep an image that is taught: its features and, to compute them anew, its pixels.

        Args:
            image: uint8 `[H, W, 3]`, of the model's size.
        """
        self.rows[name] = row
        encoded = cv2.imencode(".png", image[..., ::-1])[1]
        write_atomically(self._array(name).with_suffix(".png"), encoded.tobytes())
        self._keep(name, image)
        self._save_index()

    def samples(self, names: Iterable[str]) -> tuple[Sample, ...]:
        """Training images as samples, in the order of their names here."""
        return tuple(self.rows[name].sample(name) for name in names)

    def with_pixels(self, pixels: str, names: Collection[str]) -> str | None:
        """The name of one of these training images that has these pixels; None where none has."""
        return next(
            (n for n, row in self.rows.items() if row.pixels == pixels and n in names), None
        )

    def _is_known(self, name: str, sha256: str) -> bool:
        return name in self.rows and self.rows[name].sha256 == sha256

    def _array(self, name: str) -> Path:
        row = self.rows.get(name)
        content = row.sha256 or row.pixels if row is not None else ""
        if row is not None and row.origin == LIGHT:  # known by its file and its change of light
            files = [self.rows[parent].sha256 for parent in row.parents if parent in self.rows]
            content = hashlib.sha256("".join([*files, name]).encode()).hexdigest()
        return self._folder / f"{self._key}-{content[:32]}.npy"

    def _gather(
        self,
        missing: list[str],
        absent: list[str],
        calibration: CalibrationSet,
        progress: Progress,
    ) -> None:
        """Read what is not kept from the prepared folder."""
        folder, manifest = self.folder, self._manifest
        samples = {**self._prepared, **with_variants(self._prepared, [*missing, *absent])}
        # A taught image has a copy here, or lies where it was when it was taught.
        for name in absent:
            if name not in missing and name not in samples:
                samples[name] = self.rows[name].sample(name)
        taught = {n for n in absent if n not in missing and self._picture_of_taught(n)}
        lost = []
        for name in dict.fromkeys([*missing, *absent]):
            if name in taught:
                continue
            sample = samples.get(name)
            parent = next(iter(sample.parents)) if sample and is_variant(sample) else name
            if sample is None or not self._is_unchanged(sample, calibration.sha256.get(parent, "")):
                lost.append(name)
        if lost:
            count = len(calibration.normals) + len(calibration.defectives)
            raise ModelError(
                f"{len(lost)} of the {count} images that the model is calibrated on are not at "
                f"hand in {folder}, or have changed, as {lost[0]}. Teaching scores them again. "
                "Name the folder that the model was fitted on with --prepared; or run "
                "`patchcore-dual teach MODEL --get-ready` where it is, and copy the model then."
            )
        for name in missing:
            sample = samples[name]
            self.rows[name] = ImageRow(
                sample.label,
                sample.kind,
                sample.group,
                sample.origin,
                tuple(sorted(sample.parents)),
                calibration.sha256.get(name, ""),
            )

        def read(name: str) -> np.ndarray:
            if name in taught:
                return read_image(self._array(name).with_suffix(".png"))
            return manifest.read_image(samples[name])

        images = prefetch(read, absent, 2)
        for done, (name, image) in enumerate(zip(absent, images, strict=True), start=1):
            self._keep(name, image)
            if name not in taught:
                quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
                encoded = cv2.imencode(".jpg", image[..., ::-1], quality)[1]
                write_atomically(self._array(name).with_suffix(".jpg"), encoded.tobytes())
            height, width = image.shape[:2]
            row = replace(self.rows[name], pixels=digest(image), height=height, width=width)
            self.rows[name] = row
            progress("features of calibration images", done, len(absent))
        if missing:
            self.tests = dict(_digests(manifest.part("test"), progress))
        self._save_index()
        # Of a model that was here before, the pixels of taught images are kept: there is no other
        # copy of them, and `undo` may go back to it.
        for path in self._folder.glob("????????-*"):
            if not path.name.startswith(self._key) and path.suffix != ".png":
                path.unlink()

    @cached_property
    def _manifest(self) -> Manifest:
        """What the prepared folder holds; nothing where it is not at hand."""
        try:
            manifest = Manifest.load(self.folder)
        except DataError:
            manifest = Manifest(self.folder, ())
        return manifest.at_size(*self._size) if self._size is not None else manifest

    @cached_property
    def _prepared(self) -> dict[str, Sample]:
        """The training images of the prepared folder, by name."""
        return {sample.image: sample for sample in self._manifest.part("train")}

    def _is_unchanged(self, sample: Sample, sha256: str) -> bool:
        """Whether an image's file is there, and the one that the model was fitted on."""
        path = self._manifest.image_path(sample)
        return path.is_file() and (not sha256 or file_sha256(path) == sha256)

    def _picture_of_taught(self, name: str) -> bool:
        return self._array(name).with_suffix(".png").is_file()

    def _keep(self, name: str, image: np.ndarray) -> np.ndarray:
        features = self._embed(image)
        write_atomically(self._array(name), _in_half(features))
        return features

    def _save_index(self) -> None:
        rows = {name: asdict(row) for name, row in self.rows.items()}
        text = json.dumps({"images": rows, "test": self.tests}, ensure_ascii=False)
        write_atomically(self._index, text.encode())


def _key_of(model: Model) -> str:
    """8 hex digits, the same for models that see images alike."""
    settings = model.settings
    facts = {
        **asdict(model.spec),
        "size": model.size,
        "projection": settings.seed if settings.bank_vectors == "projected" else None,
        "graph": hashlib.sha256(model.graph.weights).hexdigest() if model.graph else None,
    }
    if settings.tile is not None:
        facts |= {"tile": settings.tile, "overlap": settings.overlap}
    if model.aligner is not None:  # taught images are kept as they were aligned
        reference = hashlib.sha256(model.aligner.reference.tobytes()).hexdigest()
        facts["aligned to"] = {**model.aligner.settings(), "reference": reference}
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:8]


def read_rows(path: Path) -> tuple[dict[str, ImageRow], dict[str, str]]:
    """The rows of an index by name, and names of test images by digest of their pixels.

    Both are empty where the file is missing or damaged, so that it is made again.
    """
    try:
        kept: Mapping[str, Any] = json.loads(path.read_bytes())
        rows = {
            name: ImageRow(**{**row, "parents": tuple(row["parents"])})
            for name, row in kept["images"].items()
        }
        return rows, dict(kept["test"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}, {}


def _bank_sources(model: Model, calibration: CalibrationSet) -> set[str]:
    banks = (model.defect_bank, calibration.defect_sample)
    return {name for bank in banks if bank is not None for name in bank.sources}


def _digests(tests: Manifest, progress: Progress) -> Iterator[tuple[str, str]]:
    read: Callable[[Sample], np.ndarray] = tests.read_image
    for done, (sample, image) in enumerate(zip(tests, prefetch(read, tests, 2), strict=True), 1):
        yield digest(image), sample.image
        progress("test images, which are not to be taught", done, len(tests))


def _in_half(features: np.ndarray) -> bytes:
    """The bytes of an array file; in half precision where that can hold the numbers."""
    fits = float(np.nanmax(np.abs(features), initial=0)) < _LARGEST_HALF
    file = io.BytesIO()
    np.save(file, features.astype(np.float16 if fits else np.float32))
    return file.getvalue()

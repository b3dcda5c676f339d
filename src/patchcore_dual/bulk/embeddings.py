"""Embeddings of images, kept so that another bank, rule or threshold judges them without a network.

A folder holds `_embeddings.json`, which says what made them, the list of the images, and for each
image a file of its patch features in half precision, which is memory-mapped when it is read.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from patchcore_dual.data.csv_files import read_names
from patchcore_dual.data.inputs import InRegion
from patchcore_dual.data.listing import printable
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.errors import DataError, ImageError, ModelError
from patchcore_dual.features import Embedder
from patchcore_dual.features.embedder import Wrapper
from patchcore_dual.model import Model
from patchcore_dual.scoring.appearance import Appearance
from patchcore_dual.scoring.inspection import Inspection
from patchcore_dual.utils.files import write_atomically

_ABOUT, _LIST = "_embeddings.json", "_images.csv"


class Embedded(NamedTuple):
    """What is kept of an image.

    Attributes:
        features: float16 `[h, w, d]`, of the whole image.
        size: width and height of the image as it was given.
        resized: as the network saw it.
        how_read: what is to be known of how it was read, in words.
        appearance: see `Appearance.to_json`; None where the model kept no reference.
    """

    features: np.ndarray
    size: tuple[int, int]
    resized: tuple[int, int]
    how_read: str
    appearance: dict[str, Any] | None


class Recording(Wrapper):
    """An embedder that remembers the features of the last image."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder, self.spec = embedder, embedder.spec
        self.features = np.empty((0, 0, 0), np.float32)
        self.size = (0, 0)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        features = self.embedder(images)
        self.features, self.size = features[-1], (images.shape[2], images.shape[1])
        return features


class Replaying:
    """An embedder that gives kept features, whatever the pixels are."""

    def __init__(self, embedder: Embedder) -> None:
        self.spec = embedder.spec
        self.features = np.empty((0, 0, 0), np.float16)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return self.features[None].astype(np.float32)


def what_made(model: Model, region: str | None) -> dict[str, Any]:
    """What decides the embeddings of images, as plain values.

    Args:
        region: digest of the region of interest that the run is restricted to.

    Raises:
        ModelError: for a model whose embeddings cannot be kept.
    """
    if model.aligner is not None or model.settings.tile is not None:
        raise ModelError(
            "embeddings are not kept for a model that aligns images or sees them in tiles: it "
            "needs the images themselves. Leave --embeddings and --from-embeddings out."
        )
    own = None if model.roi is None else hashlib.sha256(model.roi.tobytes()).hexdigest()
    values = {
        "network": [str(model.spec)],
        "size": list(model.size) if model.size else None,
        "region of interest": [own, region],
        "bit depth": model.bit_depth,
    }
    return values


def open_for_writing(folder: Path, made_by: dict[str, Any], images: Path) -> None:
    """Make a folder of embeddings, or go on with one, of the images in a list.

    Raises:
        DataError: it holds something else, or embeddings of another network or other images.
    """
    folder.mkdir(parents=True, exist_ok=True)
    listed = images.read_bytes()
    if not (folder / _ABOUT).is_file():
        if any(one.name != _LIST for one in folder.iterdir()):
            raise DataError(f"{printable(folder)} is not empty. Give another --embeddings.")
        write_atomically(folder / _LIST, b"image,model\n" + listed)
        write_atomically(folder / _ABOUT, json.dumps(made_by, indent=1).encode())
        return
    check(folder, made_by)
    if (folder / _LIST).read_bytes() != b"image,model\n" + listed:
        raise DataError(f"{printable(folder)} is of other images. Give another --embeddings.")


def check(folder: Path, made_by: dict[str, Any]) -> None:
    """Raise DataError unless a folder holds embeddings that were made by this."""
    try:
        was = json.loads((folder / _ABOUT).read_bytes())
    except (OSError, ValueError):
        raise DataError(
            f"{printable(folder)} holds no embeddings: `inspect --embeddings` writes them."
        ) from None
    if other := [name for name in made_by if was.get(name) != made_by[name]]:
        raise DataError(
            f"the embeddings in {printable(folder)} are of another {other[0]} "
            f"({was.get(other[0])}, and the model's is {made_by[other[0]]}). Inspect the images."
        )


def embedded_images(folder: Path) -> Iterator[str]:
    """The images of a folder of embeddings, in order."""
    return iter(read_names(folder / _LIST))


def keep(folder: Path, image: str, recorded: Recording, inspection: Inspection, how: str) -> None:
    """Write the embedding of an image that was just inspected."""
    height, width = inspection.image.shape[:2]
    appearance = inspection.appearance
    about = {
        "image": image.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"),
        "size": [width, height],
        "resized": recorded.size,
        "how_read": how,
        "appearance": appearance.to_json() if appearance else None,
    }
    path = _path(folder, image)
    path.parent.mkdir(exist_ok=True)
    features = {"features": recorded.features.astype(np.float16)}
    write_atomically(path, save(features, {"about": json.dumps(about)}))


def kept(folder: Path, image: str) -> Embedded:
    """The embedding of an image.

    Raises:
        ImageError: there is none, or it is damaged.
    """
    path = _path(folder, image)
    try:
        with safe_open(path, "numpy") as file:
            about = json.loads(file.metadata()["about"])
            features = file.get_tensor("features")
    except FileNotFoundError:
        raise ImageError(
            f"{image} has no embedding in {printable(folder)}: it could not be inspected then."
        ) from None
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise ImageError(f"the embedding {printable(path)} is damaged ({error}).") from None
    size, resized = about["size"], about["resized"]
    return Embedded(
        features, (size[0], size[1]), tuple(resized), about["how_read"], about["appearance"]
    )


def judged(
    detector: PatchCoreDual,
    replaying: Replaying,
    image: str,
    of: Embedded,
    region: np.ndarray | None,
) -> Inspection:
    """What the detector says of an image that was embedded, with pixels all black.

    Args:
        detector: with `replaying` as its embedder.
        region: see `InRegion`.
    """
    replaying.features = of.features
    pixels = np.broadcast_to(np.uint8(0), (of.size[1], of.size[0], 3))
    inspection = detector.inspect(InRegion(pixels, region), image)
    appearance = inspection.appearance
    if appearance is not None:
        if of.appearance is None:
            appearance = None
        else:  # what concerns the pixels was seen then
            was = Appearance.from_json(of.appearance)
            values = np.concatenate([appearance.values[:2], was.values[2:]])
            appearance = Appearance(values, was.brightness, appearance.distance)
    return replace(inspection, appearance=appearance)


def _path(folder: Path, image: str) -> Path:
    digest = hashlib.sha256(image.encode("utf-8", "surrogateescape")).hexdigest()
    return folder / digest[:2] / f"{digest[2:34]}.safetensors"

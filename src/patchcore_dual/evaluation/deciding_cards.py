"""The training images that decide the threshold, as the report shows them."""

from pathlib import Path
from typing import NamedTuple

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.errors import PatchCoreDualError
from patchcore_dual.model import Model
from patchcore_dual.training.deciding_images import deciding_images_of
from patchcore_dual.utils.files import file_sha256
from patchcore_dual.utils.pictures import jpeg_base64

CARDS_LIMIT = 24
_PICTURE_SIZE = (320, 320)  # largest width and height


class DecidingCard(NamedTuple):
    """A training image that decides the threshold or contradicts its label.

    Attributes:
        name: the user's file where it is known, otherwise the name in the manifest.
        reason: why it is there.
        score: its held-out score; of an image that was set aside, its score under the model.
        without: the threshold if it were left out; None as in `DecidingImage`.
        picture: base64 of a JPEG; empty where the image is no longer where it was, or has changed.
    """

    name: str
    reason: str
    score: float
    without: float | None
    picture: str


def deciding_cards(model: Model, manifest: Manifest) -> list[DecidingCard]:
    """The training images to look at first, likely mistakes before others; at most 24.

    Args:
        model: fitted.
        manifest: the data set of the report. Where the model was fitted on another one, pictures
            and names are read from that, if it is still there.
    """
    kept = model.calibration
    if kept is None:
        return []
    trained_on = _manifest_of(Path(kept.prepared), manifest)
    samples = {s.image: s for s in trained_on} if trained_on else {}
    sha256 = {**kept.sha256, **model.trained_on.get("set_aside_sha256", {})}
    cards = []
    for image, (one, reason) in list(deciding_images_of(model).reasons().items())[:CARDS_LIMIT]:
        name, picture = image, ""
        if trained_on and (sample := samples.get(image)):
            name = sample.source or image
            path = trained_on.image_path(sample)
            if path.is_file() and file_sha256(path) == sha256.get(image):
                picture = jpeg_base64(trained_on.read_image(sample), _PICTURE_SIZE)
        cards.append(DecidingCard(name, reason, one.score, one.without, picture))
    return cards


def _manifest_of(folder: Path, manifest: Manifest) -> Manifest | None:
    """The data set in a folder; None where there is none any more."""
    if folder.resolve() == manifest.folder.resolve():
        return manifest
    try:
        return Manifest.load(folder)
    except (PatchCoreDualError, OSError):
        return None

"""The first look at a data set: every image read once, its label settled, its content measured."""

from dataclasses import dataclass

from patchcore_dual.data.duplicates import Fingerprint, digest, thumbnail
from patchcore_dual.data.layouts.layout import RawSample
from patchcore_dual.data.manifest import Label
from patchcore_dual.data.reading import read_image, read_mask
from patchcore_dual.errors import DataError, ImageError


@dataclass(frozen=True)
class Scan:
    """A raw sample with what its files hold. Sizes and areas are in original pixels.

    `defect_area` is 0 for a good image, and for a defective one whose mask is unknown.
    """

    sample: RawSample
    label: Label
    width: int
    height: int
    defect_area: int
    fingerprint: Fingerprint

    @property
    def name(self) -> str:
        """The image's path relative to the source."""
        return self.fingerprint.name

    @property
    def defect_share(self) -> float:
        return self.defect_area / (self.width * self.height)

    @property
    def mask_is_known(self) -> bool:
        return self.label == "negative" or self.defect_area > 0


class UnreadableError(ImageError):
    """An image or mask file that cannot be read at all."""


def scan(sample: RawSample, source_name: str) -> Scan:
    """Read a sample's image and mask.

    `source_name` names the sample in reports. Where the layout does not name the label, the
    original mask decides. Raises UnreadableError for a file that cannot be read, ImageError for
    a mask of another size, DataError for a good image whose mask marks a defect.
    """
    try:
        image = read_image(sample.image)
        mask = read_mask(sample.mask) if sample.mask else None
    except ImageError as error:
        raise UnreadableError(str(error)) from None
    height, width = image.shape[:2]
    if mask is not None and mask.shape != (height, width):
        raise ImageError(
            f"{sample.mask} is {mask.shape[1]}x{mask.shape[0]} pixels but its image "
            f"{sample.image} is {width}x{height}. A mask has to have its image's size."
        )
    area = int(mask.sum()) if mask is not None else 0
    if sample.label == "negative" and area:
        raise DataError(
            f"{sample.image} lies among the good images, but its mask {sample.mask} marks "
            f"{area} pixels as defect. Move the image or empty the mask."
        )
    label: Label = sample.label or ("positive" if area else "negative")
    mask_digest = digest(mask) if mask is not None and area else ""
    fingerprint = Fingerprint(source_name, digest(image), thumbnail(image), label, mask_digest)
    return Scan(sample, label, width, height, area, fingerprint)

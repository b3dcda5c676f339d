"""Scanning a data set: every image is read once, its label decided, its content measured."""

from collections.abc import Sequence
from dataclasses import dataclass

from patchcore_dual.data.duplicates import Fingerprint, digest, fingerprint
from patchcore_dual.data.layouts.layout import RawSample, some
from patchcore_dual.data.listing import printable
from patchcore_dual.data.mask_orientation import MaskTurn, match_mask
from patchcore_dual.data.masks import read_source_mask
from patchcore_dual.data.prepare.sizes import Original, defect_width
from patchcore_dual.data.reading import HowRead, read
from patchcore_dual.data.sample import Label
from patchcore_dual.errors import DataError, ImageError


@dataclass(frozen=True)
class Scan:
    """A raw sample and the measurements of its files.

    Attributes:
        sample: the image as its layout describes it.
        label: its class, which the layout or the mask decides.
        width, height: size of the original image in pixels.
        defect_area: number of defective pixels in the original mask; 0 for a normal image, and
            for a defective one whose mask is unknown.
        defect_width: see `sizes.defect_width`, in pixels of the original mask.
        fingerprint: summary of the image to find duplicates by.
        how_read: what was decided to read it.
        mask_turn: how its mask goes with the turn that EXIF gave the image.
        mask_is_dark_on_bright: whether the mask file is dark on a bright background.
    """

    sample: RawSample
    label: Label
    width: int
    height: int
    defect_area: int
    defect_width: float
    fingerprint: Fingerprint
    how_read: HowRead
    mask_turn: MaskTurn
    mask_is_dark_on_bright: bool = False

    @property
    def name(self) -> str:
        """The image's path relative to the source."""
        return self.fingerprint.name

    @property
    def original(self) -> Original:
        """Name and size of the image as it was."""
        return Original(self.name, self.width, self.height, self.defect_width)

    @property
    def defect_share(self) -> float:
        """Fraction of the image that is defective."""
        return self.defect_area / (self.width * self.height)

    @property
    def mask_is_known(self) -> bool:
        """Whether the positions of all defects are known: an empty mask on a normal image is."""
        return self.label == "negative" or self.defect_area > 0


class UnreadableError(ImageError):
    """An image or mask file that cannot be read at all."""


def scan(sample: RawSample, source_name: str, bit_depth: int | None = None) -> Scan:
    """Read a sample's image and mask. Where the layout gives no label, the mask decides.

    Args:
        sample: the image as its layout describes it.
        source_name: name of the image in reports.
        bit_depth: of the data set's 16-bit files; see `read_image`.

    Raises:
        UnreadableError: a file cannot be read.
        ImageError: the mask has another size than the image.
        DataError: the mask of a normal image marks a defect.
    """
    try:
        image, how_read = read(sample.image, bit_depth)
        reading = read_source_mask(sample.masks, sample.mask_rule) if sample.masks else None
    except ImageError as error:
        raise UnreadableError(str(error)) from None
    mask = reading.mask if reading else None
    height, width = image.shape[:2]
    mask_turn: MaskTurn = "none"
    if mask is not None:
        mask, mask_turn = match_mask(mask, image, how_read.orientation)
    if mask is not None and mask.shape != (height, width):
        raise ImageError(
            f"{sample.mask} is {mask.shape[1]}x{mask.shape[0]} pixels but its image "
            f"{sample.image} is {width}x{height}. A mask has to have its image's size."
        )
    area = int(mask.sum()) if mask is not None else 0
    if sample.label == "negative" and area:
        raise DataError(
            f"{sample.image} lies among the normal images, but its mask {sample.mask} marks "
            f"{area} pixels as defect. Move the image or empty the mask."
        )
    label: Label = sample.label or ("positive" if area else "negative")
    mask_digest = digest(mask) if mask is not None and area else ""
    is_dark_on_bright = reading is not None and reading.is_dark_on_bright
    return Scan(
        sample,
        label,
        width,
        height,
        area,
        defect_width(mask) if mask is not None else 0.0,
        fingerprint(source_name, image, label, mask_digest),
        how_read,
        mask_turn,
        is_dark_on_bright,
    )


def large_masks(scans: Sequence[Scan]) -> tuple[list[str], list[DataError]]:
    """What there is to say of a published data set's masks that mark more than half of an image.

    Returns:
        A sentence that names them, unless they were accepted (`MaskRule.large`); and an error where
        most masks are so large, which then are inverted.
    """
    marking = [s for s in scans if s.defect_area and s.sample.mask_rule.is_published]
    large = [s for s in marking if s.defect_share > 0.5 and not s.sample.mask_rule.large]
    if not large:
        return [], []
    named = some(printable(s.sample.mask) for s in large if s.sample.mask)
    if 2 * len(large) > len(marking):
        return [], [
            DataError(
                f"{len(large)} of {len(marking)} masks mark more than half of their image as a "
                f"defect: {named}. If they are inverted, invert them; if the defects are that "
                "large, say so with --large-masks."
            )
        ]
    return [
        f"WARNING: {len(large)} of {len(marking)} masks mark more than half of their image as a "
        f"defect: {named}. If one is inverted, invert it and prepare again; --large-masks accepts "
        "them."
    ], []


def bright_mask_notes(scans: Sequence[Scan]) -> list[str]:
    """A sentence that names the masks that are dark on a bright background, if there are any."""
    bright = [printable(s.sample.mask) for s in scans if s.mask_is_dark_on_bright and s.sample.mask]
    n_masks = sum(s.sample.mask is not None for s in scans)
    if not bright:
        return []
    return [
        f"{len(bright)} of {n_masks} masks have a bright border, so that what is darker counts as "
        f"the defect: {some(bright)}."
    ]

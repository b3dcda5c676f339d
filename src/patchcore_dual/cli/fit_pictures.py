"""The pictures that `fit` leaves in the model folder for a person to look at."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from patchcore_dual.data.manifest import Manifest
    from patchcore_dual.training import Fit
    from patchcore_dual.training.deciding_images import DecidingImages


def write_pictures(
    fitted: "Fit", decide: "DecidingImages", manifest: "Manifest", folder: Path
) -> tuple[Path | None, Path | None]:
    """Draw where defects without a mask were guessed, and the images that decide the threshold.

    Args:
        fitted: what `fit` gave.
        decide: the images that decide its threshold.
        manifest: the data set it was fitted on.
        folder: of the model.

    Returns:
        The files of both pictures; None for one that has nothing to show.
    """
    from patchcore_dual.model.schema import DECIDING_FILE, SHEET_FILE
    from patchcore_dual.training.deciding_images_sheet import draw_deciding_images
    from patchcore_dual.training.pseudo_mask_sheet import draw_pseudo_masks
    from patchcore_dual.utils.files import write_atomically
    from patchcore_dual.utils.pictures import jpeg_bytes

    size = fitted.model.size
    images = manifest.at_size(*size) if size else manifest
    guessed = deciding = None
    if fitted.pseudo_masks:
        guessed = folder / SHEET_FILE
        write_atomically(guessed, jpeg_bytes(draw_pseudo_masks(images, fitted.pseudo_masks)))
    if decide.reasons():
        deciding = folder / DECIDING_FILE
        write_atomically(deciding, jpeg_bytes(draw_deciding_images(images, decide)))
    return guessed, deciding

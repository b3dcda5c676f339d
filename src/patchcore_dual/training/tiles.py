"""Whether tiles fit the images of a training set."""

import logging

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.prepare.sizes import MAX_PIXELS
from patchcore_dual.errors import SettingsError
from patchcore_dual.features import Embedder, TiledEmbedder, unwrapped
from patchcore_dual.settings import Settings

_log = logging.getLogger(__name__)


def check_tiles(embedder: Embedder, settings: Settings, training_set: Manifest) -> None:
    """Check the tiles against the images, and log how they are used where that differs.

    Of images that kept their own sizes the first is looked at: one that is smaller than a tile is
    embedded in one piece.

    Raises:
        SettingsError: where images are too large for one pass, a tile is larger than they are, or
            tiles overlap by a whole tile once both are multiples of what the network needs.
    """
    size = training_set.size()
    if settings.tile is None:
        if size is not None and size[0] * size[1] > MAX_PIXELS:
            raise SettingsError(
                f"the images are {size[0]}x{size[1]}, {size[0] * size[1] / 1e6:.0f} megapixels, "
                f"and a network takes {MAX_PIXELS / 1e6:.0f} in one pass. Fit with --tile "
                "1024x1024, or with a smaller --size."
            )
        return
    if size is None:
        image = training_set.read_image(training_set.samples[0])
        size = image.shape[1], image.shape[0]
    if settings.tile[0] > size[0] or settings.tile[1] > size[1]:
        tile, images = (f"{width}x{height}" for width, height in (settings.tile, size))
        raise SettingsError(
            f"a tile of {tile} is larger than the images, which are {images}. Fit without --tile, "
            f"or give at most {images}."
        )
    tiled = TiledEmbedder(unwrapped(embedder), settings.tile, settings.overlap)
    given = settings.tile, tiled.overlap if settings.overlap is None else settings.overlap
    if (tiled.tile, tiled.overlap) != given:
        _log.info(
            "Tiles of %dx%d pixels that overlap by %d: this network needs multiples of %d.",
            *tiled.tile,
            tiled.overlap,
            tiled.step,
        )

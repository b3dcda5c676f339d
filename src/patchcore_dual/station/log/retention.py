"""`named_images`: the images that retention may not remove."""

from collections.abc import Iterable
from pathlib import Path

from patchcore_dual.model.ledger import Ledger
from patchcore_dual.station.log.log import Log


def named_images(log: Log, models: Iterable[Path]) -> set[str]:
    """Hex sha256 of all images that a ledger or an open review names.

    Args:
        log: the log.
        models: the model folders, each with or without a ledger.

    Raises:
        ModelError: for a damaged ledger.
        UnavailableError: while the database is away.
    """
    taught = {
        image.sha256
        for folder in models
        for version in Ledger.read(folder).versions
        for image in version.images
    }
    return taught | log.images_in_review()

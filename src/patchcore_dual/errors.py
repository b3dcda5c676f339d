"""The errors a user can meet. Each message says what is wrong, where, and what to do.

The command line prints the message alone and exits with code 2.
"""

from collections.abc import Sequence


class PatchCoreDualError(Exception):
    """Base of every error that is the input's fault, not the program's."""


class DataError(PatchCoreDualError):
    """A data set, manifest, image or mask that cannot be used as it is."""


class ImageError(DataError):
    """One image or mask file that cannot be read or does not fit its partner."""


MAX_LISTED = 50  # errors in one message


def together(errors: Sequence[DataError]) -> DataError:
    """Several errors as one that lists them, so that they can be mended together.

    Args:
        errors: one or more.

    Returns:
        The error itself if it is the only one; an `ImageError` if all are.

    >>> print(together([DataError("a.png is damaged."), DataError("b.png is empty.")]))
    2 problems:
      a.png is damaged.
      b.png is empty.
    """
    if len(errors) == 1:
        return errors[0]
    lines = [f"{len(errors)} problems:", *(f"  {error}" for error in errors[:MAX_LISTED])]
    if len(errors) > MAX_LISTED:
        # The last error says how to go on.
        lines[-1:] = [f"  … {len(errors) - MAX_LISTED} more", f"  {errors[-1]}"]
    kind = ImageError if all(isinstance(error, ImageError) for error in errors) else DataError
    return kind("\n".join(lines))


class WeightsError(PatchCoreDualError):
    """Backbone weights that are missing, incomplete or not the ones a model was made with."""


class ModelError(PatchCoreDualError):
    """A model folder that is missing, damaged or from another version."""


class SettingsError(PatchCoreDualError):
    """A setting whose value is not allowed."""


class MissingDependencyError(PatchCoreDualError):
    """An optional dependency that is not installed; the message says how to install it."""


class WorkerError(PatchCoreDualError):
    """Workers that cannot be started, or a cluster that cannot be used."""


class StationError(PatchCoreDualError):
    """What the inspection station is asked for and cannot do."""


class UnavailableError(StationError):
    """What the station needs and lacks for now: its database, or room on the disk.

    The same request may succeed later.
    """

"""The errors a user can meet. Each message says what is wrong, where, and what to do.

The command line prints the message alone and exits with code 2.
"""


class PatchCoreDualError(Exception):
    """Base of every error that is the input's fault, not the program's."""


class DataError(PatchCoreDualError):
    """A data set, manifest, image or mask that cannot be used as it is."""


class ImageError(DataError):
    """One image or mask file that cannot be read or does not fit its partner."""


class WeightsError(PatchCoreDualError):
    """Backbone weights that are missing, incomplete or not the ones a model was made with."""


class ModelError(PatchCoreDualError):
    """A model folder that is missing, damaged or from another version."""


class SettingsError(PatchCoreDualError):
    """A setting whose value is not allowed."""


class MissingDependencyError(PatchCoreDualError):
    """An optional dependency that is not installed; the message says how to install it."""

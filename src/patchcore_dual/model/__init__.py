"""A fitted model: its parts, its calibration set, its folder on disk with all versions."""

from patchcore_dual.model.calibration import CalibrationSet
from patchcore_dual.model.edits import commit, editing
from patchcore_dual.model.folder import (
    check_writable,
    load_model,
    load_with_fingerprint,
    read_fingerprint,
    save_model,
)
from patchcore_dual.model.ledger import Edit, TaughtImage, Version
from patchcore_dual.model.model import Model, bank_channels, describe_training_set
from patchcore_dual.model.serialised import fingerprint

__all__ = [
    "CalibrationSet",
    "Edit",
    "Model",
    "TaughtImage",
    "Version",
    "bank_channels",
    "check_writable",
    "commit",
    "describe_training_set",
    "editing",
    "fingerprint",
    "load_model",
    "load_with_fingerprint",
    "read_fingerprint",
    "save_model",
]

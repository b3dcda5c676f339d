"""A fitted model: its parts, its calibration set, its folder on disk."""

from patchcore_dual.model.calibration import CalibrationSet
from patchcore_dual.model.folder import (
    check_writable,
    fingerprint,
    load_model,
    read_fingerprint,
    save_model,
    update_model,
)
from patchcore_dual.model.model import Model, bank_channels, describe_training_set

__all__ = [
    "CalibrationSet",
    "Model",
    "bank_channels",
    "check_writable",
    "describe_training_set",
    "fingerprint",
    "load_model",
    "read_fingerprint",
    "save_model",
    "update_model",
]

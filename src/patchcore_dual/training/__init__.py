"""Fitting: from a prepared data set to a model (thesis 4.3.3, 4.3.4)."""

from patchcore_dual.training.fitting import Fit, fit
from patchcore_dual.training.normal_banks import NormalBanks, normal_banks_of

__all__ = ["Fit", "NormalBanks", "fit", "normal_banks_of"]

"""`FirstSteps`: the steps of a fit that its synthetic images do not change, and what follows."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.subsets import exclude_images
from patchcore_dual.features import Embedder
from patchcore_dual.model import Model
from patchcore_dual.scoring import RULES
from patchcore_dual.training.context import FitContext
from patchcore_dual.training.mislabelled import likely_mislabelled
from patchcore_dual.training.normal_banks import NormalBanks, build_normal_banks
from patchcore_dual.training.pseudo_masks import propose_pseudo_masks
from patchcore_dual.training.single_fit import fit_model


@dataclass(frozen=True)
class FirstSteps:
    """Steps 1 and 2 of `fit`: the normal banks and pseudo masks of some real images.

    Models of these images follow, each with another number of synthetic images.

    Attributes:
        context: of the fit.
        training_set: the real images, and all synthetic ones that may be used.
        banks: the normal banks.
        pseudo_masks: bool `[H, W]` of each defective image without a mask, by name.
        embedder: as the user gave it, without a projection.
    """

    context: FitContext
    training_set: Manifest
    banks: NormalBanks
    pseudo_masks: dict[str, np.ndarray]
    embedder: Embedder
    _models: dict[int, Model] = field(default_factory=dict)  # by the number of synthetic images

    @classmethod
    def of(
        cls,
        context: FitContext,
        training_set: Manifest,
        embedder: Embedder,
        banks: NormalBanks | None = None,
    ) -> Self:
        """Take both steps for a training set, or the second alone where `banks` are given."""
        banks = banks or build_normal_banks(context, training_set)
        if not RULES[context.settings.scoring].uses_defects:
            training_set = training_set.part(label="negative")
        pseudo_masks = propose_pseudo_masks(context, training_set, banks)
        return cls(context, training_set, banks, pseudo_masks, embedder)

    def without(self, images: Collection[str]) -> Self:
        """Both steps again, without some of the images and the synthetic ones made from them."""
        remaining = exclude_images(self.training_set, images)
        return self.of(self.context.without(images), remaining, self.embedder)

    def model(self, some: Manifest) -> Model:
        """The model of the training set, or of a part with fewer synthetic images; fitted once."""
        count = len(some.synthetic())
        if count not in self._models:
            self._models[count] = fit_model(
                self.context, some, self.banks, self.pseudo_masks, embedder=self.embedder
            )
        return self._models[count]

    def scores(self, some: Manifest) -> tuple[np.ndarray, np.ndarray]:
        """Out-of-fold image scores under `model(some)`; see `CalibrationSet.scores`."""
        model = self.model(some)
        assert model.calibration is not None
        return model.calibration.scores(model.rule)

    def likely_mislabelled(self) -> tuple[str, ...]:
        """The names of good images that are probably defective, by the model of all images."""
        calibration = self.model(self.training_set).calibration
        assert calibration is not None
        return likely_mislabelled(calibration)

"""`PatchCoreDual`: the method of thesis 4.3, in the order of its sections."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from patchcore_dual import __version__
from patchcore_dual.banks import MemoryBank, projection_matrix
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.reading import check_image, read_image
from patchcore_dual.data.resizing import resize_image, resizing_note
from patchcore_dual.errors import ModelError
from patchcore_dual.features import load_backbone
from patchcore_dual.model.folder import fingerprint, load_model, read_fingerprint, save_model
from patchcore_dual.model.model import (
    Model,
    describe_training_set,
    make_calibration_set,
)
from patchcore_dual.scoring import (
    RULES,
    AdaptiveSearch,
    Inspection,
    anomaly_map,
    calibrate_thresholds,
    choose_exact_share,
    find_regions,
    match_at,
    peak_region,
    resize_map,
    rule_for,
    score_uncertainty,
    search_adaptively,
)
from patchcore_dual.settings import Settings
from patchcore_dual.training.banks import (
    DefectPatches,
    NormalBanks,
    build_defect_bank,
    build_normal_banks,
    check_training_set,
)
from patchcore_dual.training.checkpoint import FORMAT, FitCheckpoint, key_of
from patchcore_dual.training.cross_fitting import cross_fit, held_out_images
from patchcore_dual.training.pseudo_masks import propose_pseudo_masks
from patchcore_dual.utils.memory import UNLIMITED, Memory
from patchcore_dual.utils.prefetch import prefetch
from patchcore_dual.utils.progress import Progress, silent


class PatchCoreDual:
    """A detector with two memory banks: one of good surface, one of known defects.

    >>> detector = PatchCoreDual().fit("prepared")
    >>> print(detector.inspect("part.png"))

    Args:
        weights: file of the backbone's weights; None looks in the cache and in packages.
        device: "auto", "cpu" or "cuda".
        settings: any field of `Settings` by name, e.g. `scoring="ratio"`.
    """

    def __init__(
        self, *, weights: Path | str | None = None, device: str = "auto", **settings: Any
    ) -> None:
        self.settings = Settings.of(**settings)
        rule_for(self.settings.scoring, has_defects=True)  # an unknown name is told now, not late
        path = Path(weights) if weights is not None else None
        self.backbone = load_backbone(
            self.settings.backbone,
            self.settings.levels,
            path,
            device,
            self.settings.defect_levels,
        )
        self._model: Model | None = None
        self._fingerprint = ""

    @property
    def model(self) -> Model:
        """What was fitted. Raises ModelError before `fit`."""
        if self._model is None:
            raise ModelError("this detector is not fitted. Call fit() or load() first.")
        return self._model

    def embed(self, image: np.ndarray) -> np.ndarray:
        """Patch features of one prepared image (4.3.2).

        Args:
            image: uint8 `[H, W, 3]`, RGB, at the model's size.

        Returns:
            float32 `[h, w, d]`.
        """
        count_padding = RULES[self.settings.scoring].counts_padding
        features = self.backbone(image[None], count_padding)[0]
        if self.settings.bank_vectors == "projected":  # the other reading of 4.3.4
            features = features @ projection_matrix(features.shape[-1], self.settings.seed)
        return features

    def fit(
        self,
        manifest: Manifest | Path | str,
        progress: Progress = silent,
        banks: NormalBanks | None = None,
    ) -> Self:
        """Build both banks from the training images and set the thresholds (4.3.3, 4.3.4).

        Args:
            manifest: a prepared data set, or its folder. Test images are not touched.
            progress: told the stage and how far it is.
            banks: what `normal_banks` gave for the same good images and settings (protocols try
                many defect banks with the same normal banks).

        Raises DataError where there are too few good images.
        """
        if not isinstance(manifest, Manifest):
            manifest = Manifest.load(manifest)
        training_set = manifest.part(split="train")
        check_training_set(training_set)
        size = training_set.size()
        if banks is None:
            banks = self.normal_banks(training_set, progress)
        if not RULES[self.settings.scoring].uses_defects:
            training_set = training_set.part(label="negative")
        proposed = propose_pseudo_masks(self.embed, training_set, banks, progress)
        channels = self.backbone.channels_of(self.backbone.defect_levels)
        defects = build_defect_bank(
            self.embed, training_set, self.settings, size, channels, proposed, progress
        )
        kind = rule_for(self.settings.scoring, defects is not None)
        rate = self.settings.false_alarm_rate
        held_out = cross_fit(
            self.embed, training_set, banks, defects, proposed, kind.uses_probe, rate, progress
        )
        training = held_out.training
        rule = kind().fit(training)
        answers = rule.held_out(training, training.normals)
        of_defects = rule.held_out(training, [d for d in training.defectives if d.is_known])
        thresholds = calibrate_thresholds(answers, training.normals, rule.sigma, rate)
        look = AdaptiveSearch()
        if self._may_approximate(banks.whole, defects):
            images = held_out_images(self.embed, training_set, banks, defects, progress)
            look = choose_exact_share(rule, thresholds.image.value, images, held_out.probe)
        self._model = Model(
            self.settings,
            self.backbone,
            size,
            banks.whole,
            defects.bank if defects else None,
            held_out.probe,
            rule,
            thresholds,
            make_calibration_set(answers, of_defects, held_out.kept),
            describe_training_set(training_set),
            look,
        )
        self._fingerprint = ""
        return self

    def normal_banks(
        self,
        training_set: Manifest,
        progress: Progress = silent,
        cross_fit: bool = True,
        unfinished: Path | None = None,
        memory: Memory = UNLIMITED,
        tell: Callable[[str], None] = lambda message: None,
    ) -> NormalBanks:
        """The normal bank of some training images, and those without each fold (4.3.3, 4.3.4).

        Args:
            hold_out: without it the first alone, in a fraction of the time.
            unfinished: a folder that keeps what is done, so that a run after an interrupted one
                goes on from there; it has to stay until the model is saved.
            memory: what the process may take; counts where there is such a folder.
            tell: takes messages for people.
        """
        check_training_set(training_set)
        kept = FitCheckpoint(unfinished, self._key(training_set)) if unfinished else None
        channels = self.backbone.channels_of(self.backbone.levels)
        return build_normal_banks(
            self.embed,
            training_set,
            self.settings,
            channels,
            progress,
            cross_fit,
            kept,
            memory,
            tell,
        )

    def _may_approximate(self, bank: MemoryBank, defects: DefectPatches | None) -> bool:
        """Whether approximate search was asked for and would differ from exact search."""
        alike = defects is None or bank.has_channels_of(defects.bank)
        return self.settings.search == "approximate" and alike and not bank.is_small

    def _key(self, training_set: Manifest) -> str:
        """Of everything that decides the normal banks and what they say of training images."""
        real = training_set.real()
        facts = {
            "version": [__version__, FORMAT, torch.__version__],
            "settings": self.settings.model_dump(),
            "weights": self.backbone.weights_sha256,
            "device": str(self.backbone.device),
            "samples": [[s.image, s.label, s.group] for s in real],
        }
        return key_of(facts, (real.image_path(s) for s in real))

    def inspect(self, image: np.ndarray | Path | str, name: str = "") -> Inspection:
        """Score one image and say where it is anomalous (4.3.5).

        Args:
            image: uint8 `[H, W, 3]` RGB, or an image file. Of another size than the model's, it is
                resized, and the map and regions are brought back to its own size.
            name: how to call it in the result; a file's path by default.
        """
        return self._inspect(*self._prepare(image, name))

    def inspect_many(self, images: Iterable[np.ndarray | Path | str]) -> Iterator[Inspection]:
        """`inspect` for each, in order, with a few in memory at a time.

        Of a list the next two are read while one is inspected. Of a stream, as from a camera, none
        is taken before the one before it has been answered.
        """
        depth = 2 if isinstance(images, Sequence) else 0
        return (self._inspect(*one) for one in prefetch(self._prepare, images, depth))

    def _prepare(
        self, image: np.ndarray | Path | str, name: str = ""
    ) -> tuple[str, np.ndarray, np.ndarray]:
        """An image's name, itself, and as the network takes it (3.2)."""
        if not isinstance(image, np.ndarray):
            name = name or str(image)
            image = read_image(image)
        check_image(image, name)
        size = self.model.size
        return name, image, resize_image(image, *size) if size else image

    def _inspect(self, name: str, image: np.ndarray, prepared: np.ndarray) -> Inspection:
        model = self.model
        features = self.embed(prepared)
        evidence = search_adaptively(
            features,
            model.normal_bank,
            model.defect_bank,
            model.probe,
            model.rule,
            exact_share=model.adaptive_search.exact_share,
        )
        score, grid = model.rule(evidence)
        heat = anomaly_map(grid, prepared.shape[0], prepared.shape[1], model.rule.sigma)
        heat = resize_map(heat, image.shape[0], image.shape[1])
        regions = find_regions(heat, model.thresholds.pixel)
        peak = divmod(int(grid.argmax()), grid.shape[1])
        threshold = model.thresholds.image.value
        uncertainty = score_uncertainty(
            model.rule, evidence, features, model.normal_bank, model.defect_bank, peak=peak
        )
        if score + uncertainty > threshold and not regions:
            regions = (peak_region(heat),)

        return Inspection(
            name,
            image,
            score,
            uncertainty,
            threshold,
            heat,
            model.thresholds.pixel,
            model.thresholds.map_floor,
            regions,
            match_at(model.normal_bank, evidence.normal, peak),
            match_at(model.defect_bank, evidence.defect, peak),
            self.fingerprint,
            "" if prepared is image else resizing_note(image, prepared),
        )

    @property
    def fingerprint(self) -> str:
        """16 hex digits that tell this fitted model from any other."""
        if not self._fingerprint:
            self._fingerprint = fingerprint(self.model)
        return self._fingerprint

    def about(self) -> dict[str, Any]:
        """What a report says of the model, as plain values."""
        return self.model.about()

    def with_settings(self, **changes: Any) -> Self:
        """A detector of the same backbone with other settings, not fitted."""
        other = copy(self)
        other.settings = Settings.of(**{**self.settings.model_dump(), **changes})
        rule_for(other.settings.scoring, has_defects=True)
        other._model, other._fingerprint = None, ""
        return other

    def save(self, folder: Path | str) -> None:
        """Write the model folder; a process killed meanwhile leaves the old model or the new."""
        save_model(self.model, Path(folder))

    @classmethod
    def load(
        cls, folder: Path | str, weights: Path | str | None = None, device: str = "auto"
    ) -> Self:
        """Read a model folder. Raises ModelError where it is missing, damaged or does not fit.

        Args:
            weights: take the backbone from this file instead of the folder; it has to be the file
                the model was fitted with.
        """
        model = load_model(Path(folder), Path(weights) if weights else None, device)
        detector = cls.__new__(cls)
        detector.settings = model.settings
        detector.backbone = model.backbone
        detector._model = model
        detector._fingerprint = read_fingerprint(Path(folder))
        return detector

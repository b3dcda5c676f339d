"""`PatchCoreDual`: the method of thesis 4.3, in the order of its sections."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self, overload

import numpy as np

from patchcore_dual.data.inputs import Image, InputImage, OnError, read_input, read_inputs
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.errors import ImageError, ModelError
from patchcore_dual.features import Embedder, adapted, as_set, load_embedder, restore_embedder
from patchcore_dual.features.inspected import everywhere, patches_of, restricted
from patchcore_dual.live import Lesson, Outcome, Teacher
from patchcore_dual.model import Model, Version, fingerprint, load_with_fingerprint
from patchcore_dual.scoring import (
    Inspection,
    find_regions,
    heat_map,
    match_at,
    rule_for,
    score_uncertainty,
    search_adaptively,
)
from patchcore_dual.settings import Settings
from patchcore_dual.training import Fit, fit

Result = Inspection | ImageError


class PatchCoreDual:
    """A detector with two memory banks: one of normal surface, one of known defects.

    >>> detector = PatchCoreDual().fit("prepared")  # doctest: +SKIP
    >>> print(detector.inspect("part.png"))  # doctest: +SKIP

    Args:
        weights: file of the backbone's weights, or for DINO networks a folder with `config.json`
            and `model.safetensors`; None looks in the cache and in packages.
        device: "auto", "cpu" or "cuda".
        embedder: an `Embedder` of the user's own, in place of a backbone.
        settings: any field of `Settings` by name, e.g. `scoring="ratio"`.

    Raises:
        SettingsError, WeightsError: for a setting or weights that cannot be used.
        MissingDependencyError: without PyTorch, unless an embedder is given.
    """

    def __init__(
        self,
        *,
        weights: Path | str | None = None,
        device: str = "auto",
        embedder: Embedder | None = None,
        **settings: Any,
    ) -> None:
        self.settings = Settings.of(**settings)
        rule_for(self.settings.scoring, has_defects=True)  # so that a wrong name fails at once
        self.embedder = embedder or load_embedder(
            self.settings.backbone,
            self.settings.levels,
            defect_levels=self.settings.defect_levels,
            resolutions=self.settings.used_resolutions,
            count_padding=self.settings.counts_padding,
            weights=Path(weights) if weights is not None else None,
            device=device,
        )
        self.fitted: Fit | None = None  # what `fit` gave; None for a model that was loaded
        self._model: Model | None = None
        self._fingerprint = ""
        self._teacher = Teacher(None)

    def fit(self, manifest: Manifest | Path | str, **options: Any) -> Self:
        """Build both banks from the training images and calibrate (4.3.3, 4.3.4).

        Args:
            manifest: a prepared data set, or its folder. Test images are not read.
            options: those of `training.fit`, e.g. `model_folder`, `memory`, `synthetic`.
        """
        self.fitted = fit(manifest, self.embedder, self.settings, **options)
        self.embedder, self._model, self._fingerprint = self.fitted.embedder, self.fitted.model, ""
        self._teacher = Teacher(options.get("model_folder"))
        return self

    def teach(self, *lessons: Lesson, **options: Any) -> Outcome:
        """Teach it images that it judged wrongly (5.3.2); for `options` see `Teacher.teach`."""
        embed = everywhere(self.embedder, self.settings)
        outcome = self._teacher.teach(self.model, embed, lessons, **options)
        if outcome.is_accepted:
            self._model, self._fingerprint = outcome.teaching.after, ""
        return outcome

    def with_settings(self, **changes: Any) -> Self:
        """A detector of the same network with other settings, not fitted."""
        settings = Settings.of(**{**self.settings.model_dump(), **changes})
        return type(self)(embedder=adapted(self.embedder, settings), **settings.model_dump())

    @property
    def model(self) -> Model:
        """The fitted model. Raises ModelError before `fit`."""
        if self._model is None:
            raise ModelError("this detector is not fitted. Call fit() or load() first.")
        return self._model

    def embed(self, image: np.ndarray, region: np.ndarray | None = None) -> np.ndarray:
        """Patch features float32 `[h, w, d]`, NaN outside a region, of an image of its size."""
        features = as_set(self.embedder, self.settings)(image[None])[0]
        return restricted(features, image.shape, self._model.roi if self._model else None, region)

    def inspect(self, image: Image, name: str = "") -> Inspection:
        """Score one image and say where it is anomalous (4.3.5).

        Args:
            image: an `Image`, of any size; the map and regions are in its own pixels.
            name: what it is called in the result; a file's path by default.

        Raises ImageError for a file that cannot be read, or something else than an `Image`.
        """
        return self._inspect(read_input(image, self.model.size, name, self.model.bit_depth))

    @overload
    def inspect_many(self, images: Iterable[Image]) -> Iterator[Inspection]: ...

    @overload
    def inspect_many(self, images: Iterable[Image], on_error: OnError) -> Iterator[Result]: ...

    def inspect_many(
        self, images: Iterable[Image], on_error: OnError = "raise"
    ) -> Iterator[Result]:
        """Inspect images in order; the next two of a list are read while one is inspected.

        From an iterator, as of a camera, the next image is taken only after the previous result.
        `on_error` says whether the error of an image that cannot be read is raised or yielded.
        """
        for image in read_inputs(images, self.model.size, on_error, self.model.bit_depth):
            yield image if isinstance(image, ImageError) else self._inspect(image)

    def _inspect(self, image: InputImage) -> Inspection:
        model, embedder = self.model, as_set(self.embedder, self.settings)
        thresholds, image = model.thresholds, image.aligned(model.aligner, model.roi)
        share, banks = model.adaptive_search.exact_share, (model.normal_bank, model.defect_bank)
        features = patches_of(embedder, image.resized, model.roi, image.region)
        evidence = search_adaptively(features, *banks, model.probe, model.rule, exact_share=share)
        output, review = model.rule(evidence), thresholds.review.value
        shapes = image.resized.shape, image.original.shape
        heat = image.as_given(heat_map(output.grid, *shapes, model.rule.sigma))
        return Inspection(
            image.name,
            image.original,
            output.score,
            score_uncertainty(model.rule, evidence, features, *banks, peak=output.peak),
            thresholds.image.value,
            review,
            heat,
            thresholds.pixel,
            thresholds.map_floor,
            find_regions(heat, thresholds.pixel, at_least_one=output.score > review),
            match_at(model.normal_bank, evidence.normal, output.peak),
            match_at(model.defect_bank, evidence.defect, output.peak),
            self.fingerprint,
            image.note,
            model.is_foreign(evidence.normal),
            image.motion,
            self._teacher.pictures(model),
            model.appearance(image.resized, evidence.normal),
        )

    @property
    def fingerprint(self) -> str:
        """16 hex digits that tell this fitted model from any other."""
        self._fingerprint = self._fingerprint or fingerprint(self.model)
        return self._fingerprint

    def about(self) -> dict[str, Any]:
        """What a report says of the model, as plain values."""
        return self.model.about()

    def training_images(self) -> dict[Path, str] | None:
        """See `Model.training_images`."""
        return self.model.training_images()

    def save(self, folder: Path | str, *, overwrite: bool = False) -> Version | None:
        """Write the model folder, whole or not at all; give the version that it replaces."""
        return self._teacher.save(self.model, Path(folder), overwrite=overwrite)

    @classmethod
    def load(
        cls, folder: Path | str, *, device: str = "auto", embedder: Embedder | None = None
    ) -> Self:
        """Read a model folder, or a version as `model@3`; `embedder` is the user's own, if any.

        Raises ModelError where it is missing, damaged, of a newer version or another embedder.
        """
        model, read, place = load_with_fingerprint(Path(folder))
        embedder = restore_embedder(model.spec, model.network, model.graph, device, embedder)
        detector = cls(embedder=embedder, **model.settings.model_dump())
        detector._model, detector._fingerprint = model, read
        detector._teacher = Teacher(place)
        return detector

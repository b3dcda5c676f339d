"""`TrialRunner`: fits and evaluates many detectors on one split, and repeats no work.

The normal banks of a split are built once, and its test images are embedded and searched in them
once. Any choice of defective training images, synthetic images, fusion rule and defect patches is
then fitted by `PatchCoreDual.fit` itself, as `patchcore-dual fit` would.
"""

import numpy as np
import psutil  # type: ignore[import-untyped]
from numpy.typing import NDArray

from patchcore_dual.data.manifest import Manifest, Sample
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.evaluation.evaluation import known_mask
from patchcore_dual.evaluation.image_result import ImageResult
from patchcore_dual.evaluation.pixel_metrics import PixelMetrics
from patchcore_dual.evaluation.results import summarise
from patchcore_dual.experiments.pixel_pairs import PixelPairCounter, TrialEvaluation
from patchcore_dual.experiments.synthetic_source import SyntheticSource
from patchcore_dual.experiments.trials import Method, Trial
from patchcore_dual.features import CachedEmbedder, EmbedderSpec, as_set
from patchcore_dual.scoring import Nearest, anomaly_map, gather_evidence
from patchcore_dual.training import NormalBanks, normal_banks_of
from patchcore_dual.utils.progress import Progress, silent


class TrialRunner:
    """Runs trials on one split.

    Args:
        manifest: a prepared data set with its split.
        detector: gives backbone and settings; `scoring` and `patches` are each method's own. Its
            features are best cached: see `with_cached_features`.
        progress: called with the stage, the steps done and their number.
    """

    def __init__(
        self, manifest: Manifest, detector: PatchCoreDual, progress: Progress = silent
    ) -> None:
        self.manifest = manifest
        self.progress = progress
        self._detector = detector
        self._synthetic = SyntheticSource(detector.settings.seed, progress)
        # Rules differ in whether padding counts in the features, so there may be two of each.
        self._normal_banks: dict[EmbedderSpec, NormalBanks] = {}
        self._normal_matches: dict[tuple[EmbedderSpec, str], Nearest] = {}
        self._pixels: dict[str, NDArray[np.uint8]] = {}

    def run(self, trial: Trial) -> dict[str, TrialEvaluation]:
        """The evaluation of each method of a trial, by name."""
        return {
            method.name: self.evaluate(
                self.fit(method, trial.manifest), trial.manifest, trial.pixels
            )
            for method in trial.methods
        }

    def fit(self, method: Method, manifest: Manifest) -> PatchCoreDual:
        """A detector fitted by a method.

        Args:
            method: of the manifest's synthetic images, only those that it asks for are used.
            manifest: differs from the runner's in its defective and synthetic images alone.

        Raises:
            DataError: where the synthetic images are neither there nor can be made.
        """
        training = manifest.real()
        if method.synthetic:
            made = self._synthetic(manifest, method.generator, method.synthetic)
            training = training.where([*training, *made])
        return self._fit_detector(method, training)

    def evaluate(
        self, detector: PatchCoreDual, manifest: Manifest, pixels: bool
    ) -> TrialEvaluation:
        """The evaluation of a detector that `fit` returned, on the test images of a manifest.

        Verdicts use the image threshold only: images in the review band count as passed, since
        their scores are below the threshold.

        Args:
            detector: fitted by this runner.
            manifest: its test images are among the runner's.
            pixels: whether anomaly maps are evaluated too; pixel metrics are NaN otherwise.
        """
        threshold, sigma = detector.model.thresholds.image.value, detector.model.rule.sigma
        metrics, pairs, results = PixelMetrics(), PixelPairCounter(), []
        samples = manifest.part("test").samples
        for sample in samples:
            image = self._read(sample)
            score, grid = self._score(detector, sample.image, image)
            verdict = "reject" if score > threshold else "pass"
            results.append(ImageResult(sample.image, sample.label, sample.kind, score, verdict))
            if pixels:
                heat = anomaly_map(grid, image.shape[0], image.shape[1], sigma)
                mask = known_mask(manifest, sample, image.shape[:2])
                pairs.update(heat, mask)
                if mask is not None:
                    metrics.update(heat, mask)
            self.progress(f"testing {detector.settings.scoring}", len(results), len(samples))
        about = {"dataset": manifest.folder.resolve().name, "split": "test", **detector.about()}
        if not pixels:
            return TrialEvaluation.of(summarise(results, threshold, None, **about), None)
        evaluation = summarise(results, threshold, metrics.compute(), **about)
        return TrialEvaluation.of(evaluation, pairs.compute())

    # Everything that reuses work between detectors is below: banks, embedding and search.

    def _fit_detector(self, method: Method, training: Manifest) -> PatchCoreDual:
        """A detector with the rule and patches of a method, on the split's normal banks."""
        detector = self._detector.with_settings(scoring=method.scoring, patches=method.patches)
        key = detector.embedder.spec
        if key not in self._normal_banks:
            self._normal_banks[key] = normal_banks_of(
                self.manifest.real().part("train"),
                as_set(detector.embedder, detector.settings),
                detector.settings,
                progress=self.progress,
            )
        banks = self._normal_banks[key]
        return detector.fit(training, normal_banks=banks, size=None, progress=self.progress)

    def _score(
        self, detector: PatchCoreDual, name: str, image: NDArray[np.uint8]
    ) -> tuple[float, NDArray[np.float32]]:
        """Image score and patch scores `[h, w]`; an image is searched once in the normal bank."""
        model, features = detector.model, detector.embed(image)
        key = (detector.embedder.spec, name)
        if key not in self._normal_matches:
            self._normal_matches[key] = gather_evidence(features, model.normal_bank, None).normal
        evidence = gather_evidence(
            features, self._normal_matches[key], model.defect_bank, model.probe, model.rule.weighted
        )
        return model.rule(evidence)

    def _read(self, sample: Sample) -> NDArray[np.uint8]:
        """A test image, kept in memory: pixels take a small part of what features take."""
        if sample.image not in self._pixels:
            self._pixels[sample.image] = self.manifest.read_image(sample)
        return self._pixels[sample.image]


def with_cached_features(detector: PatchCoreDual, limit: int | None = None) -> PatchCoreDual:
    """The detector, unfitted, keeping features in memory: for it and those made of it.

    Args:
        limit: in bytes; by default a quarter of the machine's memory.
    """
    if limit is None:
        limit = psutil.virtual_memory().total // 4
    embedder = CachedEmbedder(detector.embedder, limit)
    return PatchCoreDual(embedder=embedder, **detector.settings.model_dump())

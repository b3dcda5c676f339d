"""`TrialRunner`: one split on which many models are tried, and what such a trial is.

A split's normal banks are built once, its images embedded and its test images searched once; any
choice of defective training images, synthetic ones, rule and defect patches is then fitted by
`PatchCoreDual.fit` itself, as `patchcore-dual fit` would.
"""

import hashlib
import os
from dataclasses import dataclass

import numpy as np

from patchcore_dual.data.manifest import Manifest, Sample
from patchcore_dual.data.reading import read_image
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.evaluation.evaluation import ImageResult, known_mask, summarise
from patchcore_dual.evaluation.pixel_metrics import PixelMetrics
from patchcore_dual.experiments.pixel_pairs import PixelPairs, TrialEvaluation
from patchcore_dual.experiments.synthetic_source import SyntheticSource
from patchcore_dual.features import Backbone
from patchcore_dual.features.defect_patches import PatchChoice
from patchcore_dual.scoring import RULES, Nearest, anomaly_map, gather_evidence
from patchcore_dual.training.banks import NormalBanks
from patchcore_dual.utils.progress import Progress, silent


@dataclass(frozen=True)
class Method:
    """A row of a table.

    Attributes:
        scoring: the fusion rule.
        patches: which patches of defects enter the defect bank.
        generator, synthetic: so many synthetic defects of a generator are taught beside the real
            ones.
    """

    name: str
    scoring: str
    patches: PatchChoice = "mask"
    generator: str = ""
    synthetic: int = 0


@dataclass(frozen=True)
class Trial:
    """Methods fitted on one choice of training images, and judged on one choice of test images.

    Attributes:
        name: tells it from the protocol's other trials, as "3 defects, draw 1".
        manifest: training and test images.
        pixels: measure anomaly maps too.
    """

    name: str
    manifest: Manifest
    methods: tuple[Method, ...]
    pixels: bool = False


class TrialRunner:
    """One split on which many models are tried.

    Args:
        manifest: a prepared data set with its split.
        detector: gives backbone and settings; scoring and patches are each method's own.
    """

    def __init__(
        self, manifest: Manifest, detector: PatchCoreDual, progress: Progress = silent
    ) -> None:
        self.manifest = manifest
        self.progress = progress
        self._detector = detector
        self._supply = SyntheticSource(detector.settings.seed, progress)
        # Rules differ in whether padding counts in the features, so there may be two of each.
        self._banks: dict[bool, NormalBanks] = {}
        self._found: dict[tuple[bool, str], Nearest] = {}
        self._pixels: dict[str, np.ndarray] = {}

    def fit(self, method: Method, manifest: Manifest) -> PatchCoreDual:
        """A detector fitted on a manifest that differs from the bench's in its defects alone.

        Of its synthetic images only those that the method asks for are taught.
        """
        detector = self._detector.with_settings(scoring=method.scoring, patches=method.patches)
        key = RULES[method.scoring].counts_padding
        if key not in self._banks:
            good = self.manifest.real().part("train")
            self._banks[key] = detector.normal_banks(good, self.progress)
        taught = manifest.real()
        if method.synthetic:
            made = self._supply(manifest, method.generator, method.synthetic)
            taught = taught.where([*taught, *made])
        return detector.fit(taught, self.progress, self._banks[key])

    def run(self, trial: Trial) -> dict[str, TrialEvaluation]:
        """What came out, by method: figures on the trial's test images."""
        return {
            method.name: self.judge(self.fit(method, trial.manifest), trial.manifest, trial.pixels)
            for method in trial.methods
        }

    def judge(self, detector: PatchCoreDual, manifest: Manifest, pixels: bool) -> TrialEvaluation:
        """The figures of a detector that `fit` gave, on the test images of a manifest.

        Verdicts are by the model's threshold alone: what it would send to review counts as what
        it leans to.
        """
        model = detector.model
        threshold, sigma = model.thresholds.image.value, model.rule.sigma
        scoring = detector.settings.scoring
        key = RULES[scoring].counts_padding
        metrics, pairs, results = PixelMetrics(), PixelPairs(), []
        samples = manifest.part("test").samples
        for sample in samples:
            image = self._read(sample)
            features = detector.embed(image)
            place = (key, sample.image)
            if place not in self._found:
                self._found[place] = gather_evidence(features, model.normal_bank, None).normal
            evidence = gather_evidence(
                features, self._found[place], model.defect_bank, model.probe, model.rule.weighted
            )
            score, grid = model.rule(evidence)
            verdict = "reject" if score > threshold else "pass"
            results.append(ImageResult(sample.image, sample.label, sample.kind, score, verdict))
            if pixels:
                heat = anomaly_map(grid, image.shape[0], image.shape[1], sigma)
                mask = known_mask(manifest, sample, image.shape[:2])
                pairs.update(heat, mask)
                if mask is not None:
                    metrics.update(heat, mask)
            self.progress(f"testing {scoring}", len(results), len(samples))
        about = {"dataset": manifest.folder.resolve().name, "split": "test", **detector.about()}
        if not pixels:
            return TrialEvaluation.of(summarise(results, threshold, None, **about), None)
        evaluation = summarise(results, threshold, metrics.compute(), **about)
        return TrialEvaluation.of(evaluation, pairs.compute())

    def _read(self, sample: Sample) -> np.ndarray:
        """A test image. Their pixels are kept: they take a small part of what features take."""
        if sample.image not in self._pixels:
            self._pixels[sample.image] = read_image(self.manifest.image_path(sample))
        return self._pixels[sample.image]


class RememberingBackbone(Backbone):
    """A backbone that keeps the features of images in memory, up to `limit` bytes.

    By default that is a quarter of the machine's memory. What was longest not asked for goes first
    and is computed again when it is.
    """

    def __init__(self, backbone: Backbone, limit: int | None = None) -> None:
        self.__dict__.update(backbone.__dict__)
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        self._room = memory // 4 if limit is None else limit
        self._known: dict[bytes, np.ndarray] = {}  # the latest asked for last

    def __call__(self, images: np.ndarray, count_padding: bool = True) -> np.ndarray:
        text = repr((images.shape, count_padding)).encode()
        key = hashlib.sha256(text + images.tobytes()).digest()
        features = self._known.pop(key, None)
        if features is None:
            features = super().__call__(images, count_padding)
            features.setflags(write=False)
            self._room -= features.nbytes
        self._known[key] = features
        while self._room < 0:
            self._room += self._known.pop(next(iter(self._known))).nbytes
        return features

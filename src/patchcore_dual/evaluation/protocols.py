"""Protocols: one split on which many models are tried, and what each protocol tries on it.

`Bench` is one split. Its normal banks are built once, its images embedded and its test images
searched once; any choice of defective training images, rule and defect patches is then fitted by
`PatchCoreDual.fit` itself, as `patchcore-dual fit` would.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.errors import DataError
from patchcore_dual.evaluation.evaluation import ImageResult, known_mask, summarise
from patchcore_dual.evaluation.pixel_metrics import PixelMetrics
from patchcore_dual.evaluation.pixel_pairs import Judged, PixelPairs
from patchcore_dual.features import Backbone
from patchcore_dual.features.defect_patches import PatchChoice
from patchcore_dual.images.manifest import Manifest
from patchcore_dual.images.placement import join_groups
from patchcore_dual.images.reading import read_image
from patchcore_dual.images.splits import GOOD, split_by_group
from patchcore_dual.images.subsets import choose_defects
from patchcore_dual.progress import Progress, silent
from patchcore_dual.scoring import RULES, Nearest, anomaly_map, gather_evidence
from patchcore_dual.settings import PRESETS
from patchcore_dual.training import NormalBanks

FEW_SHOT_COUNTS = (0, 1, 3, 5, 10, 20)


@dataclass(frozen=True)
class Method:
    """A row of a table: a fusion rule, and which patches of defects enter the defect bank."""

    name: str
    scoring: str
    patches: PatchChoice = "mask"


PATCHCORE = Method("PatchCore", "patchcore")
THESIS = Method("PatchCoreDual, thesis", PRESETS["thesis"]["scoring"], PRESETS["thesis"]["patches"])
RATIO = Method("Ratio", "ratio")
RECOMMENDED = Method("PatchCoreDual", "calibrated")
TABLE1_METHODS = (PATCHCORE, THESIS, RECOMMENDED)


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


class Bench:
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
        # Rules differ in whether padding counts in the features, so there may be two of each.
        self._banks: dict[bool, NormalBanks] = {}
        self._found: dict[tuple[bool, str], Nearest] = {}

    def fit(self, method: Method, manifest: Manifest) -> PatchCoreDual:
        """A detector fitted on a manifest that differs from the bench's in its defects alone."""
        detector = self._detector.with_settings(scoring=method.scoring, patches=method.patches)
        key = RULES[method.scoring].counts_padding
        if key not in self._banks:
            self._banks[key] = detector.normal_banks(self.manifest.part("train"), self.progress)
        return detector.fit(manifest, self.progress, self._banks[key])

    def run(self, trial: Trial) -> dict[str, Judged]:
        """What came out, by method: figures on the trial's test images."""
        return {
            method.name: self.judge(self.fit(method, trial.manifest), trial.manifest, trial.pixels)
            for method in trial.methods
        }

    def judge(self, detector: PatchCoreDual, manifest: Manifest, pixels: bool) -> Judged:
        """The figures of a detector that `fit` gave, on the test images of a manifest.

        Verdicts are by the model's threshold alone: what it would send to review counts as what
        it leans to.
        """
        model = detector.model
        threshold, sigma = model.decision.image.value, model.rule.sigma
        scoring = detector.settings.scoring
        key = RULES[scoring].counts_padding
        metrics, pairs, results = PixelMetrics(), PixelPairs(), []
        samples = manifest.part("test").samples
        for sample in samples:
            image = read_image(manifest.image_path(sample))
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
            return Judged.of(summarise(results, threshold, None, **about), None)
        evaluation = summarise(results, threshold, metrics.compute(), **about)
        return Judged.of(evaluation, pairs.compute())


class RememberingBackbone(Backbone):
    """A backbone that keeps the features of images in memory until they fill `limit` bytes.

    By default that is a quarter of the machine's memory; what finds no room is computed again.
    """

    def __init__(self, backbone: Backbone, limit: int | None = None) -> None:
        self.__dict__.update(backbone.__dict__)
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        self._room = memory // 4 if limit is None else limit
        self._known: dict[bytes, np.ndarray] = {}

    def __call__(self, images: np.ndarray, count_padding: bool = True) -> np.ndarray:
        text = repr((images.shape, count_padding)).encode()
        key = hashlib.sha256(text + images.tobytes()).digest()
        if key in self._known:
            return self._known[key]
        features = super().__call__(images, count_padding)
        if features.nbytes <= self._room:
            self._room -= features.nbytes
            features.setflags(write=False)
            self._known[key] = features
        return features


def groups_of(manifest: Manifest) -> dict[str, str]:
    """The group of every image by name; images that the preparation found alike share one."""
    groups = {s.image: s.group or s.image for s in manifest}
    by_source = {s.source: s.image for s in manifest if s.source}
    found = manifest.preparation().get("audit", {})
    alike = [copies["images"] for copies in found.get("copies", [])]
    alike += [(pair["first"], pair["second"]) for pair in found.get("near_duplicates", [])]
    present = [[by_source[name] for name in names if name in by_source] for names in alike]
    return join_groups(groups, [images for images in present if len(images) > 1])


def resplit(manifest: Manifest, seed: int) -> Manifest:
    """The same real images split again by group into halves, stratified by kind of defect.

    Synthetic images are left out: what they were made from may come to lie on the test side.
    """
    samples = [s for s in manifest if s.origin == "real"]
    groups = groups_of(manifest)
    strata = [(s.kind or "defect") if s.is_defective else GOOD for s in samples]
    sides = split_by_group([groups[s.image] for s in samples], strata, seed=seed)
    return manifest.where(replace(s, split=sides[groups[s.image]]) for s in samples)


def table1(manifest: Manifest, seed: int, draws: int) -> Iterator[Trial]:
    """The thesis's Table 1: PatchCore, the thesis's reading, and the recommended rule."""
    yield Trial("all defects", manifest, TABLE1_METHODS, pixels=True)


def few_shot(manifest: Manifest, seed: int, draws: int) -> Iterator[Trial]:
    """0, 1, 3, 5, 10, 20 and all defective training images, each count drawn several times."""
    available = len(manifest.part("train", "positive"))
    counts = [n for n in FEW_SHOT_COUNTS if n < available]
    for count in [*counts, available]:
        methods = (PATCHCORE, RATIO, RECOMMENDED) if count == 0 else (RATIO, RECOMMENDED)
        for draw in range(draws if 0 < count < available else 1):
            # One seed per split and draw; within it, the first 5 images are among the first 10.
            chosen = choose_defects(manifest, count, (), seed * 1000 + draw)
            name = "all" if count == available else str(count)
            yield Trial(f"{name} defects, draw {draw}", chosen, methods)


def few_shot_count(trial: str) -> str:
    """How many defective training images a few-shot trial had, by its name; or "all"."""
    return trial.split(" ", 1)[0]


def unseen_kinds(manifest: Manifest, seed: int, draws: int) -> Iterator[Trial]:
    """Each kind of defect left out of training, and tested against the good test images.

    PatchCore knows no defects: once is enough. Kinds without test images are passed over.
    """
    test, trained = manifest.part("test"), {s.kind for s in manifest.part("train", "positive")}
    kinds = sorted({s.kind for s in test.part(label="positive")} - {""})
    if len(kinds) < 2 or not trained & set(kinds):
        raise DataError(
            f"{manifest.folder} names {len(kinds) or 'no'} kind{'s' * (len(kinds) != 1)} of defect "
            "in its test images; to leave one out and train on the others takes at least two."
        )
    none = choose_defects(manifest, 0, (), seed)
    yield Trial("no defects", none, (PATCHCORE,))
    yield Trial("all defects", manifest, (RATIO, RECOMMENDED))
    for kind in kinds:
        taught = choose_defects(manifest, None, {kind}, seed)
        chosen = taught.where(
            s for s in taught if s.split == "train" or not s.is_defective or s.kind == kind
        )
        yield Trial(kind, chosen, (RATIO, RECOMMENDED))


PROTOCOLS = {"table1": table1, "few-shot": few_shot, "unseen-kinds": unseen_kinds}

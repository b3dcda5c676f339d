"""`summarise` and `evaluate`, with a detector that says what the test tells it to."""

import json
import math
import weakref
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.stats import binomtest

from patchcore_dual.data.manifest import Manifest, Sample
from patchcore_dual.errors import DataError, ImageError
from patchcore_dual.evaluation.evaluation import evaluate
from patchcore_dual.evaluation.headline import headline
from patchcore_dual.evaluation.image_result import ImageResult
from patchcore_dual.evaluation.metrics import auroc, proportion_interval
from patchcore_dual.evaluation.pixel_metrics import PixelMetrics, PixelResult
from patchcore_dual.evaluation.results import summarise
from patchcore_dual.utils.files import file_sha256

MODEL = {
    "scoring": "ratio",
    "backbone": "resnet18",
    "weights_sha256": "ab" * 32,
    "size": "8x6",
    "seed": 0,
}
ABOUT = {"dataset": "metal", "split": "test", **MODEL}


def result(label, score, kind="", threshold=1.0):
    verdict = "reject" if score >= threshold else "pass"
    return ImageResult(f"test/{label}/{kind}{score}.png", label, kind, score, verdict)


RESULTS = [
    *(result("negative", s) for s in (0.1, 0.2, 0.3, 1.5)),
    result("positive", 0.25, "crack"),
    result("positive", 2.0, "crack"),
    result("positive", 3.0, "spot"),
]


def test_figures_at_the_models_own_threshold():
    evaluation = summarise(RESULTS, 1.0, None, **ABOUT)
    assert evaluation.recall == pytest.approx(2 / 3)
    assert evaluation.false_alarm_rate == 0.25
    assert (evaluation.n_test_normal, evaluation.n_test_defective) == (4, 3)
    counts = [evaluation.count(o) for o in ("found", "miss", "false alarm", "passed")]
    assert counts == [2, 1, 1, 3]
    assert evaluation.image_auroc == auroc(evaluation.scores, evaluation.labels)


@pytest.mark.parametrize(("n_normal", "recall_01", "recall_05"), [(100, 1, 1), (99, 0, 1)])
def test_recall_at_1_percent_false_alarms_includes_exactly_1_percent(
    n_normal, recall_01, recall_05
):
    """One normal image scores higher than the defect: 1 of 100 is allowed, 1 of 99 is not."""
    images = [result("negative", i / 1000) for i in range(n_normal - 1)]
    images += [result("negative", 3.0), result("positive", 2.0)]
    evaluation = summarise(images, 1.0, None, **ABOUT)
    assert (evaluation.recall_at_fpr_01, evaluation.recall_at_fpr_05) == (recall_01, recall_05)


def test_each_kind_is_measured_against_all_normal_images():
    kinds = summarise(RESULTS, 1.0, None, **ABOUT).kinds
    assert list(kinds) == ["crack", "spot"]
    assert (kinds["crack"].n, kinds["crack"].recall) == (2, 0.5)
    assert kinds["crack"].auroc == (2 + 4) / 8
    assert (kinds["spot"].recall, kinds["spot"].auroc) == (1.0, 1.0)


def test_json_holds_every_figure_and_null_for_undefined():
    pixels = PixelResult(0.9, math.nan, 0.8, 1e-5)
    values = json.loads(json.dumps(summarise(RESULTS, 1.0, pixels, **ABOUT).to_json()))
    assert {
        *("image_auroc", "image_ap", "pixel_auroc", "pixel_ap", "aupro", "best_f1"),
        *("recall_at_fpr_01", "recall_at_fpr_05", "threshold", "recall", "false_alarm_rate"),
        *("n_test_normal", "n_test_defective", "kinds", "images", *ABOUT),
    } <= set(values)
    assert values["pixel_auroc"] == 0.9
    assert values["pixel_ap"] is None
    assert values["images"][4] == {
        "path": "test/positive/crack0.25.png",
        "label": "positive",
        "kind": "crack",
        "score": 0.25,
        "verdict": "pass",
    }


@pytest.mark.parametrize("label", ["positive", "negative"])
def test_one_class_leaves_the_rest_defined(label):
    one_class = [r for r in RESULTS if r.label == label]
    values = summarise(one_class, 1.0, None, **ABOUT).to_json()
    assert values["image_auroc"] is None
    assert (values["recall"] is None) == (label == "negative")
    assert (values["false_alarm_rate"] is None) == (label == "positive")


@dataclass
class FakeInspection:
    score: float
    threshold: float
    verdict: str
    anomaly_map: np.ndarray


@dataclass
class FakeDetector:
    """Scores an image by its largest pixel and hands out one inspection at a time."""

    n_opened: int = 0
    shape: tuple = (6, 8)
    paths: list = field(default_factory=list)
    fitted_on: frozenset | None = frozenset()

    def inspect_many(self, paths):
        self.paths = list(paths)
        for path in paths:
            self.n_opened += 1
            image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).astype(np.float32)
            anomaly_map = image[: self.shape[0], : self.shape[1]] / 100
            score = float(anomaly_map.max())
            yield FakeInspection(score, 1.0, "reject" if score >= 1 else "pass", anomaly_map)

    def about(self):
        return MODEL

    def training_images(self):
        digests = self.fitted_on
        return None if digests is None else {Path(digest): digest for digest in digests}


@pytest.fixture
def manifest(tmp_path):
    """Two good and three defective images of 8x6, one defective without a known mask."""
    image = np.full((6, 8), 50, np.uint8)
    mask = np.zeros((6, 8), np.uint8)
    mask[1:3, 2:4] = 255
    defective = np.where(mask, 220, image).astype(np.uint8)
    samples = []
    for name, picture, picture_mask, label, split in (
        ("good0.png", image, mask * 0, "negative", "test"),
        ("good1.png", image + 10, None, "negative", "test"),
        ("bad0.png", defective, mask, "positive", "test"),
        ("bad1.png", defective - 30, mask, "positive", "test"),
        ("unknown.png", image + 20, None, "positive", "test"),
        ("train.png", image, None, "negative", "train"),
    ):
        cv2.imwrite(str(tmp_path / name), picture)
        mask_name = ""
        if picture_mask is not None:
            mask_name = f"mask_{name}"
            cv2.imwrite(str(tmp_path / mask_name), picture_mask)
        samples.append(Sample(name, mask_name, label, split, "spot" * (label == "positive")))
    return Manifest(tmp_path, tuple(samples))


def test_evaluates_the_test_split(manifest):
    detector = FakeDetector()
    evaluation = evaluate(detector, manifest)
    assert [p.name for p in detector.paths] == [s.image for s in manifest.samples[:5]]
    assert [r.path for r in evaluation.images] == [s.image for s in manifest.samples[:5]]
    assert (evaluation.recall, evaluation.false_alarm_rate) == (2 / 3, 0.0)
    assert (evaluation.image_auroc, evaluation.threshold) == (1.0, 1.0)
    assert (evaluation.dataset, evaluation.backbone) == (manifest.folder.name, "resnet18")


def test_an_unknown_mask_stays_out_of_pixel_metrics(manifest):
    evaluation = evaluate(FakeDetector(), manifest)
    expected = PixelMetrics()
    for sample in manifest.samples[:4]:
        image = cv2.imread(str(manifest.image_path(sample)), cv2.IMREAD_GRAYSCALE)
        mask = np.zeros((6, 8), bool)
        mask[1:3, 2:4] = sample.is_defective
        expected.update(image.astype(np.float32) / 100, mask)
    assert evaluation.pixel_auroc == expected.compute().auroc == 1.0
    assert evaluation.pixel_ap == expected.compute().ap


def test_images_come_one_at_a_time(manifest):
    detector = FakeDetector()
    opened, steps = [], []
    evaluate(
        detector,
        manifest,
        on_result=lambda r, inspection: opened.append((detector.n_opened, r.score)),
        progress=lambda stage, done, total: steps.append((done, total)),
    )
    assert [n for n, _ in opened] == [1, 2, 3, 4, 5]
    assert steps == [(i, 5) for i in range(1, 6)]


class NoneKept(FakeDetector):
    """Fails where the inspection of an image is kept while the next is inspected."""

    def inspect_many(self, paths):
        kept = None
        for path in paths:
            assert kept is None or kept() is None
            inspections = list(super().inspect_many([path]))
            kept = weakref.ref(inspections[0])
            yield inspections.pop()


def test_no_inspection_is_kept_while_the_next_image_is_inspected(manifest):
    """It holds an image and its map, which may be large."""
    detector = NoneKept()
    evaluate(detector, manifest)
    assert detector.n_opened == 5


def test_a_mask_of_another_size_is_named(manifest):
    with pytest.raises(ImageError, match=r"mask_good0\.png is 8x6, its image 7x5"):
        evaluate(FakeDetector(shape=(5, 7)), manifest)


def test_an_empty_split_is_an_error(manifest):
    with pytest.raises(DataError, match="no test images"):
        evaluate(FakeDetector(), manifest.part("train"))


def test_test_images_that_the_model_was_fitted_on_are_refused(manifest):
    """Recognised by content, whatever the file is called; only with leave, and then counted."""
    seen = manifest.samples[2]
    detector = FakeDetector(fitted_on=frozenset([file_sha256(manifest.image_path(seen)), "ab"]))
    with pytest.raises(DataError, match=r"fitted on 1 of the 5 test images.*first is bad0\.png"):
        evaluate(detector, manifest)
    assert detector.n_opened == 0
    allowed = evaluate(detector, manifest, allow_training_images=True)
    assert allowed.n_training_images == 1
    assert allowed.warnings[0].startswith("1 of these 5 images were used to fit the model")
    assert allowed.to_json()["warnings"] == allowed.warnings


def test_training_images_are_evaluated_as_such_and_marked(manifest):
    sample = manifest.part("train").samples[0]
    detector = FakeDetector(fitted_on=frozenset([file_sha256(manifest.image_path(sample))]))
    evaluation = evaluate(detector, manifest.part("train"), "train")
    assert evaluation.n_training_images == 1
    assert "These images were used to fit the model" in headline(evaluation)


def test_a_model_without_a_list_of_its_images_says_so(manifest):
    evaluation = evaluate(FakeDetector(fitted_on=None), manifest)
    assert evaluation.to_json()["n_training_images"] is None
    assert "cannot be checked" in headline(evaluation)
    assert "cannot be checked" not in headline(evaluate(FakeDetector(), manifest))


def test_seven_of_ten_is_35_to_93_percent():
    images = [result("positive", 2.0)] * 7 + [result("positive", 0.1, "")] * 3
    evaluation = summarise([*images, *[result("negative", 0.1)] * 10], 1.0, None, **ABOUT)
    assert evaluation.recall_interval == pytest.approx((0.3475, 0.9333), abs=1e-4)
    assert evaluation.false_alarm_rate_interval == pytest.approx((0, 0.3085), abs=1e-4)
    values = evaluation.to_json()
    assert values["recall_interval"] == list(evaluation.recall_interval)


@pytest.mark.parametrize("n", [1, 2, 7, 40])
def test_the_interval_of_a_share_is_clopper_and_pearsons(n):
    for hits in range(n + 1):
        low, high = proportion_interval(hits, n)
        theirs = binomtest(hits, n).proportion_ci(0.95, "exact")
        assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)
    assert all(math.isnan(end) for end in proportion_interval(0, 0))

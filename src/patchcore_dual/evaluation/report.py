"""The HTML report of an evaluation: one file that opens anywhere, without a network."""

import base64
import math
from collections.abc import Callable, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import cv2
import jinja2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.evaluation import plots
from patchcore_dual.evaluation.evaluation import Detector, Evaluation, ImageResult, known_mask
from patchcore_dual.utils.files import write_atomically
from patchcore_dual.utils.progress import Progress, silent

GALLERY_LIMIT = 48

_PICTURE_WIDTH, _PICTURE_HEIGHT = 720, 960
_JPEG_QUALITY = 82


class Metric(NamedTuple):
    """A row of the metric tables: a field of `Evaluation`, its name and what it means."""

    field: str
    name: str
    meaning: str
    percent: bool = False
    higher_is_better: bool = True


OPERATING_POINT = (
    Metric("recall", "Recall", "at the model's own threshold", True),
    Metric("false_alarm_rate", "False-alarm rate", "at the model's own threshold", True, False),
    Metric("recall_with_review", "Recall with review", "rejected or sent to review", True),
    Metric("review_rate", "Good parts reviewed", "sent to review, not rejected", True, False),
)
IMAGE_METRICS = (
    Metric("image_auroc", "Image AUROC", "how often a defective part outscores a good one"),
    Metric("image_ap", "Image AP", "precision averaged over recall"),
    Metric("best_f1", "Best F1", "at the best threshold in hindsight"),
    Metric("recall_at_fpr_01", "Recall at 1 % false alarms", "read from the ROC curve", True),
    Metric("recall_at_fpr_05", "Recall at 5 % false alarms", "read from the ROC curve", True),
)
PIXEL_METRICS = (
    Metric("pixel_auroc", "Pixel AUROC", "how often a defective pixel outscores a good one"),
    Metric("pixel_ap", "Pixel AP", "precision averaged over recall, pixel by pixel"),
    Metric("aupro", "AUPRO", "overlap per defect region, up to 30 % false positives"),
)

FACTS = (
    ("Data set", "dataset"),
    ("Split", "split"),
    ("Good parts", "n_test_normal"),
    ("Defective parts", "n_test_defective"),
    ("Scoring", "scoring"),
    ("Backbone", "backbone"),
    ("Weights (sha256)", "weights_sha256"),
    ("Image size", "size"),
    ("Seed", "seed"),
    ("Synthetic training images", "synthetic_note"),
)


def write_report(
    evaluation: Evaluation,
    pictures: Callable[[ImageResult], NDArray[np.uint8]],
    path: Path,
    title: str,
) -> None:
    """Write the report of one evaluation as a single HTML file.

    `pictures` gives the picture of a result, uint8 [h, w, 3] RGB: image, heat map and ground truth
    side by side. It is asked for the images of the gallery only, one after the other.
    """
    chosen = gallery(evaluation.images)
    page = environment().get_template("report.html")
    html = page.render(
        title=title,
        evaluation=evaluation,
        headline=headline(evaluation),
        plots=_plots(evaluation),
        cards=[(result, jpeg_base64(pictures(result))) for result in chosen],
        n_left_out=len(evaluation.images) - len(chosen),
    )
    write_page(path, html)


def report_on(
    evaluation: Evaluation,
    detector: Detector,
    manifest: Manifest,
    folder: Path,
    progress: Progress = silent,
) -> Path:
    """Write `report.html` into a folder, the gallery's images inspected once more for it."""
    samples = {sample.image: sample for sample in manifest}
    n_cards = min(GALLERY_LIMIT, len(evaluation.images))
    drawn = 0

    def picture(result: ImageResult) -> NDArray[np.uint8]:
        nonlocal drawn
        drawn += 1
        progress("pictures for the report", drawn, n_cards)
        sample = samples[result.path]
        (inspection,) = detector.inspect_many([manifest.image_path(sample)])
        return inspection.draw(known_mask(manifest, sample, inspection.anomaly_map.shape))

    path = folder / "report.html"
    write_report(evaluation, picture, path, f"{evaluation.dataset}: {evaluation.scoring}")
    return path


def write_comparison(
    evaluations: Mapping[str, Evaluation], path: Path, links: Mapping[str, str] | None = None
) -> None:
    """Write a page that sets several evaluations side by side, by name.

    `links` gives for a name the address of its own report, relative to the page.
    """
    page = environment().get_template("comparison.html")
    html = page.render(
        title="Comparison",
        evaluations=evaluations,
        links=links or {},
        roc=Markup(plots.roc_plot(evaluations)),
        precision_recall=Markup(plots.precision_recall_plot(evaluations)),
    )
    write_page(path, html)


def gallery(
    results: tuple[ImageResult, ...], limit: int = GALLERY_LIMIT
) -> tuple[ImageResult, ...]:
    """At most `limit` results, the most telling first.

    Misses from the lowest score up, false alarms from the highest score down, then the hardest of
    the rest: in turn the found defect of lowest and the passed good part of highest score. False
    alarms keep half of the places however many misses there are.
    """
    misses = _by_score(results, "miss")
    false_alarms = _by_score(results, "false alarm")[::-1]
    found = _by_score(results, "found")
    passed = _by_score(results, "passed")[::-1]
    n_misses = max(limit - len(false_alarms), limit // 2)
    rest = [r for pair in zip_longest(found, passed) for r in pair if r is not None]
    return tuple((misses[:n_misses] + false_alarms + rest)[:limit])


def headline(evaluation: Evaluation) -> str:
    """What the model did at its own threshold, in a sentence."""
    warning = " It was trained with masks of test defects." if evaluation.test_masks_used else ""
    return _outcome(evaluation) + warning


def _outcome(evaluation: Evaluation) -> str:
    n_defective, n_good = evaluation.n_test_defective, evaluation.n_test_normal
    found = f"Found {evaluation.count('found')} of {_parts(n_defective, 'defective')}"
    n_alarms = evaluation.count("false alarm")
    alarms = f"{n_alarms or 'no'} false alarm{'' if n_alarms == 1 else 's'}"
    if not n_good:
        return f"{found}; there were no good ones to raise a false alarm."
    if not n_defective:
        return f"{alarms.capitalize()} on {_parts(n_good, 'good')}; there was no defect to find."
    return f"{found}, {alarms} on {n_good} good one{'' if n_good == 1 else 's'}."


def _parts(n: int, adjective: str) -> str:
    return f"{n} {adjective} part{'' if n == 1 else 's'}"


def _by_score(results: tuple[ImageResult, ...], outcome: str) -> list[ImageResult]:
    return sorted((r for r in results if r.outcome == outcome), key=lambda r: (r.score, r.path))


def _plots(evaluation: Evaluation) -> list[tuple[str, str, Markup]]:
    """Title, caption and SVG of each plot."""
    alone = {"": evaluation}
    found = [
        (
            "Image scores",
            "The further apart the two hills, the better.",
            plots.histogram_plot(evaluation),
        ),
        ("ROC curve", "The dot is the model's own threshold.", plots.roc_plot(alone)),
        (
            "Precision and recall",
            "The dot is the model's own threshold.",
            plots.precision_recall_plot(alone),
        ),
    ]
    if evaluation.kinds:
        found.append(
            (
                "Recall by kind of defect",
                "Defective parts found of each kind.",
                plots.kinds_plot(evaluation),
            )
        )
    return [(title, caption, Markup(svg)) for title, caption, svg in found]


def jpeg_base64(picture: NDArray[np.uint8]) -> str:
    """A picture, uint8 [h, w, 3] RGB, small enough for a page."""
    height, width = picture.shape[:2]
    scale = min(1.0, _PICTURE_WIDTH / width, _PICTURE_HEIGHT / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if scale < 1:
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    bgr = np.ascontiguousarray(picture[..., ::-1])
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return base64.b64encode(data.tobytes()).decode()


def environment() -> jinja2.Environment:
    """The pages' templates, with the filters they use."""
    package, parts = Path(__file__).parents[1], ("evaluation", "experiments")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([package / part / "templates" for part in parts]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        figure=_figure, counted=_counted, best=_best, score=_score, file_name=_file_name
    )
    environment.globals.update(
        operating_point=OPERATING_POINT,
        image_metrics=IMAGE_METRICS,
        pixel_metrics=PIXEL_METRICS,
        facts=FACTS,
    )
    return environment


def _figure(evaluation: Evaluation, metric: Metric) -> str:
    value = getattr(evaluation, metric.field)
    if math.isnan(value):
        return "–"
    return f"{100 * value:.1f} %" if metric.percent else f"{value:.3f}"


def _counted(evaluation: Evaluation, metric: Metric) -> str:
    """The parts behind a rate of the operating point; nothing for other metrics."""
    if metric.field == "recall":
        return f"{evaluation.count('found')} of {_parts(evaluation.n_test_defective, 'defective')}"
    if metric.field == "false_alarm_rate":
        return f"{evaluation.count('false alarm')} of {_parts(evaluation.n_test_normal, 'good')}"
    return ""


def _file_name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _score(value: float) -> str:
    return f"{value:.4g}"


def _best(evaluations: Mapping[str, Evaluation], metric: Metric) -> str | None:
    """The figure that no other evaluation betters, as it is printed; None for a single one."""
    values = {_figure(e, metric): getattr(e, metric.field) for e in evaluations.values()}
    values = {text: value for text, value in values.items() if not math.isnan(value)}
    if len(values) < 2:
        return None
    return (max if metric.higher_is_better else min)(values, key=lambda text: values[text])


def write_page(path: Path, html: str) -> None:
    """Write a page whole or not at all, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, html.encode())

"""The HTML report of an evaluation: one file that opens anywhere, without a network."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.evaluation import plots
from patchcore_dual.evaluation.advice import advice
from patchcore_dual.evaluation.deciding_cards import DecidingCard
from patchcore_dual.evaluation.evaluation import Detector, image_in_region, known_mask
from patchcore_dual.evaluation.figures import (
    DAGGER,
    counted_parts,
    figure,
    interval,
    is_defined,
    rate_text,
    threshold_text,
)
from patchcore_dual.evaluation.former_report import REPORT_NAME
from patchcore_dual.evaluation.headline import outcomes
from patchcore_dual.evaluation.image_result import ImageResult
from patchcore_dual.evaluation.metric_labels import (
    IMAGE_METRICS,
    METRICS,
    OPERATING_POINT,
    PIXEL_METRICS,
    Metric,
)
from patchcore_dual.evaluation.results import Evaluation
from patchcore_dual.scoring.drawing import draw_panels
from patchcore_dual.scoring.operating_points import cost_text, least_cost_text, share
from patchcore_dual.utils.pages import page_environment, write_page
from patchcore_dual.utils.pictures import jpeg_base64
from patchcore_dual.utils.progress import Progress, silent

if TYPE_CHECKING:
    import jinja2

GALLERY_LIMIT = 48

_PANEL_SIZE = (480, 640)  # largest width and height of a panel in the gallery
_PANELS = ("Photograph, regions found", "Heat map", "True defect")

FACTS = (
    ("Date", "date"),
    ("Model", "model"),
    ("Data set", "dataset"),
    ("Split", "split"),
    ("Normal parts", "n_test_normal"),
    ("Defective parts", "n_test_defective"),
    ("Scoring", "scoring"),
    ("Backbone", "backbone"),
    ("Weights (sha256)", "weights_sha256"),
    ("Image size", "size"),
    ("Region of interest", "inspected_note"),
    ("Alignment", "alignment"),
    ("Seed", "seed"),
    ("False-alarm rate asked for", "false_alarm_rate_asked"),
    ("False-alarm rate expected", "false_alarm_rate_expected"),
    ("False-alarm rate promised", "false_alarm_rate_promised"),
    ("Normal images behind the threshold", "n_threshold_images"),
    ("Groups of these images", "n_threshold_groups"),
    ("Good training images set aside as mislabelled", "n_set_aside"),
    ("Synthetic training images", "synthetic_note"),
    ("Good training parts rejected in other light", "light_note"),
)


def write_report(
    evaluation: Evaluation,
    panels: Callable[[ImageResult], Sequence[NDArray[np.uint8]]],
    path: Path,
    title: str,
    names: Mapping[str, str] | None = None,
    deciding: Sequence[DecidingCard] = (),
) -> None:
    """Write the report of one evaluation as a single HTML file.

    Args:
        evaluation: of any split.
        panels: returns the panels of a result, uint8 `[h, w, 3]` RGB each: photograph, heat map
            and, if known, true defect. It is called for the images of the gallery only, one by one.
        path: of the file; its folder is made.
        title: of the page.
        names: by the path of an image, what the user calls it; its file name by default.
        deciding: training images that decide the threshold.
    """
    chosen = gallery(evaluation.images)
    page = _environment().get_template("report.html")
    html = page.render(
        title=title,
        evaluation=evaluation,
        headline=outcomes(evaluation),
        plots=_plots(evaluation),
        threshold_note=threshold_text(evaluation),
        steps=advice(evaluation),
        verdicts=_verdicts(evaluation),
        verdict_names=_verdict_names(evaluation),
        least_cost=_least_cost(evaluation),
        deciding=deciding,
        cards=[(result, _views(panels(result))) for result in chosen],
        file_names=names or {},
        n_left_out=len(evaluation.images) - len(chosen),
    )
    write_page(path, html)


def report_on(
    evaluation: Evaluation,
    detector: Detector,
    manifest: Manifest,
    folder: Path,
    progress: Progress = silent,
    *,
    title: str = "",
    deciding: Sequence[DecidingCard] = (),
) -> Path:
    """Write `report.html` into a folder; the images of its gallery are inspected again for it.

    Args:
        evaluation: of the detector.
        detector: fitted.
        manifest: the data set that it was evaluated on.
        folder: made where there is none.
        progress: called with the stage, the steps done and their number.
        title: of the page; the data set's name by default.
        deciding: training images that decide the threshold.

    Returns:
        The path of the report.
    """
    samples = {sample.image: sample for sample in manifest}
    n_cards = min(GALLERY_LIMIT, len(evaluation.images))
    drawn = 0

    def panels(result: ImageResult) -> list[NDArray[np.uint8]]:
        nonlocal drawn
        drawn += 1
        progress("pictures for the report", drawn, n_cards)
        sample = samples[result.path]
        (inspection,) = detector.inspect_many([image_in_region(manifest, sample)])
        mask = known_mask(manifest, sample, inspection.anomaly_map.shape)
        shown = mask if result.is_defective else None
        return draw_panels(
            inspection.image,
            inspection.heat,
            inspection.regions,
            shown,
            _PANEL_SIZE,
            inspection.inspected,
        )

    path = folder / REPORT_NAME
    sources = {name: sample.source for name, sample in samples.items() if sample.source}
    write_report(evaluation, panels, path, title or _name_of(manifest.folder), sources, deciding)
    return path


def write_comparison(
    evaluations: Mapping[str, Evaluation], path: Path, links: Mapping[str, str] | None = None
) -> None:
    """Write a page that sets several evaluations side by side.

    Args:
        evaluations: by name.
        path: of the page; its folder is made.
        links: by name, the address of an evaluation's own report, relative to the page.
    """
    page = _environment().get_template("comparison.html")
    html = page.render(
        title="Comparison",
        evaluations=evaluations,
        links=links or {},
        roc=plots.roc_plot(evaluations),
        precision_recall=plots.precision_recall_plot(evaluations),
    )
    write_page(path, html)


def gallery(
    results: tuple[ImageResult, ...], limit: int = GALLERY_LIMIT
) -> tuple[ImageResult, ...]:
    """At most `limit` results, the worst first.

    Misses by ascending score and false alarms by descending score, then the hardest of the others:
    in turn the found defect with the lowest and the passed normal image with the highest score.
    However many misses there are, half of the places are left to false alarms.
    """
    misses = _by_score(results, "miss")
    false_alarms = _by_score(results, "false alarm")[::-1]
    found = _by_score(results, "found")
    passed = _by_score(results, "passed")[::-1]
    n_misses = max(limit - len(false_alarms), limit // 2)
    rest = [r for pair in zip_longest(found, passed) for r in pair if r is not None]
    return tuple((misses[:n_misses] + false_alarms + rest)[:limit])


def _by_score(results: tuple[ImageResult, ...], outcome: str) -> list[ImageResult]:
    return sorted((r for r in results if r.outcome == outcome), key=lambda r: (r.score, r.path))


def _plots(evaluation: Evaluation) -> list[tuple[str, str, str]]:
    """Title, caption and SVG of each plot."""
    alone = {"": evaluation}
    made = [
        (
            "Image scores",
            "The further apart the two hills, the better.",
            plots.histogram_plot(evaluation),
        )
    ]
    if evaluation.n_test_normal and evaluation.n_test_defective:
        dot = "The dot is the model's own threshold."
        made += [
            ("ROC curve", dot, plots.roc_plot(alone)),
            ("Precision and recall", dot, plots.precision_recall_plot(alone)),
        ]
    if evaluation.kinds:
        made.append(
            (
                "Recall by kind of defect",
                "Defective parts found of each kind.",
                plots.kinds_plot(evaluation),
            )
        )
    return made


def _verdict_names(evaluation: Evaluation) -> list[str]:
    """The verdicts that the report counts; "not inspected" only where there are any."""
    is_used = any(r.verdict == "not inspected" for r in evaluation.images)
    return ["pass", "review", "reject", *(["not inspected"] if is_used else [])]


def _verdicts(evaluation: Evaluation) -> list[tuple[str, int, list[int]]]:
    """Of each class: name, number of images, and how many have each verdict."""
    rows, names = [], _verdict_names(evaluation)
    for name, is_defective in (("Normal", False), ("Defective", True)):
        of_class = [r.verdict for r in evaluation.images if r.is_defective == is_defective]
        if of_class:
            counts = [of_class.count(verdict) for verdict in names]
            rows.append((name, len(of_class), counts))
    return rows


def _least_cost(evaluation: Evaluation) -> str:
    if evaluation.costs is None:
        return ""
    return least_cost_text(evaluation.least_cost, evaluation.costs, "MODEL")


def _environment() -> "jinja2.Environment":
    """The environment of all pages, with the filters and tables of the report."""
    environment = page_environment()
    environment.filters.update(
        figure=figure,
        counted=counted_parts,
        interval=interval,
        rate=rate_text,
        share=share,
        cost=cost_text,
        best=_best,
        score=_score,
        file_name=_file_name,
    )
    environment.globals.update(
        dagger=DAGGER,
        is_defined=is_defined,
        is_number=math.isfinite,
        has_any=lambda metrics, e: any(is_defined(metric, [e]) for metric in metrics),
        recall=METRICS["recall"],
        operating_point=OPERATING_POINT,
        image_metrics=IMAGE_METRICS,
        pixel_metrics=PIXEL_METRICS,
        facts=FACTS,
    )
    return environment


def _views(panels: Sequence[NDArray[np.uint8]]) -> list[tuple[str, str]]:
    """Caption and JPEG of each panel."""
    return [
        (name, jpeg_base64(panel, _PANEL_SIZE))
        for name, panel in zip(_PANELS, panels, strict=False)
    ]


def _name_of(folder: Path) -> str:
    """What a prepared folder is called; with its parent where it is only called "prepared"."""
    folder = folder.resolve()
    name = f"{folder.parent.name}/{folder.name}" if folder.name == "prepared" else folder.name
    return name.strip("/")


def _file_name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _score(value: float) -> str:
    return f"{value:.4g}"


def _best(evaluations: Mapping[str, Evaluation], metric: Metric) -> str | None:
    """The best figure, as it is printed; None where all are printed alike."""
    values = {figure(e, metric): getattr(e, metric.field) for e in evaluations.values()}
    values = {text: value for text, value in values.items() if not math.isnan(value)}
    if len(values) < 2:
        return None
    return (min if metric.lower_is_better else max)(values, key=lambda text: values[text])

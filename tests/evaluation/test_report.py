"""The report: its cards and their order, its words, and that it needs nothing but itself."""

import base64
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from patchcore_dual.evaluation.advice import advice
from patchcore_dual.evaluation.deciding_cards import DecidingCard
from patchcore_dual.evaluation.headline import headline
from patchcore_dual.evaluation.image_result import ImageResult
from patchcore_dual.evaluation.pixel_metrics import PixelResult
from patchcore_dual.evaluation.plots import histogram_plot, kinds_plot
from patchcore_dual.evaluation.report import gallery, write_comparison, write_report
from patchcore_dual.evaluation.results import summarise
from patchcore_dual.scoring import (
    HeldOutResults,
    HeldOutScores,
    operating_point,
    operating_points,
)
from patchcore_dual.scoring.operating_points import Costs, cheapest_point

ABOUT = {
    "dataset": "metal",
    "split": "test",
    "scoring": "ratio",
    "backbone": "resnet18",
    "weights_sha256": "0123456789abcdef" * 4,
    "size": "224x632",
    "seed": 0,
    "n_training_images": 0,
}


def result(label, score, name="", kind=""):
    verdict = "reject" if score >= 1 else "pass"
    return ImageResult(name or f"test/{label}/{score}.png", label, kind, score, verdict)


def results():
    return [
        *(result("negative", s) for s in (0.1, 0.5, 0.3, 1.2, 1.6)),
        *(result("positive", s, kind="crack") for s in (0.7, 0.2, 1.1, 2.5)),
    ]


def evaluated(images=None, pixels=PixelResult(0.97, 0.5, 0.9, 1e-5), **more):  # noqa: B008
    return summarise(images or results(), 1.0, pixels, **{**ABOUT, **more})


def report_text(tmp_path, evaluation, title="x"):
    """The text of a page without its style and script."""
    write_report(evaluation, panels, tmp_path / "report.html", title)
    return Page(tmp_path / "report.html").text.split("PatchCoreDual", 2)[2]


def panels(_):
    return [np.full((20, 60, 3), (200, 30, 30), np.uint8)] * 2


class Page(HTMLParser):
    """What a test asks of a page: its elements with their attributes, its text, and its cards."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.texts = [], []
        self.feed(path.read_text(encoding="utf-8"))
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)

    def with_class(self, name):
        return [a for _, a in self.elements if name in (a.get("class") or "").split()]


@pytest.fixture
def page(tmp_path):
    write_report(evaluated(), panels, tmp_path / "out" / "report.html", "metal, ratio")
    return Page(tmp_path / "out" / "report.html")


def test_cards_come_worst_first(page):
    cards = [a["title"] for a in page.with_class("path")]
    scores = [float(re.search(r"([\d.]+)\.png", c)[1]) for c in cards]
    assert scores == [0.2, 0.7, 1.6, 1.2, 1.1, 0.5, 2.5, 0.3, 0.1]
    outcomes = [a["class"].split()[2] for a in page.with_class("card")]
    assert outcomes[:5] == ["miss", "miss", "false-alarm", "false-alarm", "found"]


def test_a_card_names_the_file_that_the_user_knows(tmp_path):
    images = [result("positive", 2.0, "test/positive/Crack-1.png"), result("negative", 0.1)]
    names = {"test/positive/Crack-1.png": "Crack/1.JPG"}
    write_report(evaluated(images), panels, tmp_path / "report.html", "x", names)
    text = Page(tmp_path / "report.html").text
    assert "Crack/1.JPG" in text
    assert "Crack-1.png" not in text
    assert "0.1.png" in text  # without a known source


def test_the_head_says_what_happened_at_the_models_threshold(page):
    assert "Found 2 of 4 defective parts, 2 false alarms on 5 normal ones." in page.text
    assert page.text.index("Recall 50.0 %") < page.text.index("Image AUROC")
    assert page.text.index("False-alarm rate 40.0 %") < page.text.index("Image AUROC")
    assert "resnet18" in page.text
    assert "0123456789ab " in page.text


def test_needs_no_network(page, tmp_path):
    write_comparison({"a": evaluated()}, tmp_path / "comparison.html")
    for path in (tmp_path / "out" / "report.html", tmp_path / "comparison.html"):
        text = path.read_text(encoding="utf-8")
        assert "://" not in re.sub(r"base64,[^\"]*", "", text)
        assert "@import" not in text
        for tag, attributes in Page(path).elements:
            assert tag not in ("link", "iframe", "object", "embed")
            assert attributes.get("src", "data:").startswith("data:")
            assert attributes.get("xlink:href", "#").startswith("#")


def test_pictures_are_inside_and_of_sensible_size(tmp_path):
    large = np.zeros((500, 3000, 3), np.uint8)
    large[..., 0] = 220
    write_report(evaluated(), lambda _: [large] * 3, tmp_path / "report.html", "x")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    data = re.findall(r"data:image/jpeg;base64,([^\"]+)", html)
    assert len(data) == 3 * 9
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(data[0]), np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == (80, 480, 3)
    blue, green, red = decoded.reshape(-1, 3).mean(0)
    assert red > 200
    assert max(blue, green) < 20


def test_names_are_escaped(tmp_path):
    name = 'test/positive/"><script>alert(1)</script>&.png'
    kind = "<b>$x$ & co"
    images = [*results(), result("positive", 0.05, name, kind)]
    write_report(evaluated(images), panels, tmp_path / "report.html", "<i>title</i>")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "<b>$x$" not in text
    assert "<i>title" not in text
    page = Page(tmp_path / "report.html")
    assert page.with_class("path")[0]["title"] == name
    assert page.text.count(kind) == 4  # in the advice, the table, the plot and the card


def test_pictures_are_asked_for_gallery_cards_only(tmp_path):
    images = [result("negative", i / 1000, f"{i}.png") for i in range(100)]
    images += [result("positive", 2.0, "found.png"), result("positive", 0.5, "miss.png")]
    asked = []

    def note(r):
        asked.append(r.path)
        return panels(r)

    write_report(evaluated(images), note, tmp_path / "report.html", "x")
    assert len(asked) == 48
    assert asked[:4] == ["miss.png", "found.png", "99.png", "98.png"]
    assert "54 more images are left out." in Page(tmp_path / "report.html").text


def test_many_misses_leave_room_for_false_alarms():
    images = [result("positive", i / 100) for i in range(20)]
    images += [result("negative", 2 + i) for i in range(3)]
    chosen = gallery(tuple(images), limit=8)
    assert [r.outcome for r in chosen] == ["miss"] * 5 + ["false alarm"] * 3
    images += [result("negative", 9 + i) for i in range(20)]
    chosen = gallery(tuple(images), limit=8)
    assert [r.outcome for r in chosen] == ["miss"] * 4 + ["false alarm"] * 4
    assert chosen[4].score == 28


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (
            [result("positive", 2.0), result("negative", 0.1)],
            "Found 1 of 1 defective part, no false alarms on 1 normal one.",
        ),
        ([result("positive", 2.0)], "Found 1 of 1 defective part; there were no normal ones"),
        ([result("negative", 2.0)], "1 false alarm on 1 normal part; there was no defect to find."),
        ([result("negative", 0.1)] * 2, "No false alarms on 2 normal parts;"),
    ],
)
def test_headline(images, words):
    assert headline(evaluated(images)).startswith(words)


@pytest.mark.parametrize("label", ["positive", "negative"])
def test_one_class_still_makes_a_report(tmp_path, label):
    images = [r for r in results() if r.label == label]
    write_report(evaluated(images), panels, tmp_path / "report.html", "x")
    text = Page(tmp_path / "report.html").text
    assert bool(re.search(r"False-alarm rate \d", text)) == (label == "negative")
    assert bool(re.search(r"Recall \d", text)) == (label == "positive")


def test_a_set_without_defects_has_no_rows_of_dashes(tmp_path):
    normal = [r for r in results() if not r.is_defective]
    text = report_text(tmp_path, evaluated(normal, None))
    for word in ("Recall", "AUROC", "AUPRO", "Best F1", "Precision"):
        assert word not in text.split("Measured on")[0], word
    assert "–" not in text.split("What to do next")[0].replace("Clopper–Pearson", "")
    assert "False-alarm rate 40.0 %" in text
    assert "Add defective parts to the test images" in text


def test_the_report_is_titled_by_part_date_and_model(tmp_path):
    made = evaluated(model="bracket-7", date="2026-11-25")
    assert report_text(tmp_path, made, "Bracket, left").startswith(
        " Bracket, left Test images · model bracket-7 · 2026-11-25"
    )


def test_rates_stand_beside_their_intervals_and_what_was_promised(tmp_path):
    images = [result("positive", 2.0) for _ in range(7)] + [result("positive", 0.1)] * 3
    images += [result("negative", 0.1)] * 19 + [result("negative", 3.0)]
    about = {
        "false_alarm_rate_asked": 0.01,
        "false_alarm_rate_expected": 0.01,
        "false_alarm_rate_promised": 0.05,
    }
    text = report_text(tmp_path, evaluated(images, n_threshold_images=19, **about))
    assert "Recall 70.0 % 7 of 10 defective parts true rate 35 to 93 %" in text
    assert "1 of 20 normal parts true rate 0 to 25 % 1.0 % expected, 5.0 % promised" in text
    assert "1.0 % false alarms expected; at most 5.0 % promised, from 19 held-out" in text
    assert "1.0 % cannot be promised: 19 groups of good parts allow no less than 5.0 %." in text


def held_out_points(costs=None):
    held_out = HeldOutResults(HeldOutScores(np.arange(1.0, 200.0) / 100), np.array([1.5, 1.985]))
    more = {"costs": costs, "least_cost": cheapest_point(held_out, costs)} if costs else {}
    return {"operating_points": operating_points(held_out, [0.01, 0.7]), **more}


def test_operating_points_have_a_table(tmp_path):
    made = evaluated(**held_out_points())
    text = report_text(tmp_path, made)
    assert "Operating points" in text
    # Allowed, threshold, expected, promised, of 1,000, known and left-out kinds; found and alarms.
    assert "1.0 % 1.98 1.0 % 1.0 % 10 50 % – 25.0 % 0.0 %" in text
    assert "70.0 % 0.6 70.0 % 70.0 % 700 100 % – 75.0 % 40.0 %" in text
    assert "Cost" not in text
    trained = report_text(tmp_path, evaluated(n_training_images=9, **held_out_points()))
    assert "On these images †" in trained
    assert "Verdicts †" in trained
    assert made.to_json()["operating_points"][0]["recall_known"] == 0.5
    assert "Operating points" not in report_text(tmp_path, evaluated())


def test_costs_name_the_cheapest_threshold_and_the_command(tmp_path):
    made = evaluated(**held_out_points(Costs(100, 1, 0.01)))
    text = report_text(tmp_path, made)
    assert "Cost of a part" in text
    assert f"threshold {made.least_cost.threshold.value:.4g}, with" in text
    assert "threshold MODEL --miss-cost 100 --false-alarm-cost 1 --defect-share 0.01" in text
    values = made.to_json()
    assert values["costs"] == {"miss": 100, "false_alarm": 1, "defect_share": 0.01}
    costs = [point["cost"] for point in values["operating_points"]]
    assert values["least_cost"]["cost"] <= min(costs)


def test_the_models_own_threshold_is_marked(tmp_path):
    held_out = HeldOutResults(HeldOutScores(np.arange(1.0, 200.0) / 100), np.array([1.5]))
    own = operating_point(held_out, held_out.normals.at(1.0))
    made = evaluated(operating_points=(own,))
    write_report(made, panels, tmp_path / "report.html", "x")
    page = Page(tmp_path / "report.html")
    assert len(page.with_class("own")) == 1
    assert made.outcome_at(1.0) == (made.recall, made.false_alarm_rate)


def test_what_is_rejected_whatever_its_score_stays_rejected_at_other_thresholds():
    covered = ImageResult("covered.png", "positive", "", 0.1, "reject")
    assert evaluated([*results(), covered]).outcome_at(99.0)[0] == 1 / 5


def test_what_became_of_the_images(tmp_path):
    images = [
        *results(),
        ImageResult("unsure.png", "negative", "", 0.9, "review"),
        ImageResult("dent.png", "positive", "dent", 0.95, "review"),
    ]
    text = report_text(
        tmp_path, evaluated(images, review_threshold=0.8, review_share_expected=0.04)
    )
    assert "Normal 6 3 50 % 1 17 % 2 33 % Defective 5 2 40 % 1 20 % 2 40 %" in text
    assert "Sent to review normal part verdict review" in text
    assert "Missed defect dent verdict review" in text
    assert "Rejected above 1, for review above 0.8: 4.0 % of normal parts are expected" in text
    none = report_text(tmp_path, evaluated(review_threshold=1.0, review_share_expected=0.0))
    assert "No image is for review" in none


def test_training_images_that_decide_the_threshold(tmp_path):
    cards = [
        DecidingCard("good/7.png", "good, scores like a defect", 4.25, 3.5, "AAAA"),
        DecidingCard("bad/3.png", "defective, nothing found", 0.5, None, ""),
    ]
    write_report(evaluated(), panels, tmp_path / "report.html", "x", deciding=cards)
    page = Page(tmp_path / "report.html")
    assert "Good, scores like a defect held-out score 4.25 threshold without it 3.5" in page.text
    assert "no longer where it was Defective, nothing found held-out score 0.5" in page.text
    assert {"data:image/jpeg;base64,AAAA"} <= {a.get("src") for _, a in page.elements}
    assert "good/7.png" in page.text
    assert "--exclude FILE" in page.text


def test_a_miss_is_said_in_words_and_wears_no_green(page):
    cards = [a["class"].split() for a in page.with_class("card")]
    assert cards[0][2] == "miss"
    assert "Missed defect" in page.text
    style = "".join(page.texts)
    assert re.search(r"\.card\.miss \{[^}]*var\(--alert\)", style)
    captions = "Photograph, regions found Heat map"
    assert page.text.count(captions) == len(cards)


def test_every_figure_on_training_images_is_marked(tmp_path):
    evaluation = evaluated(n_training_images=9, split="train")
    text = report_text(tmp_path, evaluation)
    assert "These images were used to fit the model" in text
    table = text.split("What to do next")[0] + text.split(" Metrics ")[1].split("Plots")[0]
    figures = re.findall(
        r"(?<!true rate )\b\d+\.\d+ %(?! expected| promised)(?: †)?|\b[01]\.\d{3}\b(?: †)?", table
    )
    assert len(figures) >= 12
    assert all(f.endswith("†") for f in figures)
    assert "†" not in report_text(tmp_path, evaluated())
    write_comparison({"a": evaluation}, tmp_path / "all.html")
    assert "†" in Page(tmp_path / "all.html").text


@pytest.mark.parametrize(
    ("images", "about", "first"),
    [
        ([result("positive", 2.0)] * 30 + [result("negative", 0.1)] * 30, {}, "Nothing was missed"),
        ([result("negative", 0.1)], {}, "Add defective parts"),
        ([result("positive", 2.0)], {}, "Add normal parts"),
        (None, {"n_training_images": 9}, "Evaluate on parts that the model has not seen"),
        (
            None,
            {"false_alarm_rate_promised": 0.01},
            "More normal parts were rejected than the 1.0 %",
        ),
        (None, {"false_alarm_rate_promised": 0.2}, "2 of 4 defective parts were missed"),
        (
            [result("positive", 5.0), *[result("negative", 2.0)] * 2],
            {"false_alarm_rate_promised": 0.9},
            "Look at the 2 false alarms",
        ),
        (
            [result("positive", 0.5), result("negative", 0.1)],
            {},
            "1 of 1 defective part was missed, and a lower threshold would find some of them",
        ),
        (
            [result("positive", 0.1), result("negative", 0.5)],
            {},
            "1 of 1 defective part was missed, and no threshold finds more at 5 % false alarms",
        ),
        (
            [result("positive", 2.0), result("negative", 0.5)],
            {
                "false_alarm_rate_asked": 0.01,
                "false_alarm_rate_expected": 0.01,
                "false_alarm_rate_promised": 0.1,
                "n_threshold_images": 9,
            },
            "Add normal training images, of other parts. 1.0 % cannot be promised: 9 groups",
        ),
    ],
)
def test_what_to_do_next_depends_on_what_was_found(images, about, first):
    assert advice(evaluated(images, **about))[0].startswith(first)


def test_few_defective_parts_leave_the_recall_open():
    images = [result("positive", 2.0)] * 10 + [result("negative", 0.1)] * 30
    assert advice(evaluated(images))[-1].endswith("anything from 69 to 100 %.")


def tick_labels(svg, label):
    """The numbers along the axis of a plot that has this label."""
    axis = next(
        part for part in svg.split('id="matplotlib.axis_')[1:] if f">{label}</text>" in part
    )
    texts = re.findall(r"<text[^>]*>(.*?)</text>", axis)
    return [float(text.replace("\N{MINUS SIGN}", "-")) for text in texts[: texts.index(label)]]


def test_scores_over_decades_are_on_a_logarithmic_axis():
    spread = [result("negative", 10.0**-i) for i in range(6)] + [result("positive", 1e4)]
    labels = tick_labels(histogram_plot(evaluated(spread)), "Image score")
    assert labels == [1e-4, 1e-2, 1, 1e2, 1e4]


def test_equal_scores_are_on_a_linear_axis_around_them():
    equal = [result("negative", 1.0), result("positive", 1.0)]
    labels = tick_labels(histogram_plot(evaluated(equal)), "Image score")
    steps = np.diff(labels)
    assert steps == pytest.approx(steps[0])
    assert min(labels) < 1 < max(labels)


def test_many_more_normal_than_defective_images_are_on_a_logarithmic_axis():
    images = [result("negative", 0.5) for _ in range(1000)] + [result("positive", 2.0)]
    assert tick_labels(histogram_plot(evaluated(images)), "Images") == [1, 10, 100, 1000]
    few = [result("negative", 0.5) for _ in range(5)] + [result("positive", 2.0)]
    assert tick_labels(histogram_plot(evaluated(few)), "Images") == [0, 1, 2, 3, 4, 5]


def test_the_kind_with_the_lowest_recall_is_the_first():
    images = [result("positive", s, kind=k) for s, k in ((2, "a"), (0, "b"), (2, "b"), (0, "c"))]
    svg = kinds_plot(evaluated([*images, result("negative", 0.1)]))
    texts = re.findall(r"<text[^>]*>(.*?)</text>", svg)
    assert [t for t in texts if t in "abc"] == ["c", "b", "a"]
    assert [t for t in texts if " of " in t] == ["0 of 1", "1 of 2", "1 of 1"]


def test_same_evaluation_gives_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_report(evaluated(), panels, tmp_path / name, "x")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_comparison_marks_the_better_and_links_to_reports(tmp_path):
    better = [result("negative", 0.1), result("negative", 0.2), result("positive", 2.0)]
    evaluations = {"patchcore": evaluated(), "dual": evaluated(better)}
    write_comparison(evaluations, tmp_path / "all.html", {"dual": "dual/report.html"})
    page = Page(tmp_path / "all.html")
    assert [a["href"] for tag, a in page.elements if tag == "a"] == ["dual/report.html"]
    assert (
        "50.0 % 2 of 4 defective parts true rate 7 to 93 % 100.0 % 1 of 1 defective part"
        in page.text
    )
    # Recall, false alarms and the five image metrics; the pixel metrics are equal.
    assert len(page.with_class("best")) == 8


@pytest.mark.parametrize("tallest", [1, 2, 3, 18, 60])
def test_numbers_of_images_are_whole(tallest):
    images = [result("negative", 0.1)] * tallest + [result("positive", 2.0)]
    labels = tick_labels(histogram_plot(evaluated(images)), "Images")
    assert labels
    assert all(number == int(number) for number in labels)

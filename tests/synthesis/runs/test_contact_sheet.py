"""The picture and the page on which synthetic defects are looked at."""

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from patchcore_dual.synthesis.gates.report import GateResult
from patchcore_dual.synthesis.runs.contact_sheet import Card, draw_sheet, focus_box, write_page
from synthesis.generators_common import grey_surface

ODD = "<b>&\"'</b></script>"


def card(number: int, **more) -> Card:
    image = grey_surface(number, 96, 128)
    mask = np.zeros((128, 96), bool)
    mask[20 : 26 + number, 30:50] = True
    image[mask] = 20
    return Card(f"{number:04d}.png", image, mask, **more)


def cards(n: int) -> list[Card]:
    return [card(number) for number in range(1, n + 1)]


class Page(HTMLParser):
    """The elements of a page, with their attributes, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(self.source)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def synthetic(self) -> list[dict[str, str | None]]:
        return [a for a in self.all("article") if "data-name" in a]

    def marks(self) -> dict[str, str]:
        return json.loads(re.search(r"let marks = (.*);", self.source)[1])


@pytest.fixture
def page(tmp_path):
    def page(*arguments, **options) -> Page:
        write_page(tmp_path / "sheet.html", *arguments, **options)
        return Page(tmp_path / "sheet.html")

    return page


def test_the_page_shows_every_card_and_the_real_defects(page):
    made = page(cards(7), [card(9, kind="crack")], "Seven", ["Look."])
    assert [a["data-name"] for a in made.synthetic()] == [f"{n:04d}.png" for n in range(1, 8)]
    assert len(made.all("article")) == 8
    assert "Seven" in made.text
    assert "Look." in made.text
    assert "crack" in made.text


def test_the_page_needs_no_network(page):
    made = page(cards(2), cards(1), "Two", [])
    for tag, attributes in made.elements:
        assert tag not in ("link", "iframe"), attributes
        for name in ("src", "href"):
            value = attributes.get(name) or "data:"
            assert value.startswith(("data:", "#")), value
    assert "url(" not in made.source
    assert "@import" not in made.source
    assert "fetch(" not in made.source


def test_pictures_are_the_image_and_its_defect_close_up(page):
    only = card(1)
    made = page([only], [], "One", [])
    data = [image["src"].removeprefix("data:image/jpeg;base64,") for image in made.all("img")]
    whole, zoom = (np.asarray(Image.open(io.BytesIO(base64.b64decode(d)))) for d in data)
    assert np.abs(whole.astype(int) - only.image).mean() < 4
    assert np.abs(zoom.astype(int) - focus_box(only.mask).cut(only.image)).mean() < 4
    (path,) = made.all("path")
    x, y = np.array(re.findall(r"([\d.]+) ([\d.]+)", path["d"]), float).T
    assert (x.min(), x.max(), y.min(), y.max()) == (30.5, 49.5, 20.5, 26.5)


def test_marks_come_from_the_lists(page):
    made = page(cards(4), [], "Four", [], accepted=["0001.png"], rejected=["0003.png"])
    assert made.marks() == {"0001.png": "accept", "0003.png": "reject"}
    both = page(cards(1), [], "Both", [], accepted=["0001.png"], rejected=["0001.png"])
    assert both.marks() == {"0001.png": "reject"}, "as `rejected` reads them"


def test_what_the_gates_left_out_says_why_and_cannot_be_marked(page):
    failed = GateResult(1, 2, False, "hardly visible: 1 from good surface")
    passed = GateResult(3, 2, True, "no seam: 3")
    out = card(2, gates={"visible": failed, "seamless": passed}, left_out=(failed.reason,))
    made = page([card(1), out], [], "Two", [])
    first, second = made.synthetic()
    assert "left-out" not in first["class"]
    assert "left-out" in second["class"]
    assert failed.reason in made.text
    assert passed.reason in made.text
    marked = [b["data-mark"] for b in made.all("button") if "data-mark" in b]
    assert marked == ["accept", "reject"], "those of the first card"


def test_odd_names_are_text_and_nothing_else(page):
    real = Card(f"train/{ODD}.png", card(1).image, card(1).mask, ODD)
    plain = page(cards(1), [card(2)], "title", ["summary"])
    odd = page([card(1, kind=ODD, facts={ODD: ODD})], [real], ODD, [ODD])
    assert not odd.all("b")[0]
    assert len(odd.all("script")) == 1
    assert [t for t, _ in odd.elements if t not in ("dt", "dd", "p")] == [
        t for t, _ in plain.elements if t not in ("dt", "dd", "p")
    ]
    assert odd.text.count(ODD) == 6 + 1  # title twice, summary, two kinds, a fact's name and value


def test_other_images_of_the_same_names_have_other_marks_in_the_browser(page):
    def key(**facts) -> str:
        made = page([card(1, facts=facts)], [], "t", [])
        return re.search(r'const key = "(.*)"', made.source)[1]

    assert key(seed="1") == key(seed="1")
    assert key(seed="1") != key(seed="2")


@pytest.mark.parametrize("n", [1, 5, 6, 11])
def test_the_picture_has_five_defects_a_row(n):
    heights = {k: draw_sheet(cards(k), [], "Some").shape[0] for k in (1, 5, 6, 11)}
    assert heights[1] == heights[5] < heights[6] < heights[11]
    assert heights[11] - heights[6] == heights[6] - heights[5]
    sheet = draw_sheet(cards(n), cards(3), "Some")
    assert sheet.dtype == np.uint8
    assert sheet.shape == (heights[n] + heights[1], draw_sheet(cards(1), [], "x").shape[1], 3)


def test_the_picture_shows_each_defect_with_and_without_its_outline():
    image = np.full((60, 60, 3), 200, np.uint8)
    mask = np.zeros((60, 60), bool)
    mask[20:40, 20:40] = True
    sheet = draw_sheet([Card("0001.png", image, mask)], [], "One").astype(int)
    red = (sheet[..., 0] - sheet[..., 1]) > 100
    columns = np.flatnonzero(red.any(axis=0))
    assert columns.size
    assert columns.min() > 14 + 132, "only in the right one of the two"


def test_a_long_title_and_left_out_cards_are_drawn():
    failed = GateResult(1, 2, False, "hardly visible: 1 from good surface")
    out = card(2, gates={"visible": failed}, left_out=(failed.reason,))
    same = draw_sheet([card(2)], [], "t " * 200)
    assert not np.array_equal(draw_sheet([out], [], "t " * 200), same)


def test_beyond_the_limit_the_picture_says_how_many_there_are(monkeypatch):
    monkeypatch.setattr("patchcore_dual.synthesis.runs.contact_sheet.SHEET_LIMIT", 5)
    few = draw_sheet(cards(5), [], "Some, the first 5 of 7")
    assert np.array_equal(draw_sheet(cards(7), [], "Some"), few)


@pytest.mark.parametrize(("height", "width"), [(128, 96), (40, 300), (20, 20)])
def test_the_close_up_holds_the_defect_and_lies_in_the_image(height, width):
    rng = np.random.default_rng(0)
    for _ in range(40):
        mask = np.zeros((height, width), bool)
        y, x = rng.integers(height), rng.integers(width)
        mask[y : y + rng.integers(1, 40), x : x + rng.integers(1, 60)] = True
        box = focus_box(mask)
        assert box.x >= 0
        assert box.y >= 0
        assert box.x + box.width <= width
        assert box.y + box.height <= height
        assert box.cut(mask).sum() == mask.sum()

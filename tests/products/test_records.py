"""What a second run takes from the first, wherever that was cut off."""

import shutil

import pytest

from patchcore_dual.products.records import Figures, Records
from patchcore_dual.products.table import Product

FIGURES = Figures(6, 3, 0, (64, 96), 0.5, None, 0.01, 0.25, "0" * 16, 3.0, 2**30, "pc", ("look",))


@pytest.fixture
def product(prepared, tmp_path):
    return Product("a", prepared.folder, tmp_path / "model", 2, {"seed": "1"})


def save(product, content="{}"):
    product.model.mkdir(exist_ok=True)
    (product.model / "model.json").write_text(content)


def test_a_finished_product_is_known_until_its_row_or_images_change(product, prepared, tmp_path):
    report = tmp_path / "report"
    Records(report).begin(product)
    save(product)
    Records(report).finish(product, FIGURES)
    assert Records(report).state(product).figures == FIGURES
    other = Product("a", product.data, product.model, 2, {"seed": "2"})
    assert Records(report).state(other).changes == 'seed was "1" and is "2" now'
    copy = tmp_path / "copy"
    shutil.copytree(prepared.folder, copy)
    moved = Product("a", copy, product.model, 2, {"seed": "1"})
    assert Records(report).state(moved).name == "changed"
    shutil.rmtree(product.model)
    assert Records(report).state(product).name == "open"


def test_a_model_saved_just_before_the_end_may_be_replaced_and_anothers_may_not(product, tmp_path):
    records = Records(tmp_path / "report")
    records.begin(product)
    save(product)
    assert Records(tmp_path / "report").state(product).is_saved
    records.begin(product)  # the folder now holds a model from before
    assert not Records(tmp_path / "report").state(product).is_saved

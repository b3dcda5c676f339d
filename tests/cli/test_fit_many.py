"""`fit-many` as a user runs it: resuming, changed rows, failing products, bad tables."""

import pytest

from patchcore_dual.detector import PatchCoreDual


@pytest.fixture
def write(tmp_path):
    """Write a table of products, given its lines."""

    def write(*lines):
        path = tmp_path / "products.csv"
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


def test_products_are_fitted_once_and_one_that_fails_ends_alone(
    run, prepared, write, tmp_path, fitted_with
):
    table = write(
        "data,model,scoring,seed",
        f"{prepared.folder},models/a,patchcore,",
        f"{prepared.folder},models/b,patchcore,1",
        "nowhere,models/c,,",
    )
    command = ("fit-many", table, "--report", tmp_path / "report")
    first = run(*command, "--workers", 2)
    assert first.code == 2
    assert "3 products: 2 fitted, 1 failed." in first.out
    assert "c (line 4) failed:" in first.err
    assert "nowhere is not a prepared data set: it does not exist." in first.err
    assert first.err.count("error:") == 1
    model = PatchCoreDual.load(tmp_path / "models" / "a")
    assert model.fingerprint == fitted_with(scoring="patchcore").fingerprint
    page = (tmp_path / "report" / "products.html").read_text()
    assert 'href="../models/a"' in page
    assert "nowhere is not a prepared data set" in page
    assert "http" not in page.replace("http-equiv", "")

    write(
        "data,model,scoring,seed",
        f"{prepared.folder},models/a,patchcore,",
        f"{prepared.folder},models/b,patchcore,2",
    )
    again = run(*command)
    assert again.code == 2
    assert "2 products: 1 fitted before, 1 failed." in again.out
    assert 'seed was "1" and is "2" now. Add --overwrite' in again.err
    replaced = run(*command, "--overwrite", "--json")
    assert replaced.code == 0
    assert [one["ended"] for one in replaced.json["products"]] == ["as before", "fitted"]
    assert (tmp_path / "models" / "b").is_dir()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("data,model,siz", "a,b,c"), "line 1: unknown column siz. Known are product, data, model"),
        (("data", "a"), "line 1: no column model (there are data)."),
        (("data,model", "a,m", "b,./m"), "line 3: the model"),
        (("data,model,size", "a,m,12"), "line 2: --size is '12'; use WIDTHxHEIGHT"),
        (("data,model,seed", "a,m,x"), "line 2: Invalid value for '--seed'"),
        (("data,model,keep-all", "a,m,maybe"), "line 2: keep-all is 'maybe'; use yes or no."),
        (("data,model",), "lists no products"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_before_anything_is_fitted(
    fails, write, tmp_path, lines, said
):
    assert said in fails("fit-many", write(*lines), "--report", tmp_path / "report")
    assert not (tmp_path / "report").exists()

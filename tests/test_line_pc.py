"""A PC on the line: the wheel and its base dependencies, without PyTorch, decide as here."""

import csv
import json
import os
import subprocess

import pytest

from containerfile import entry_point, first_stage
from lookalikes import make_kolektorsdd
from patchcore_dual.data.prepare.preparation import prepare
from patchcore_dual.data.reading import read_image, write_png
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.evaluation.evaluation import evaluate

TOLERANCE = 1e-4  # relative, of scores on another machine; here it is the same one
EXTRAS = ("torch", "jinja2", "matplotlib", "transformers")


@pytest.fixture(scope="module")
def on_the_line(line_pc, tmp_path_factory):
    """Run the program of that environment, in an empty folder."""
    folder = tmp_path_factory.mktemp("line")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}

    def call(*arguments, program=("patchcore-dual",), **options):
        first, *rest = program
        return subprocess.run(
            [str(line_pc / "bin" / first), *rest, *map(str, arguments)],
            cwd=folder,
            env={**environment, "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
            **options,
        )

    return call


@pytest.fixture(scope="module")
def test_images(prepared):
    part = prepared.part("test")
    return [part.image_path(sample) for sample in part]


@pytest.fixture(scope="module", params=["ratio", "calibrated", "int8"])
def fitted(request, fitted_with, tmp_path_factory):
    """A detector fitted here, and its folder."""
    folder = tmp_path_factory.mktemp("fitted")
    if request.param == "int8":  # takes more images than there are in `prepared`
        source = make_kolektorsdd(folder / "source", n_commutators=8)
        prepare("kolektorsdd", source, folder / "prepared", width=64, height=96)
        detector = PatchCoreDual(precision="int8").fit(folder / "prepared")
    else:
        detector = fitted_with(scoring=request.param)
    detector.save(folder / "model")
    return detector, folder / "model"


def test_there_is_no_pytorch_nor_any_other_extra(on_the_line):
    find = f"from importlib.util import find_spec; print([n for n in {EXTRAS} if find_spec(n)])"
    assert on_the_line("-c", find, program=("python",)).stdout.strip() == "[]"
    place = on_the_line("-c", "import patchcore_dual as p; print(p.__file__)", program=("python",))
    assert "site-packages" in place.stdout


def test_the_container_installs_the_base_package_alone():
    text = " ".join(rest for _, rest in first_stage())
    assert "[train]" not in text
    assert "torch" not in text


def test_verdicts_are_those_of_the_pc_that_fitted(on_the_line, fitted, test_images):
    detector, folder = fitted
    result = on_the_line("inspect", folder, *test_images, "--jsonl")
    assert result.returncode == 0, result.stderr
    there = [json.loads(line) for line in result.stdout.splitlines()]
    here = [one.to_json() for one in detector.inspect_many(test_images)]
    assert [one["verdict"] for one in there] == [one["verdict"] for one in here]
    assert len({one["score"] for one in here}) == len(test_images)
    for key in ("score", "threshold", "review_threshold"):
        expected = pytest.approx([one[key] for one in here], rel=TOLERANCE)
        assert [one[key] for one in there] == expected
    for key in ("path", "regions", "nearest_normal", "nearest_defect", "model"):
        assert [_rounded(one[key]) for one in there] == [_rounded(one[key]) for one in here]


def _rounded(value):
    """Without the numbers that rounding can change."""
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    if isinstance(value, dict):
        return {k: v for k, v in value.items() if k not in ("peak", "distance")}
    return value


def test_the_entry_point_of_the_container_inspects(on_the_line, line_pc, model_folder, test_images):
    program, *words = entry_point(line_pc)
    assert program == str(line_pc / "bin/patchcore-dual")
    paths = "\n".join(map(str, test_images))
    result = on_the_line(*words, model_folder, "-", "--jsonl", input=paths)
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == len(test_images)


def test_a_model_is_taught_there(on_the_line, fitted_with, prepared, tmp_path):
    fitted_with().save(tmp_path / "model")
    sample = prepared.part("train", "positive").samples[0]
    image = read_image(prepared.image_path(sample)).astype(int) + 3
    write_png(tmp_path / "new.png", image.clip(0, 255).astype("uint8"))
    mask = ("--mask", prepared.mask_path(sample), "--force", "--json")
    result = on_the_line("teach", tmp_path / "model", tmp_path / "new.png", "--defect", *mask)
    assert result.returncode == 0, result.stderr
    taught = PatchCoreDual.load(tmp_path / "model")
    assert json.loads(result.stdout)["fingerprint"] == taught.fingerprint
    assert taught.inspect(tmp_path / "new.png").nearest_defect.image.endswith("/new.png")


def test_pictures_need_no_extra(on_the_line, model_folder, test_images, tmp_path):
    result = on_the_line("inspect", model_folder, test_images[0], "--out", tmp_path / "out")
    assert result.returncode == 0
    assert len(list((tmp_path / "out").glob("*.jpg"))) == 1
    assert "no page: it needs jinja2" in result.stderr


def test_evaluate_needs_an_extra_for_the_report_alone(
    on_the_line, detector, prepared, model_folder, tmp_path
):
    files = ("--scores", tmp_path / "scores.csv", "--maps", tmp_path / "maps")
    result = on_the_line("evaluate", model_folder, prepared.folder, "--json", *files)
    assert result.returncode == 0, result.stderr
    there, here = json.loads(result.stdout), evaluate(detector, prepared).to_json()
    for key in ("image_auroc", "image_ap", "pixel_auroc", "recall", "false_alarm_rate"):
        assert there[key] == pytest.approx(here[key], rel=TOLERANCE)
    with open(tmp_path / "scores.csv") as file:
        assert len(list(csv.DictReader(file))) == len(here["images"])
    assert len(list((tmp_path / "maps").rglob("*.npy"))) == len(here["images"])
    report = on_the_line("evaluate", model_folder, prepared.folder, "--report", tmp_path / "report")
    assert report.returncode == 2
    assert report.stderr == (
        "error: a report needs jinja2, which is not installed: "
        "pip install 'patchcore-dual[train]'\n"
    )
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("audit", "PREPARED"), 0),
        (("threshold", "MODEL"), 0),
        (("fit", "PREPARED", "--model", "OUT"), 2),
        (("augment", "perlin", "PREPARED"), 2),
        (("demo", "--out", "OUT"), 2),
        (("inspect", "MODEL", "PREPARED", "--device", "cuda"), 2),
    ],
)
def test_other_commands_work_or_say_what_to_install(
    on_the_line, prepared, model_folder, tmp_path, arguments, code
):
    paths = {"PREPARED": prepared.folder, "MODEL": model_folder, "OUT": tmp_path / "out"}
    result = on_the_line(*(paths.get(a, a) for a in arguments))
    assert result.returncode == code
    assert "Traceback" not in result.stderr
    if code:
        assert len(result.stderr.splitlines()) == 1
        assert "pip install 'patchcore-dual[train]'" in result.stderr

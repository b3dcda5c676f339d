"""`study` as a user runs it: photographs of parts taken again, logs, people, and bad input."""

import csv
import json
import shutil
from collections import defaultdict
from html.parser import HTMLParser

import numpy as np
import pytest

from aiag import ALL_EFFECTIVE, EFFECTIVE, verdicts
from lookalikes import save, scratch, surface
from patchcore_dual.evaluation.metrics import proportion_interval

N_GOOD, N_DEFECTIVE, N_TRIALS = 14, 8, 2


def photograph(image, generator):
    """The same part again: moved by a pixel or two, with noise."""
    moved = np.roll(image, tuple(generator.integers(-2, 3, 2)), (0, 1))
    return np.clip(moved + generator.normal(0, 3, image.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def repeats(tmp_path_factory):
    """Parts photographed twice, in folders of parts."""
    folder = tmp_path_factory.mktemp("repeats")
    generator = np.random.default_rng(0)
    for number in range(N_GOOD + N_DEFECTIVE):
        image = surface(100 * (1 + number % 6) + 1 + number % 2, 50, 126)
        if number >= N_GOOD:
            scratch(image, (10, 30 + 5 * (number - N_GOOD), 4 * (number - N_GOOD), 4))
        kind = "defect" if number >= N_GOOD else "good"
        grey = np.repeat(image[..., :1], 3, 2)
        for trial in range(N_TRIALS):
            path = folder / kind / f"part{number}" / f"{trial}.png"
            save(path, photograph(grey, generator))
    return folder


@pytest.fixture(scope="module")
def table(repeats, tmp_path_factory):
    """The same study as a table."""
    path = tmp_path_factory.mktemp("table") / "parts.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "part", "reference", "trial"])
        for image in sorted(repeats.rglob("*.png")):
            kind, part, name = image.relative_to(repeats).parts
            writer.writerow([image.relative_to(repeats), part, kind, name[0]])
    return path


@pytest.fixture
def log(run, model_folder, repeats, tmp_path):
    """What `inspect --jsonl` prints of the photographs."""
    result = run("inspect", model_folder, repeats, "--jsonl")
    (tmp_path / "log.jsonl").write_text(result.out)
    return tmp_path / "log.jsonl"


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


class _Page(HTMLParser):
    """The texts of a page, and the addresses that it loads."""

    def __init__(self, html):
        super().__init__()
        self.texts, self.loads = [], []
        self.feed(html)
        self.text = " ".join(" ".join(self.texts).split())

    def handle_data(self, data):
        self.texts.append(data)

    def handle_starttag(self, tag, attrs):
        self.loads += [value for name, value in attrs if name in ("src", "href")]


@pytest.mark.parametrize("review", ["reject", "pass", "apart"])
def test_the_figures_are_those_of_the_verdicts_of_inspect(
    run, model_folder, repeats, log, tmp_path, review
):
    result = run(
        "study", model_folder, repeats, "--out", tmp_path / "out", "--json", "--review", review
    )
    assert result.code == 0
    counted = {
        "pass": "pass",
        "reject": "reject",
        "review": {"apart": "review"}.get(review, review),
    }
    said, scores = defaultdict(list), defaultdict(list)
    for line in map(json.loads, log.read_text().splitlines()):
        *_, kind, part, _ = line["path"].split("/")
        said[kind, part].append(counted[line["verdict"]])
        scores[kind, part].append(line["score"])
    (model,) = result.json["appraisers"]
    bad = [v for (kind, _), of_part in said.items() if kind == "defect" for v in of_part]
    good = [v for (kind, _), of_part in said.items() if kind == "good" for v in of_part]
    alike = sum(len(set(v)) == 1 for v in said.values())
    right = {"good": {"pass"}, "defect": {"reject"}}
    effective = sum(set(v) == right[kind] for (kind, _), v in said.items())
    assert model["misses"]["hits"] == bad.count("pass")
    assert model["misses"]["n"] == len(bad) == N_DEFECTIVE * N_TRIALS
    assert model["false_alarms"]["hits"] == good.count("reject")
    assert model["repeatability"]["hits"] == alike
    assert model["effectiveness"]["hits"] == effective
    ends = proportion_interval(effective, N_GOOD + N_DEFECTIVE)
    assert [model["effectiveness"][end] for end in ("low", "high")] == pytest.approx(ends)
    variances = [np.var(s, ddof=1) for s in scores.values()]
    assert result.json["scores"]["repeatability"] == pytest.approx(np.mean(variances) ** 0.5)
    wrong = [part for (kind, part), v in said.items() if set(v) != right[kind]]
    assert sorted(result.json["disagreeing_parts"]) == sorted(wrong)
    assert wrong  # else this study would show little
    assert len(wrong) < N_GOOD + N_DEFECTIVE


def test_the_page_and_the_tables(run, model_folder, repeats, tmp_path):
    out = tmp_path / "out"
    arguments = (
        "study",
        model_folder,
        repeats,
        "--out",
        out,
        "--name",
        "<Bracket> 7",
        "--by",
        "Quality",
    )
    result = run(*arguments)
    assert result.code == 0
    assert (
        "22 parts (14 good, 8 defective), 2 trials of each; review counts as reject" in result.out
    )
    assert f"Page: {out / 'study.html'}" in result.out
    assert "WARNING: 22 parts" in result.err
    assert {p.name for p in out.iterdir()} == {
        *("study.html", "study.json", "trials.csv", "summary.csv")
    }
    kept = json.loads((out / "study.json").read_text())
    assert (kept["name"], kept["by"], kept["version"]) == ("<Bracket> 7", "Quality", "1")
    trials = rows(out / "trials.csv")
    assert len(trials) == 44
    assert {t["verdict"] for t in trials} <= {"pass", "review", "reject"}
    summary = {row["measure"]: row for row in rows(out / "summary.csv")}
    assert float(summary["effectiveness"]["value"]) == pytest.approx(
        kept["appraisers"][0]["effectiveness"]["value"], rel=1e-5
    )
    html = (out / "study.html").read_text("utf-8")
    page = _Page(html)
    assert "$" not in page.text
    assert "<Bracket> 7" in page.text
    assert kept["fingerprint"] in page.text
    assert "22: 14 good, 8 defective" in page.text
    assert "counts as reject" in page.text
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.loads)
    assert len(page.loads) == N_TRIALS * len(kept["disagreeing_parts"])
    for part in kept["disagreeing_parts"]:
        assert part in page.text
    assert html.count("<circle") == 44 + 2


def test_a_log_a_table_and_folders_give_the_same(run, model_folder, repeats, table, log, tmp_path):
    def figures(*arguments):
        result = run(
            "study", model_folder, *arguments, "--out", tmp_path / "o", "--overwrite", "--json"
        )
        assert result.code == 0, result.err
        return result.json["appraisers"], result.json["scores"]

    folders = figures(repeats)
    assert figures(repeats, "--parts", table) == folders
    assert figures(repeats, "--verdicts", log) == folders
    # A log that was written elsewhere, with other folders above.
    text = log.read_text().replace(str(repeats), "D:\\\\line 4\\\\repeats")
    log.write_text(text.replace("/", "\\\\"))
    assert figures("--parts", table, "--verdicts", log) == folders


def test_aiags_example_of_three_appraisers(run, model_folder, tmp_path):
    said, reference = verdicts()
    lines = ["part,reference,appraiser,trial,verdict"]
    for a, name in enumerate("ABC"):
        for part, is_bad in enumerate(reference):
            kind = "defect" if is_bad else "good"
            for trial in range(3):
                verdict = "reject" if said[a, part, trial] else "pass"
                lines.append(f"{part + 1},{kind},{name},{trial + 1},{verdict}")
    table = tmp_path / "parts.csv"
    table.write_text("\n".join(lines))
    out = tmp_path / "out"
    result = run("study", model_folder, "--parts", table, "--out", out, "--json")
    assert result.code == 0
    assert "a study of the others alone" in result.err
    for a in result.json["appraisers"]:
        assert a["effectiveness"]["hits"] == EFFECTIVE[a["name"]][0]
    assert result.json["all_effective"]["hits"] == ALL_EFFECTIVE
    kappas = {"".join(p["appraisers"]): round(p["kappa"]["value"], 2) for p in result.json["pairs"]}
    assert kappas == {"AB": 0.86, "AC": 0.78, "BC": 0.79}
    assert (
        "A is not acceptable by miss rate; marginal by effectiveness"
        in _Page((out / "study.html").read_text("utf-8")).text
    )


def test_people_are_compared_with_the_model(run, model_folder, repeats, table, tmp_path):
    people = [
        {"image": "", "part": r["part"], "reference": r["reference"], "trial": r["trial"]}
        | {"appraiser": "=Kim", "verdict": "reject" if r["reference"] == "defect" else "pass"}
        for r in rows(table)
    ]
    both = tmp_path / "both.csv"
    with both.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(people[0]))
        writer.writeheader()
        writer.writerows([r | {"appraiser": "", "verdict": ""} for r in rows(table)] + people)
    result = run(
        "study", model_folder, repeats, "--parts", both, "--out", tmp_path / "out", "--json"
    )
    model, kim = result.json["appraisers"]
    assert (model["name"], kim["name"]) == ("model", "=Kim")
    assert kim["effectiveness"]["value"] == 1
    for name in ("trials.csv", "summary.csv"):  # no formula for a spreadsheet
        names = {row["appraiser"] for row in rows(tmp_path / "out" / name)}
        assert {"model", "'=Kim"} <= names <= {"model", "'=Kim", "all"}
    # Whoever is always right agrees with the model as the reference does.
    (pair,) = result.json["pairs"]
    assert pair["kappa"] == model["kappa_reference"]


def test_too_little_for_a_study(fails, run, model_folder, repeats, table, tmp_path):
    out = ("--out", tmp_path / "out")
    some = tmp_path / "some"
    shutil.copytree(repeats, some)
    (some / "good/part3/1.png").unlink()
    message = fails("study", model_folder, some, *out)
    assert "not every part has 2 trials by every appraiser (part3 by the model: 1)" in message
    assert "--trials is 1" in fails("study", model_folder, repeats, *out, "--trials", "1")
    assert "not every part has 3" in fails("study", model_folder, repeats, *out, "--trials", "3")
    for number in (3, 4, 5):
        shutil.rmtree(some / f"good/part{number}")
    assert "19 parts are too few" in fails("study", model_folder, some, *out)
    shutil.rmtree(some / "defect")
    assert "no part is defective" in fails("study", model_folder, some, *out)
    assert not (tmp_path / "out").exists()


def test_photographs_that_cannot_be_used(fails, model_folder, repeats, prepared, tmp_path):
    out = ("--out", tmp_path / "out")
    some = shutil.copytree(repeats, tmp_path / "some")
    shutil.copy(some / "good/part3/0.png", some / "good/part3/1.png")
    assert "is a copy of" in fails("study", model_folder, some, *out)
    trained = prepared.part("train", "negative")
    shutil.copy(trained.image_path(trained.samples[0]), some / "good/part3/1.png")
    assert "an image that the model was fitted on" in fails("study", model_folder, some, *out)
    (some / "good/part3/1.png").write_bytes(b"no image")
    (some / "good/part4/1.png").write_bytes(b"nor this")
    message = fails("study", model_folder, some, *out)
    assert "2 problems" in message
    assert "part4" in message
    assert not (tmp_path / "out").exists()


def test_logs_that_cannot_be_used(fails, model_folder, repeats, log, tmp_path):
    def refused(text):
        log.write_text(text)
        return fails("study", model_folder, repeats, "--verdicts", log, "--out", tmp_path / "out")

    text = log.read_text()
    lines = text.splitlines(keepends=True)
    first = json.loads(lines[0])
    assert "is not in" in refused("".join(lines[1:]))
    assert "2 times (lines 1, 45)" in refused(text + lines[0])
    assert "a verdict of model 0123" in refused(text.replace(first["model"], "0123"))
    assert "line 2 is no line that `inspect --jsonl` printed" in refused(lines[0] + "score\n")
    broken = json.dumps({"path": first["path"], "error": "it is damaged"})
    assert "line 44: it is damaged" in refused("".join(lines[1:]) + broken)
    assert "not a whole result" in refused(text.replace('"verdict": "pass"', '"verdict": "ok"'))
    log.unlink()
    assert "cannot be read" in fails(
        "study", model_folder, repeats, "--verdicts", log, "--out", tmp_path / "out"
    )


@pytest.mark.parametrize("review", ["reject", "pass", "apart"])
def test_what_was_not_inspected_is_never_accepted(
    run, model_folder, repeats, log, tmp_path, review
):
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    bad = [line for line in lines if "/defect/" in line["path"]]
    for line in bad[:3]:
        line["verdict"] = "not inspected"
    for line in bad[3:]:
        line["verdict"] = "pass"
    log.write_text("\n".join(map(json.dumps, lines)))
    out = tmp_path / "out"
    arguments = ("--verdicts", log, "--out", out, "--review", review, "--json")
    (model,) = run("study", model_folder, repeats, *arguments).json["appraisers"]
    assert model["misses"]["hits"] == len(bad) - 3
    assert model["reviews"]["hits"] >= 3 * (review == "apart")
    assert "2 parts are left out here" in (out / "study.html").read_text("utf-8")


def test_a_folder_of_something_else_is_left_alone(fails, run, model_folder, repeats, log, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").touch()
    arguments = ("study", model_folder, repeats, "--verdicts", log)
    assert "is not empty" in fails(*arguments, "--out", tmp_path / "out", "--overwrite")
    assert run(*arguments, "--out", tmp_path / "new").code == 0
    assert "already holds a study" in fails(*arguments, "--out", tmp_path / "new")
    assert run(*arguments, "--out", tmp_path / "new", "--overwrite").code == 0

"""A region of interest from the files to the verdicts: nothing outside counts for anything."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from cli.conftest import fails, run  # noqa: F401 - fixtures
from lookalikes import save, surface
from patchcore_dual.cli.diff import model_lines
from patchcore_dual.data.inputs import InRegion
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.reading import read_image, write_png
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.errors import DataError, SettingsError
from patchcore_dual.evaluation.evaluation import evaluate
from patchcore_dual.experiments.comparison import compare, write_comparison
from patchcore_dual.live import Lesson
from patchcore_dual.live.difference import differences
from patchcore_dual.scoring import Inspection
from training.made_up import MadeUpEmbedder, make_stained

SIDE, EDGE = 32, 20  # of the images, and where the region ends, in pixels; cells are 4 wide
LEFT = np.arange(SIDE)[None, :].repeat(SIDE, axis=0) < EDGE
COLUMNS = EDGE // 4
RULES = ["calibrated", "ratio", "thesis", "patchcore-weighted"]


@pytest.fixture(scope="module")
def stained(tmp_path_factory):
    """12 good and 6 defective images; the stains lie anywhere."""
    return make_stained(tmp_path_factory.mktemp("stained"), 12, 6, SIDE)


def redrawn(manifest, folder, draw):
    """A copy of a data set whose pixels outside the region are drawn anew."""
    shutil.copytree(manifest.folder, folder)
    for number, sample in enumerate(manifest):
        image = read_image(folder / sample.image).copy()
        image[:, EDGE:] = draw(number)[:, EDGE:]
        write_png(folder / sample.image, image)
    return Manifest.load(folder)


def fit(manifest, scoring="calibrated", **options):
    return PatchCoreDual(embedder=MadeUpEmbedder(), scoring=scoring).fit(manifest, **options)


def inside_of(detector, manifest):
    """Scores, maps and bank vectors: all that depends on the pixels."""
    inspections = [detector.inspect(manifest.image_path(s)) for s in manifest]
    return (
        [i.score for i in inspections],
        [i.uncertainty for i in inspections],
        [i.anomaly_map[:, :EDGE].tobytes() for i in inspections],
        [i.regions for i in inspections],
        [i.is_foreign for i in inspections],
        detector.model.normal_bank.vectors.tobytes(),
        detector.model.thresholds,
        detector.model.trained_on["greatest_distance"],
        detector.model.operating_points(),
    )


@pytest.mark.parametrize("scoring", RULES)
def test_what_lies_outside_changes_no_bit(stained, tmp_path, scoring):
    noise = redrawn(stained, tmp_path / "a", lambda number: surface(number + 900, SIDE, SIDE))
    blank = redrawn(stained, tmp_path / "b", lambda number: np.full((SIDE, SIDE, 3), 9, np.uint8))
    noisy, blanked = (fit(m, scoring, roi=LEFT) for m in (noise, blank))
    assert inside_of(noisy, noise) == inside_of(blanked, blank)
    assert inside_of(noisy, noise) == inside_of(noisy, blank)
    assert noisy.model.normal_bank.cell[:, 1].max() == COLUMNS - 1
    for bank in filter(None, [noisy.model.defect_bank, noisy.model.calibration.normal_sample]):
        assert bank.cell[:, 1].max() < COLUMNS
        assert np.isfinite(bank.vectors).all()


@pytest.mark.parametrize("scoring", RULES)
def test_a_region_of_everything_is_none(stained, scoring):
    everywhere = fit(stained, scoring, roi=np.ones((SIDE, SIDE), bool))
    usual = fit(stained, scoring)
    assert usual.model.roi is None
    assert inside_of(everywhere, stained) == inside_of(usual, stained)


@pytest.mark.parametrize("scoring", RULES)
def test_scores_away_from_the_border_are_the_same_bits(stained, scoring):
    """A cell is smoothed with its neighbours, so that those next to the border differ."""
    detector = fit(stained, scoring)
    for sample in stained:
        path = stained.image_path(sample)
        features = [detector.embed(read_image(path), region) for region in (None, LEFT)]
        whole, narrowed = (detector.model.rule(_evidence(detector, f)).grid for f in features)
        assert np.isnan(narrowed[:, COLUMNS:]).all()
        assert narrowed[:, : COLUMNS - 1].tobytes() == whole[:, : COLUMNS - 1].tobytes()
        inspection = detector.inspect(InRegion(path, LEFT))
        assert np.isnan(inspection.anomaly_map[:, EDGE:]).all()
        assert np.isfinite(inspection.anomaly_map[:, :EDGE]).all()
        assert all(region.x + region.width <= EDGE for region in inspection.regions)
        assert inspection.to_json()["nearest_normal"]["column"] < SIDE // 4


def _evidence(detector, features):
    from patchcore_dual.scoring import gather_evidence

    model = detector.model
    banks = model.normal_bank, model.defect_bank
    return gather_evidence(features, *banks, model.probe, model.rule.weighted)


def test_a_fixture_outside_raises_no_alarm(stained):
    detector = fit(stained, roi=LEFT)
    good = next(s for s in stained if not s.is_defective)
    image = read_image(stained.image_path(good)).copy()
    before = detector.inspect(image)
    image[10:30, EDGE + 2 :] = 255
    after = detector.inspect(image)
    assert after.score == before.score
    assert fit(stained).inspect(image).verdict == "reject"
    picture = after.draw()
    assert picture.dtype == np.uint8
    assert not np.array_equal(picture, replace(after, anomaly_map=after.heat).draw())


def with_column(manifest, folder, regions):
    """A copy whose manifest has a column `roi`, for some images."""
    shutil.copytree(manifest.folder, folder)
    named = {name: f"roi-{i}.png" for i, name in enumerate(regions)}
    for name, region in regions.items():
        write_png(folder / named[name], region)
    samples = [replace(s, extra={"roi": named.get(s.image, "")}) for s in manifest]
    Manifest(folder, tuple(samples)).save()
    return Manifest.load(folder)


def test_each_image_has_its_own_region(stained, tmp_path):
    names = [s.image for s in stained if not s.is_defective][:6]
    manifest = with_column(stained, tmp_path / "own", dict.fromkeys(names, LEFT))
    detector = fit(manifest)
    assert detector.model.roi is None
    bank = detector.model.normal_bank
    own = np.isin([bank.sources[i] for i in bank.image], names)
    assert bank.cell[own, 1].max() < COLUMNS <= bank.cell[~own, 1].max()
    held_out = detector.model.calibration
    for name, image in zip(held_out.normals, held_out.evidence.normals, strict=True):
        expected = COLUMNS if name in names else SIDE // 4
        assert np.isfinite(image.evidence.normal.distance).all(axis=0).sum() == expected


def test_evaluation_counts_what_lies_inside(stained, tmp_path):
    detector = fit(stained, roi=LEFT)
    outside = [
        s.image for s in stained.part(label="positive") if not (stained.read_mask(s) & LEFT).any()
    ]
    assert detector.model.trained_on["defects_outside_region"] == len(outside)
    result = evaluate(detector, stained, "train")
    assert result.n_defects_outside == len(outside)
    assert result.n_test_defective == 6 - len(outside)
    assert np.isfinite(result.pixel_auroc)
    assert result.inspected_share == LEFT.mean()
    assert result.inspected_note == "62% of each image"
    own = with_column(stained, tmp_path / "own", {s.image: LEFT for s in stained})
    assert evaluate(fit(stained), own, "train").n_defects_outside == len(outside)


def test_a_comparison_says_which_region_and_draws_what_was_judged(stained, tmp_path, monkeypatch):
    detectors = [fit(stained), fit(stained, roi=LEFT)]
    found = differences(*(detector.model for detector in detectors))
    assert found["images"] == {"inspected_share": [1.0, LEFT.mean()]}
    found |= {"models": ["whole", "left"], "fingerprints": ["0", "1"]}
    assert any(re.match(r"region of interest +100.0 % +62.5 %", one) for one in model_lines(found))
    own = with_column(stained, tmp_path / "own", {s.image: LEFT for s in stained})
    detectors[1] = PatchCoreDual(embedder=MadeUpEmbedder(), false_alarm_rate=0.5).fit(own)
    comparison = compare(detectors, own, "train")
    assert comparison.changes
    scores: list[float] = []
    draw = Inspection.draw
    monkeypatch.setattr(
        Inspection, "draw", lambda self, **how: scores.append(self.score) or draw(self, **how)
    )
    write_comparison(comparison, ["one", "other"], detectors, own, tmp_path / "pictures")
    changes = comparison.changes
    assert scores == [c.first.score for c in changes] + [c.second.score for c in changes]


def test_a_model_is_taught_within_its_region(stained, tmp_path):
    names = [s.image for s in stained if not s.is_defective][:3]
    manifest = with_column(stained, tmp_path / "own", dict.fromkeys(names, LEFT[:, ::-1] | LEFT))
    detector = fit(manifest, roi=LEFT)
    detector.save(tmp_path / "model")
    loaded = PatchCoreDual.load(tmp_path / "model", embedder=MadeUpEmbedder())
    assert np.array_equal(loaded.model.roi, LEFT)
    image = surface(7, SIDE, SIDE)
    outcome = loaded.teach(Lesson(image, is_defect=False, name="new"), force=True)
    taught = outcome.teaching.after
    new = [taught.normal_bank.sources[i] == "new" for i in taught.normal_bank.image]
    assert taught.normal_bank.cell[new, 1].max() < COLUMNS
    assert np.isfinite(taught.normal_bank.vectors).all()
    assert np.array_equal(taught.roi, LEFT)
    assert np.isfinite(loaded.inspect(image).score)
    assert np.isfinite(taught.calibration.normal_sample.vectors).all()
    mask = np.zeros((SIDE, SIDE), bool)
    mask[8:20, EDGE + 4 : EDGE + 8] = True
    with pytest.raises(DataError, match="lies outside the region of interest of the model"):
        loaded.teach(Lesson(surface(8, SIDE, SIDE), is_defect=True, mask=mask, name="scratch"))
    loaded.teach(Lesson(surface(8, SIDE, SIDE), is_defect=True, name="guessed"), force=True)
    assert np.isfinite(loaded.model.defect_bank.vectors).all()
    loaded.teach(removed=[names[0]], force=True)
    assert np.isfinite(loaded.inspect(image).score)


def test_masks_are_guessed_inside_only(stained, tmp_path):
    shutil.copytree(stained.folder, tmp_path / "unmasked")
    samples = tuple(replace(s, mask="") for s in stained)
    manifest = Manifest(tmp_path / "unmasked", samples)
    guessed = fit(manifest, roi=LEFT).fitted.pseudo_masks
    assert len(guessed) == 6
    assert not any(mask[:, EDGE:].any() for mask in guessed.values())


def test_approximate_search_knows_the_region(tmp_path):
    stained, region = make_stained(tmp_path, 20, 4, 64), LEFT.repeat(2, axis=0).repeat(2, axis=1)
    options = {"embedder": MadeUpEmbedder(), "scoring": "ratio", "normal_rate": 1.0}
    approximate = PatchCoreDual(search="approximate", **options).fit(stained, roi=region)
    exact = PatchCoreDual(**options).fit(stained, roi=region)
    assert approximate.model.adaptive_search.images == 24
    assert not approximate.model.normal_bank.is_small
    for sample in stained:
        path = stained.image_path(sample)
        inspections = [one.inspect(path) for one in (approximate, exact)]
        assert inspections[0].score == pytest.approx(inspections[1].score, rel=1e-3)
        assert np.array_equal(inspections[0].inspected, region)


def test_what_cannot_be_fitted(stained):
    masks = np.any([stained.read_mask(s) for s in stained.part(label="positive")], axis=0)
    with pytest.raises(
        DataError, match="leaves out the defects of all 6 defective training images"
    ):
        fit(stained, roi=~masks)
    with pytest.raises(DataError, match="is 32x16, and the image is 32x32"):
        fit(stained, roi=LEFT[:16])
    with pytest.raises(SettingsError, match="patches crop cuts images around"):
        PatchCoreDual(embedder=MadeUpEmbedder(), patches="crop").fit(stained, roi=LEFT)


def test_command_line(run, fails, tmp_path):  # noqa: F811
    """A label that is nowhere twice alike, in a corner of every photograph."""
    rng = np.random.default_rng(0)
    photos = tmp_path / "photos"
    for number in range(16):
        image = surface(0, 64, 64) // 2 + rng.integers(0, 20, (64, 64, 3), np.uint8)
        kind = "good" if number < 12 else "stain"
        if kind == "stain":
            image[20:28, 10:22] = 20
            mask = np.zeros((64, 64), np.uint8)
            mask[20:28, 10:22] = 255
            save(photos / "ground_truth" / kind / f"{number}_mask.png", mask)
        image[:20, 44:] = rng.integers(0, 256, (20, 20, 3))
        save(photos / kind / f"{number}.png", image)
    corner = {"width": 640, "height": 640, "ignore": [[[410, 0], [640, 0], [640, 230], [410, 230]]]}
    polygons = tmp_path / "corner.json"
    polygons.write_text(json.dumps(corner))
    inside = tmp_path / "inside.png"
    white = np.full((64, 64), 255, np.uint8)
    white[:23, 41:] = 0
    save(inside, white)

    drawn = run("prepare", "folder", photos, tmp_path / "p", "--size", "64x64", "--roi", inside)
    assert drawn.code == 0, drawn.err
    assert "Outside the region of interest nothing is inspected." in drawn.out
    assert np.array_equal(Manifest.load(tmp_path / "p").region, white > 0)
    assert Manifest.load(tmp_path / "p").preparation()["roi"] == "roi.png"
    again = run(
        "prepare", "folder", photos, tmp_path / "p", "--size", "64x64", "--roi", inside,
        "--overwrite",
    )  # fmt: skip
    assert again.code == 0, again.err
    fitted = run("fit", tmp_path / "p", "--model", tmp_path / "m", "--scoring", "ratio")
    assert fitted.code == 0, fitted.err
    assert re.search(r"Region of interest: 87 % of each image|Region of interest: 87%", fitted.out)
    evaluated = run("evaluate", tmp_path / "m", tmp_path / "p", "--json")
    assert evaluated.json["n_defects_outside"] == 0

    plain = tmp_path / "plain"
    assert run("prepare", "folder", photos, plain, "--size", "64x64").code == 0
    same = run("fit", plain, "--model", tmp_path / "m2", "--scoring", "ratio", "--ignore", polygons)
    assert same.code == 0, same.err
    test = sorted((plain / "test/negative").iterdir())[0]
    lines = [
        json.loads(run("inspect", tmp_path / m, test, "--jsonl").out)["score"] for m in ("m", "m2")
    ]
    assert lines[0] == lines[1]
    top = tmp_path / "top.json"
    top.write_text(json.dumps({**corner, "ignore": [[[0, 300], [640, 300], [640, 640], [0, 640]]]}))
    narrowed = run(
        "inspect", tmp_path / "m", test, "--ignore", top, "--json", "--out", tmp_path / "o"
    )
    assert narrowed.code == 0, narrowed.err
    assert narrowed.json["results"][0]["nearest_normal"]["row"] <= 16

    everything = tmp_path / "black.png"
    save(everything, np.zeros((64, 64), np.uint8))
    no_model = ("--model", tmp_path / "none")
    assert "leaves nothing to inspect" in fails("fit", plain, *no_model, "--roi", everything)
    wide = tmp_path / "wide.png"
    save(wide, np.full((20, 64), 255, np.uint8))
    message = fails("fit", plain, *no_model, "--roi", wide)
    assert "64x20" in message
    assert "64x64" in message
    assert "64x20" in fails("prepare", "folder", photos, tmp_path / "q", "--roi", wide)
    refused = run("inspect", tmp_path / "m", test, "--roi", wide)
    assert refused.code == 2
    assert "64x20" in refused.err
    assert not (tmp_path / "q").exists()
    assert not (tmp_path / "none").exists()
    stain = {**corner, "ignore": [[[50, 150], [300, 150], [300, 320], [50, 320]]]}
    polygons.write_text(json.dumps(stain))
    assert "leaves out the defects of all" in fails("fit", plain, *no_model, "--ignore", polygons)
    update = ("prepare", "folder", photos, tmp_path / "p", "--update", "--roi", inside)
    assert "keeps the region of interest" in fails(*update)

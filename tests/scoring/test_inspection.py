import json
from dataclasses import replace

import numpy as np
import pytest

from patchcore_dual.scoring import Inspection, Match, Region, drawing
from patchcore_dual.utils.motion import Motion


@pytest.fixture
def rejected():
    heat = np.zeros((90, 200), np.float32)
    heat[20:40, 50:80] = 3
    return Inspection(
        name="part.png",
        image=np.full((90, 200, 3), 128, np.uint8),
        score=2.0,
        uncertainty=0.25,
        threshold=1.5,
        review_threshold=1.25,
        anomaly_map=heat,
        map_threshold=1.0,
        map_floor=0.0,
        regions=(Region(50, 20, 30, 20, 600, 3.0),),
        nearest_normal=Match("good.png", 1, 2, 2.0),
        nearest_defect=Match("crack.png", 3, 4, 0.5),
        model="0123456789abcdef",
        note="resized from 1x2 to the model's 3x4",
    )


@pytest.mark.parametrize(
    ("score", "verdict"),
    [(1.51, "reject"), (1.5, "review"), (1.26, "review"), (1.25, "pass"), (0.0, "pass")],
)
def test_verdict_by_score(rejected, score, verdict):
    """Above the threshold: reject; above that for review only: review, however uncertain."""
    for uncertainty in (0.0, 9.0):
        assert replace(rejected, score=score, uncertainty=uncertainty).verdict == verdict


def test_prints_itself(rejected):
    text = str(rejected)
    assert text.splitlines() == [
        "part.png: reject  score 2 ± 0.25 > 1.5",
        "  30×20 px at x 50, y 20, peak 3",
        "  most like the defect in crack.png",
        "  resized from 1x2 to the model's 3x4",
    ]
    assert repr(rejected) == text
    passed = str(replace(rejected, score=1.0, regions=(), note="", name=""))
    assert passed == "pass  score 1 ± 0.25 ≤ 1.5"


def test_json_has_no_arrays(rejected):
    values = json.loads(json.dumps(rejected.to_json()))
    assert values["path"] == "part.png"
    assert (values["score"], values["threshold"], values["verdict"]) == (2.0, 1.5, "reject")
    assert values["regions"] == [
        {"x": 50, "y": 20, "width": 30, "height": 20, "area": 600, "peak": 3.0}
    ]
    assert values["nearest_normal"] == {
        "image": "good.png",
        "row": 1,
        "column": 2,
        "distance": 2.0,
    }
    assert values["nearest_defect"]["image"] == "crack.png"
    assert (values["model"], values["note"]) == (rejected.model, rejected.note)
    assert replace(rejected, nearest_defect=None).to_json()["nearest_defect"] is None


def test_draws_image_heat_and_mask(rejected):
    mask = np.zeros((90, 200), bool)
    mask[20:40, 50:80] = True
    bare, with_mask = rejected.draw(), rejected.draw(mask)
    assert bare.dtype == with_mask.dtype == np.uint8
    assert bare.ndim == 3
    assert bare.shape[2] == 3
    assert with_mask.shape[1] > bare.shape[1] > 2 * 200
    assert bare.shape[0] > 90
    assert not np.array_equal(bare, replace(rejected, regions=()).draw())
    assert not np.array_equal(with_mask, rejected.draw(np.zeros((90, 200), bool)))
    red, green = bare[2, -3].astype(int), replace(rejected, score=0.0).draw()[2, -3].astype(int)
    assert red[0] > red[1]
    assert green[1] > green[0]


def test_a_picture_calls_the_threshold_by_its_name(rejected, monkeypatch):
    written = []
    real = drawing.cv2.putText
    monkeypatch.setattr(
        drawing.cv2, "putText", lambda *args, **more: (written.append(args[1]), real(*args, **more))
    )
    rejected.draw()
    assert written[0] == "REJECT  score 2, threshold 1.5"


def test_heat_follows_the_map(rejected):
    panel = rejected.draw()[-90:, -200:].astype(int)  # the last panel is the heat map
    hot, cold = panel[30, 65], panel[80, 190]
    assert np.abs(hot - cold).max() > 60
    assert np.abs(panel[0, 0] - cold).max() == 0


@pytest.mark.parametrize("shape", [(3, 5), (400, 30), (30, 400)])
def test_draws_images_of_any_shape(rejected, shape):
    odd = replace(
        rejected,
        image=np.zeros((*shape, 3), np.uint8),
        anomaly_map=np.ones(shape, np.float32),
        map_threshold=1.0,
        map_floor=1.0,
    )
    assert odd.draw(np.zeros(shape, bool)).size


def test_an_image_of_something_else_is_called_that_and_not_like_a_defect(rejected, monkeypatch):
    foreign = replace(rejected, score=0.0, is_foreign=True)
    assert foreign.verdict == "reject"
    assert "not like the parts this model was fitted on" in str(foreign)
    assert "most like" not in str(foreign)
    assert foreign.to_json()["is_foreign"] is True
    captions = []
    monkeypatch.setattr(
        "patchcore_dual.scoring.inspection.draw_inspection",
        lambda *_, caption, **__: captions.append(caption),
    )
    foreign.draw()
    assert captions == ["REJECT  not like the parts this model was fitted on"]


def test_an_image_that_could_not_be_aligned_is_not_inspected_whatever_its_score(rejected):
    reason = "it cannot be aligned: it is upside down"
    for score, is_foreign in ((0.0, False), (9.0, False), (9.0, True)):
        one = replace(rejected, score=score, is_foreign=is_foreign, motion=Motion(reason=reason))
        assert one.verdict == "not inspected"
        assert str(one).splitlines()[:2] == ["part.png: not inspected", f"  {reason}"]
        assert one.to_json()["motion"]["reason"] == reason
        bar = one.draw()[4, -4]
        assert not np.array_equal(bar, replace(one, motion=None).draw()[4, -4])


def test_an_aligned_image_is_judged_by_its_score_and_says_how_it_lay(rejected):
    aligned = replace(rejected, motion=Motion(3.0, -1.0, 0.5, 0.9))
    assert aligned.verdict == "reject"
    assert aligned.to_json()["motion"] == {
        "x": 3.0,
        "y": -1.0,
        "turn": 0.5,
        "confidence": 0.9,
        "reason": "",
    }
    assert "motion" not in rejected.to_json()

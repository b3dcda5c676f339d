"""What goes in and out over HTTP, with examples."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

ID = r"^[0-7][0-9A-HJKMNP-TV-Z]{25}$"
EXAMPLE_ID = "01KB1C7Y2H3V5W6X7Y8Z9A0B1C"
Text = Annotated[str, StringConstraints(max_length=1000)]
Word = Annotated[str, StringConstraints(max_length=100)]
Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Verdict = Literal["pass", "review", "reject", "not inspected"]

REGION = {"x": 212, "y": 88, "width": 40, "height": 12, "area": 391, "peak": 2.4}
MATCH = {"image": "train/positive/7.png", "row": 11, "column": 26, "distance": 0.71}
INSPECTION: dict[str, Any] = {
    "id": EXAMPLE_ID,
    "at": "2026-11-26T08:00:00+00:00",
    "model": "bracket",
    "version": 3,
    "fingerprint": "0123456789abcdef",
    "source": "api",
    "name": "part-0815.png",
    "image": "ab" * 32,
    "width": 640,
    "height": 480,
    "verdict": "reject",
    "score": 2.31,
    "threshold": 1.52,
    "review_threshold": 1.21,
    "uncertainty": 0.08,
    "is_foreign": False,
    "regions": [REGION],
    "nearest_normal": {**MATCH, "image": "train/negative/12.png", "distance": 1.9},
    "nearest_defect": MATCH,
    "note": "",
    "milliseconds": {"queue": 0.1, "decode": 4.2, "inspect": 31.0},
    "decision": None,
    "is_review_requested": False,
    "review": "open",
    "links": {"self": f"/v1/inspections/{EXAMPLE_ID}"},
}


THRESHOLD = {
    "value": 1.52,
    "asked": 0.01,
    "expected": 0.008,
    "promised": 0.01,
    "images": 240,
    "groups": 240,
    "shortfall": "",
}
POINT = {
    "threshold": THRESHOLD,
    "recall_known": 0.94,
    "recall_left_out": 0.81,
    "rejected_of_1000": 8.0,
}


class ErrorText(BaseModel):
    """What is wrong."""

    code: str
    message: str


class Error(BaseModel):
    """An answer that is an error."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"error": {"code": "not_found", "message": "there is no inspection of this id."}}
            ]
        }
    )
    error: ErrorText


class DecisionOut(BaseModel):
    """What a person decided."""

    label: Literal["good", "defect", "skip"]
    by: str
    at: str
    why: str
    taught_version: int | None


class InspectionOut(BaseModel):
    """An inspection: the verdict, why, and where to see it."""

    model_config = ConfigDict(json_schema_extra={"examples": [INSPECTION]})
    id: str
    at: str
    model: str
    version: int | None
    fingerprint: str
    source: str
    name: str
    image: str
    width: int
    height: int
    verdict: Verdict
    score: float
    threshold: float
    review_threshold: float
    uncertainty: float
    is_foreign: bool
    regions: list[dict[str, Any]]
    nearest_normal: dict[str, Any] | None
    nearest_defect: dict[str, Any] | None
    note: str
    milliseconds: dict[str, float]
    decision: DecisionOut | None
    is_review_requested: bool
    review: Literal["open", "done"] | None
    links: dict[str, str]


class Inspections(BaseModel):
    """Some inspections, the newest first, and the cursor of those after them."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"items": [INSPECTION], "next": EXAMPLE_ID}]}
    )
    items: list[InspectionOut]
    next: str | None


class DecisionIn(BaseModel):
    """A person's decision, without teaching."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"label": "good", "why": "a reflection"}]},
    )
    label: Literal["good", "defect", "skip"]
    why: Text = ""


class LessonIn(BaseModel):
    """An inspected image, and what it shows."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "inspection": EXAMPLE_ID,
                    "label": "defect",
                    "mask": None,
                    "kind": "crack",
                    "why": "missed at the end of the shift",
                    "dry_run": True,
                }
            ]
        },
    )
    inspection: Annotated[str, StringConstraints(pattern=ID)]
    label: Literal["good", "defect"]
    mask: str | None = None
    kind: Word = ""
    group: Word = ""
    why: Text = ""
    dry_run: bool = False
    force: bool = False


class RegionIn(BaseModel):
    """What a model is not to inspect any more, as it was marked on an inspected image."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "inspection": EXAMPLE_ID,
                    "ignore": "iVBORw0KGgo…",
                    "why": "a clamp that shines",
                    "dry_run": True,
                }
            ]
        },
    )
    inspection: Annotated[str, StringConstraints(pattern=ID)]
    ignore: str
    why: Text = ""
    dry_run: bool = False
    force: bool = False


class RemovalIn(BaseModel):
    """Training images to take out of a model, named as inspections and lists name them."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"images": ["train/negative/3.png"], "why": "mislabelled", "dry_run": True}
            ]
        },
    )
    images: Annotated[
        list[Annotated[str, StringConstraints(min_length=1, max_length=1000)]],
        Field(min_length=1, max_length=100),
    ]
    why: Text = ""
    dry_run: bool = False
    force: bool = False


class Cost(BaseModel):
    """What mistakes cost, in any one unit."""

    model_config = ConfigDict(extra="forbid")
    miss: Annotated[float, Field(gt=0, le=1e12, allow_inf_nan=False)]
    false_alarm: Annotated[float, Field(gt=0, le=1e12, allow_inf_nan=False)]
    defect_share: Share


class ThresholdsIn(BaseModel):
    """What the thresholds are to do; at most one of rate, recall and costs."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"false_alarm_rate": 0.02, "dry_run": True}]},
    )
    false_alarm_rate: Share | None = None
    recall: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    costs: Cost | None = None
    review_rate: Share | None = None
    why: Text = ""
    dry_run: bool = False


class UndoIn(BaseModel):
    """Which version to go to; by default the one before the last change."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"to": 2, "why": "the lens was dirty"}]}
    )
    to: Annotated[int, Field(ge=1, le=10**9)] | None = None
    why: Text = ""


class TagIn(BaseModel):
    """A name for a version; by default for the one in place."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"tag": "approved", "version": 3, "why": "shift A"}]},
    )
    tag: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    version: Annotated[int, Field(ge=1, le=10**9)] | None = None
    why: Text = ""


class JudgementIn(BaseModel):
    """Whether a synthetic defect is left out of the next fit."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"is_rejected": True}]}
    )
    is_rejected: bool


class TokenIn(BaseModel):
    """The token that a page signs in with."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"token": "pcd_…"}]})
    token: Annotated[str, StringConstraints(max_length=200)]


class Session(BaseModel):
    """Who is signed in."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"needs_token": True, "name": "ada", "role": "teach"}]}
    )
    needs_token: bool
    name: str | None
    role: Literal["read", "inspect", "teach"] | None

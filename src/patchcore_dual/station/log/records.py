"""What the log keeps: inspections with the decisions on them, and edits of models.

Records hold plain values. Text from outside is made such that every database and UTF-8 can hold it:
NUL and halves of surrogate pairs are replaced.
"""

import math
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Literal

LONGEST_NAME = 255  # characters; database indexes hold names


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a person decided on an inspection.

    Attributes:
        label: "skip" takes it out of the review queue without saying what it shows.
        by: who decided.
        at: when, with a time zone.
        why: a reason in words.
        taught_version: the version of the model that learned it; None where none did.

    >>> Decision(label="good", by="ada", at=datetime(2026, 11, 26, 8, tzinfo=UTC)).to_json()["at"]
    '2026-11-26T08:00:00+00:00'
    """

    label: Literal["good", "defect", "skip"]
    by: str
    at: datetime
    why: str = ""
    taught_version: int | None = None

    def __post_init__(self) -> None:
        _make_plain(self)

    def to_json(self) -> dict[str, Any]:
        """The attributes as values for `json.dumps`, with ISO time."""
        return _to_json(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Decision":
        """The decision that `to_json` gave."""
        return cls(**{**values, "at": datetime.fromisoformat(values["at"])})


@dataclass(frozen=True, kw_only=True)
class InspectionRecord:
    """One inspection, as it is kept.

    Attributes:
        id: 26 characters, of `Log.new_id`; greater than those of earlier inspections.
        at: when, with a time zone; what the clock said, which may jump.
        model, version, fingerprint: the model's name in the station, its version where it has
            one, and its fingerprint.
        source: where the image came from ("api", "watch:FOLDER").
        name: what the sender called it, at most 255 characters; for display only, never a path.
        image: hex sha256 of the image's bytes, as of `ImageStore.put`.
        width, height: of the image, in pixels.
        verdict, score, threshold, review_threshold, uncertainty, is_foreign, note: see
            `Inspection`.
        regions, nearest_normal, nearest_defect: as `Inspection.to_json` gives them.
        milliseconds: durations by name ("queue", "decode", "inspect").
        decision: what a person decided; None so far.
        is_review_requested: whether somebody has put it into the review queue since.

    Raises:
        ValueError: where `at` has no time zone.

    >>> record = InspectionRecord(
    ...     id="01KB1C7Y2H3V5W6X7Y8Z9A0B1C",
    ...     at=datetime(2026, 11, 26, 8, tzinfo=UTC),
    ...     model="brackets",
    ...     fingerprint="0123456789abcdef",
    ...     source="api",
    ...     image="ab" * 32,
    ...     width=640,
    ...     height=480,
    ...     verdict="review",
    ...     score=1.3,
    ...     threshold=1.5,
    ...     review_threshold=1.2,
    ... )
    >>> record.review, record.to_json()["at"]
    ('open', '2026-11-26T08:00:00+00:00')
    """

    id: str
    at: datetime
    model: str
    version: int | None = None
    fingerprint: str
    source: str
    name: str = ""
    image: str
    width: int
    height: int
    verdict: Literal["pass", "review", "reject", "not inspected"]
    score: float
    threshold: float
    review_threshold: float
    uncertainty: float = 0.0
    is_foreign: bool = False
    regions: list[dict[str, Any]] = field(default_factory=list)
    nearest_normal: dict[str, Any] | None = None
    nearest_defect: dict[str, Any] | None = None
    note: str = ""
    milliseconds: dict[str, float] = field(default_factory=dict)
    decision: Decision | None = None
    is_review_requested: bool = False

    def __post_init__(self) -> None:
        _make_plain(self)
        object.__setattr__(self, "name", self.name[:LONGEST_NAME])

    @property
    def review(self) -> Literal["open", "done"] | None:
        """Whether it is in the review queue ("open"), was decided on, or neither."""
        if self.is_review_requested or (self.decision is None and self.verdict != "pass"):
            return "open"
        return "done" if self.decision is not None else None

    def to_json(self) -> dict[str, Any]:
        """The attributes and `review` as values for `json.dumps`, with ISO time."""
        decision = self.decision.to_json() if self.decision else None
        return {**_to_json(self), "decision": decision, "review": self.review}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "InspectionRecord":
        """The record that `to_json` gave."""
        values = {key: value for key, value in values.items() if key != "review"}
        if values["decision"] is not None:
            values["decision"] = Decision.from_json(values["decision"])
        return cls(**{**values, "at": datetime.fromisoformat(values["at"])})


@dataclass(frozen=True, kw_only=True)
class EditRecord:
    """One change of a model, as its ledger has it, or a tag or threshold that was set.

    Attributes:
        id: 26 characters, of `Log.new_id`.
        at: when, with a time zone.
        model: its name in the station.
        version, fingerprint: of the model after the change.
        action: "teach", "undo", "threshold", "tag" …, see `Edit`.
        by, why: who made it, and the reason in words.
        inspection: id of the inspection that was taught; None where none was.
        images: hex sha256 of the images that were taught or removed.
        effects: what it changed, as plain values, see `Edit`.
    """

    id: str
    at: datetime
    model: str
    version: int | None = None
    fingerprint: str
    action: str
    by: str
    why: str = ""
    inspection: str | None = None
    images: list[str] = field(default_factory=list)
    effects: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _make_plain(self)

    def to_json(self) -> dict[str, Any]:
        """The attributes as values for `json.dumps`, with ISO time."""
        return _to_json(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "EditRecord":
        """The record that `to_json` gave."""
        return cls(**{**values, "at": datetime.fromisoformat(values["at"])})


Record = InspectionRecord | EditRecord


def plain(value: Any) -> Any:
    """A value that JSON, UTF-8 and every database can hold.

    Tuples become lists, and numbers that are not finite None.

    >>> plain({"peak": float("inf"), "image": "a\\0b", "box": (1, 2)})
    {'peak': None, 'image': 'a�b', 'box': [1, 2]}
    """
    if isinstance(value, str):
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def _make_plain(record: Record | Decision) -> None:
    if record.at.tzinfo is None:
        raise ValueError(f"{record.at} has no time zone.")
    object.__setattr__(record, "at", record.at.astimezone(UTC))
    for one in fields(record):
        value = getattr(record, one.name)
        if isinstance(value, str | dict | list | tuple):
            object.__setattr__(record, one.name, plain(value))


def _to_json(record: Record | Decision) -> dict[str, Any]:
    values = {one.name: getattr(record, one.name) for one in fields(record)}
    return {**values, "at": record.at.isoformat()}

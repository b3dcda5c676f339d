"""What was done for each product, kept beside the report, so that a second run does the rest."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from patchcore_dual.data.manifest import MANIFEST_NAME, PREPARATION_NAME
from patchcore_dual.model.schema import MODEL_FILE
from patchcore_dual.products.table import Product
from patchcore_dual.utils.checkpoint import Checkpoint, differences
from patchcore_dual.utils.files import file_sha256

FOLDER = "products"


@dataclass(frozen=True)
class Figures:
    """What the report says of a fitted product.

    Attributes:
        normal, defective, synthetic: numbers of images that were fitted on.
        size: width and height of the images; None where they kept their own.
        recall: share of held-out defects of known kinds found; None where none was held out.
        recall_left_out: likewise, of kinds as if they had never been seen.
        false_alarms, promised: the expected rate of false alarms, and the promised one.
        fingerprint: of the model.
        seconds, memory: that fitting took, and its peak in bytes.
        node: the machine that fitted it.
        warnings: sentences.
    """

    normal: int
    defective: int
    synthetic: int
    size: tuple[int, int] | None
    recall: float | None
    recall_left_out: float | None
    false_alarms: float
    promised: float
    fingerprint: str
    seconds: float
    memory: int
    node: str
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, described: dict[str, Any], seconds: float, node: str) -> "Figures":
        """The figures of what `fit --json` printed."""
        facts, points = described["trained_on"], described["operating_points"]
        own: dict[str, Any] = next(
            (p for p in points if p["threshold"]["value"] == described["threshold"]), {}
        )
        size = described["size"]
        return cls(
            facts["normal_images"],
            facts["defective_images"],
            sum(facts["synthetic_images"].values()),
            (size[0], size[1]) if size else None,
            own.get("recall_known"),
            own.get("recall_left_out"),
            described["false_alarm_rate_expected"],
            described["false_alarm_rate_promised"],
            described["fingerprint"],
            seconds,
            described["peak_memory"],
            node,
            tuple(described["warnings"]),
        )


@dataclass(frozen=True)
class State:
    """How far a product is.

    Attributes:
        name: "finished"; "open" where it is to be fitted; "changed" where its model is that of
            another row or other images.
        figures: of a finished one.
        changes: what has changed, in words.
        is_saved: whether the model of an open one was saved already, just before the run ended.
    """

    name: Literal["finished", "open", "changed"]
    figures: Figures | None = None
    changes: str = ""
    is_saved: bool = False


class Records:
    """The journal of the products of one report.

    Raises:
        DataError: where the folder is damaged or cannot be written.
    """

    def __init__(self, report: Path) -> None:
        self._work = Checkpoint(
            report / FOLDER,
            {"records of products": 1},
            what="records of fitted products",
            remedy="Give another --report.",
        )
        self._last = {entry["model"]: entry for entry in self._work.entries}

    def state(self, product: Product) -> State:
        """How far a product is, by its last record, its row, its images and its model."""
        last = self._last.get(product.key)
        model = product.model / MODEL_FILE
        if last is None or not model.is_file():
            return State("open")
        if "figures" not in last:  # begun, and perhaps saved before it could be recorded
            is_saved = last["row"] == _row(product) and file_sha256(model) != last["before"]
            return State("open", is_saved=is_saved)
        if changes := _changes(last["row"], _row(product)):
            return State("changed", changes=changes)
        known = {f.name: last["figures"].get(f.name) for f in fields(Figures)}
        known["warnings"] = tuple(known["warnings"])
        known["size"] = tuple(known["size"]) if known["size"] else None
        return State("finished", Figures(**known))

    def begin(self, product: Product) -> None:
        """Record that a product's fit begins."""
        model = product.model / MODEL_FILE
        before = file_sha256(model) if model.is_file() else None
        self._record(product, {"before": before})

    def finish(self, product: Product, figures: Figures) -> None:
        """Record that a product's model is saved."""
        self._record(product, {"figures": asdict(figures)})

    def _record(self, product: Product, facts: dict[str, Any]) -> None:
        entry = {"model": product.key, "row": _row(product), **facts}
        self._work.record(entry)
        self._last[product.key] = entry


def _row(product: Product) -> dict[str, Any]:
    """Everything that decides the model of a product: its options and the list of its images."""
    files = (product.data / name for name in (MANIFEST_NAME, PREPARATION_NAME))
    digests = [file_sha256(path) if path.is_file() else "" for path in files]
    return {"data": str(product.data.absolute()), "digests": digests, "options": product.options}


def _changes(before: dict[str, Any], now: dict[str, Any]) -> str:
    """How two rows differ, in words; empty where they do not."""
    named = [
        differences(before[key], now[key], name)
        for key, name in (("data", "data"), ("options", ""))
    ]
    found = [text for texts in named for text in texts]
    if not found and before["digests"] != now["digests"]:
        found = ["the images were prepared anew"]
    return "; ".join(found)

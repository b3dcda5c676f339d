"""A model as bytes: the text of its `model.json`, and data files named by their content.

Versions of a model share the data files whose content they share. A bank is therefore written as
segments, which a version that adds vectors leaves as they are; so is each part of the calibration
set, since the largest, a sample of normal patches, rarely changes.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
from safetensors.numpy import save as save_arrays

from patchcore_dual.banks import MemoryBank
from patchcore_dual.model.calibration import Arrays, bank_arrays
from patchcore_dual.model.model import Model
from patchcore_dual.model.schema import SCHEMA_VERSION, EmbedderEntry, ModelFile

SUFFIXES = {"graph": "xml", "graph_weights": "bin"}  # of data files by role; others: safetensors
ALL_SUFFIXES = ("safetensors", *SUFFIXES.values())
DATA_FILE = re.compile(rf"[a-z_]+-[0-9a-f]{{64}}\.({'|'.join(ALL_SUFFIXES)})")


class Serialised(NamedTuple):
    """A model as bytes.

    Attributes:
        text: of `model.json`.
        data: the content of each data file, by name.
    """

    text: bytes
    data: dict[str, bytes]


def serialise(model: Model) -> Serialised:
    """A model as bytes; the same model gives the same bytes."""
    parts = {"normal": _segments(model.normal_bank, model, "normal")}
    sources = {"normal": model.normal_bank.sources}
    if model.defect_bank is not None:
        parts["defect"] = _segments(model.defect_bank, model, "defect")
        sources["defect"] = model.defect_bank.sources
    if model.probe is not None:
        offset = np.array([model.probe.offset])
        parts["probe"] = [{"weights": model.probe.weights, "offset": offset}]
    constants, rule_arrays = model.rule.state()
    if rule_arrays:
        parts["rule"] = [rule_arrays]
    if model.aligner is not None:
        parts["reference"] = [{"pixels": model.aligner.reference}]
    if model.roi is not None:
        parts["roi"] = [{"inspected": model.roi}]
    calibration = None
    if model.calibration is not None:
        calibration, arrays = model.calibration.to_arrays()
        parts["calibration"] = _by_part(arrays)
    content = {role: [_bytes(one) for one in several] for role, several in parts.items()}
    if model.network is not None:
        content["network"] = [model.network]
    if model.graph is not None:
        content["graph"], content["graph_weights"] = ([one] for one in model.graph)
    named = {
        role: [(_name(role, one), one) for one in several] for role, several in content.items()
    }
    entry = ModelFile(
        schema_version=SCHEMA_VERSION,
        settings=model.settings,
        size=model.size,
        embedder=EmbedderEntry(**asdict(model.spec)),
        rule=model.rule.name,
        rule_constants=constants,
        thresholds=asdict(model.thresholds),
        adaptive_search=asdict(model.adaptive_search),
        trained_on=model.trained_on,
        sources=sources,
        calibration=calibration,
        files={role: tuple(name for name, _ in several) for role, several in named.items()},
        alignment=model.aligner.settings() if model.aligner else None,
    )
    unused = set() if model.aligner else {"alignment"}
    data = {name: one for several in named.values() for name, one in several}
    return Serialised((entry.model_dump_json(indent=1, exclude=unused) + "\n").encode(), data)


def fingerprint(model: Model) -> str:
    """16 hex digits of the sha256 of the model's `model.json`."""
    return fingerprint_of(serialise(model).text)


def fingerprint_of(text: bytes) -> str:
    """The fingerprint of a model of which `text` is the `model.json`."""
    return hashlib.sha256(text).hexdigest()[:16]


def files_named_in(text: bytes) -> set[str]:
    """The data files that a `model.json` of any schema names; none if it is damaged."""
    try:
        files: Mapping[str, str | list[str]] = json.loads(text)["files"]
        return {
            name
            for names in files.values()
            for name in ([names] if isinstance(names, str) else names)
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return set()


def _segments(bank: MemoryBank, model: Model, role: str) -> list[Arrays]:
    """The bank's arrays, cut where the model on disk is cut; what it adds is one more segment."""
    inner = [end for end in accumulate(model.segments.get(role, ())) if end < len(bank)]
    return [
        {name: values[start:end] for name, values in bank_arrays(bank).items()}
        for start, end in pairwise((0, *inner, len(bank)))
    ]


def _by_part(arrays: Arrays) -> list[Arrays]:
    """Arrays by what stands before the dot in their names."""
    parts: dict[str, Arrays] = {}
    for name, values in arrays.items():
        parts.setdefault(name.partition(".")[0], {})[name] = values
    return list(parts.values())


def _bytes(arrays: Arrays) -> bytes:
    content: bytes = save_arrays({k: np.ascontiguousarray(v) for k, v in arrays.items()})
    return content


def _name(role: str, content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    return f"{role}-{digest}.{SUFFIXES.get(role, 'safetensors')}"

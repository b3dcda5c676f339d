"""The ledger of a model: one line of JSON for each change, with the hash of the line before it.

A line that is changed, removed or moved therefore no longer fits the next one, and the last line
has to be the one whose hash the file `head` holds. Lines are only ever added.
"""

import getpass
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from patchcore_dual.errors import ModelError

LEDGER_FILE = "ledger.jsonl"


@dataclass(frozen=True)
class TaughtImage:
    """An image that a model was taught, or that was taken out of it.

    Attributes:
        name: its path, as the banks name it.
        sha256: hex digest of its file.
        label: "good" or "defect".
        kind: of the defect; empty where it has no name.
    """

    name: str
    sha256: str
    label: str
    kind: str = ""


@dataclass(frozen=True)
class Edit:
    """One change of a model.

    Attributes:
        action: what was done: "fit", "teach", "remove", "region", "threshold", "migrate", "undo",
            "tag" or "prune".
        images: those that were taught or removed.
        by: who did it; the user of the system by default.
        why: a reason in words.
        effects: what it changed, as plain values: a pair is a value before and after it, as
            `{"recall": [0.5, 0.75], "patches added": 3}`.
    """

    action: str
    images: tuple[TaughtImage, ...] = ()
    by: str = ""
    why: str = ""
    effects: Mapping[str, Any] = field(default_factory=dict)


class Version(BaseModel):
    """A line of the ledger: a change, and the model that it left.

    Attributes:
        number: from 1 on; a user writes `MODEL@NUMBER`.
        at: when, as 2026-11-26T15:06:12+00:00.
        by, action, why, images, effects: see `Edit`.
        before: the fingerprint of the model before the change; None for the first.
        fingerprint: that of the model after it.
        previous: hex sha256 of the line before; empty for the first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    number: int
    at: str
    by: str
    action: str
    why: str
    images: tuple[TaughtImage, ...]
    effects: dict[str, Any]
    before: str | None
    fingerprint: str
    previous: str


@dataclass(frozen=True)
class Ledger:
    """All changes of a model, the oldest first.

    Attributes:
        lines: as they are in the file, with the line ends.
        versions: what they say.
    """

    lines: tuple[bytes, ...] = ()
    versions: tuple[Version, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> "Ledger":
        """The ledger of a model folder; an empty one where no change was made yet.

        Raises:
            ModelError: where a line does not follow from the one before.
        """
        lines = read_lines(folder)
        versions: list[Version] = []
        for number, line in enumerate(lines, 1):
            version = parse(line)
            if version is None or problem_of(version, versions, lines[: number - 1]):
                raise ModelError(
                    f"{folder / LEDGER_FILE} is damaged at line {number}, so that nothing is "
                    f"changed. See: patchcore-dual history {folder} --verify"
                )
            versions.append(version)
        return cls(lines, tuple(versions))

    def __len__(self) -> int:
        """The number of versions."""
        return len(self.versions)

    @property
    def last(self) -> Version:
        """The latest version. The ledger may not be empty."""
        return self.versions[-1]

    @property
    def head(self) -> str:
        """Hex sha256 of the last line; empty without one."""
        return hash_of(self.lines[-1]) if self.lines else ""

    @property
    def text(self) -> bytes:
        """The content of the file."""
        return b"".join(self.lines)

    def adding(self, edit: Edit, fingerprint: str, at: datetime | None = None) -> "Ledger":
        """The ledger with one more line.

        Args:
            edit: the change.
            fingerprint: of the model after it.
            at: when it was made; now by default.
        """
        version = Version(
            number=len(self) + 1,
            at=(at or datetime.now(UTC)).isoformat(timespec="seconds"),
            by=edit.by or system_user(),
            action=edit.action,
            why=edit.why,
            images=edit.images,
            effects=dict(edit.effects),
            before=self.last.fingerprint if self.versions else None,
            fingerprint=fingerprint,
            previous=self.head,
        )
        return Ledger((*self.lines, _line(version)), (*self.versions, version))

    def find(self, which: str, folder: Path) -> Version:
        """The version of a number, or that a tag names.

        Args:
            which: as a user writes it after `MODEL@`.
            folder: of the model, for messages.

        Raises:
            ModelError: where there is none.
        """
        number = int(which) if which.isdecimal() else self.tags.get(which, 0)
        if not 1 <= number <= len(self):
            tags = f" and the tags {', '.join(sorted(self.tags))}" if self.tags else ""
            there_are = f"it has versions 1 to {len(self)}{tags}" if len(self) else "it has none"
            raise ModelError(
                f"{folder} has no version {which}: {there_are}. "
                f"See: patchcore-dual history {folder}"
            )
        return self.versions[number - 1]

    def origin(self, version: Version) -> Version:
        """The change that made the model which a version is: the same for an undo that led back."""
        while version.action in ("undo", "tag", "prune"):
            earlier = version.number - 1
            if version.action == "undo":
                earlier = min(earlier, version.effects["to"])
            version = self.versions[earlier - 1]
        return version

    def parent(self, version: Version) -> Version | None:
        """The version from which the model of a version was made; None for the first."""
        made = self.origin(version)
        return self.origin(self.versions[made.number - 2]) if made.number > 1 else None

    @cached_property
    def tags(self) -> dict[str, int]:
        """The number of the version that each tag names."""
        tags: dict[str, int] = {}
        for version in self.versions:
            if version.action == "tag":
                tags.pop(version.effects["tag"], None)
                if version.effects["version"]:
                    tags[version.effects["tag"]] = version.effects["version"]
        return tags

    @cached_property
    def pruned(self) -> frozenset[str]:
        """The fingerprints of the models that were removed from the folder."""
        pruned: set[str] = set()
        for version in self.versions:
            pruned.discard(version.fingerprint)  # made again by the same change
            if version.action == "prune":
                pruned |= set(version.effects["fingerprints"])
        return frozenset(pruned)


def read_lines(folder: Path) -> tuple[bytes, ...]:
    """The lines of a folder's ledger; nothing where it has none."""
    try:
        text = (folder / LEDGER_FILE).read_bytes()
    except FileNotFoundError:
        return ()
    return tuple(re.findall(rb"[^\n]*\n|[^\n]+", text))


def hash_of(line: bytes) -> str:
    """Hex sha256 of a line with its end, as `tail -n 1 ledger.jsonl | sha256sum` gives it."""
    return hashlib.sha256(line).hexdigest()


def parse(line: bytes) -> Version | None:
    """What a line says; None for one that is damaged."""
    try:
        return Version.model_validate(json.loads(line))
    except (ValidationError, ValueError, RecursionError):
        return None


def problem_of(version: Version, earlier: list[Version], lines: tuple[bytes, ...]) -> str:
    """Why a line does not follow the lines before it; empty where it does."""
    if version.number != len(lines) + 1:
        return f"line {len(lines) + 1} says that it is version {version.number}"
    if version.previous != (hash_of(lines[-1]) if lines else ""):
        if not lines:
            return "the lines before the first one were removed"
        return f"line {len(lines)} was changed, or lines were removed or moved after it"
    if version.before != (earlier[-1].fingerprint if earlier else None):
        return f"line {version.number} does not start from the model that the one before left"
    return ""


def system_user() -> str:
    """The name of the user who runs the program; their number where they have no name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return f"user {os.getuid()}" if hasattr(os, "getuid") else "unknown"


def _line(version: Version) -> bytes:
    """As JSON. What is no character, as a byte of a file name, is written as \\udc80 is here."""
    text = json.dumps(version.model_dump(mode="python"), ensure_ascii=False)
    return re.sub("[\ud800-\udfff]", lambda m: f"\\\\u{ord(m[0]):04x}", text).encode() + b"\n"

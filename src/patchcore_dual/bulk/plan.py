"""`Plan`: which images are inspected, by what, and in which shards. It is made once for a folder.

A run that goes on reads the plan of the one before, so that both have the same shards; a folder of
another model or other settings is refused.
"""

import csv
import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from patchcore_dual.data.listing import printable
from patchcore_dual.data.results_folder import PLAN, parts_done
from patchcore_dual.errors import DataError
from patchcore_dual.utils.files import file_sha256, write_atomically

_LIST = "_images.csv"
_SMALL, _MOST = 32, 100_000  # images of a shard, unless that makes more shards


@dataclass(frozen=True)
class Shard:
    """Some images that are inspected in one go, by one model.

    Attributes:
        number: from 0.
        model: its fingerprint.
        images: paths and URLs.
        start: the place of the first of them in the shard, for one that was taken apart.
    """

    number: int
    model: str
    images: tuple[str, ...]
    start: int = 0

    def apart(self) -> "list[Shard]":
        """Each image as a shard of its own."""
        return [
            Shard(self.number, self.model, (image,), self.start + place)
            for place, image in enumerate(self.images)
        ]


@dataclass(frozen=True)
class Plan:
    """What is to be done in a folder of results.

    Attributes:
        folder: of the results.
        n_images: how many there are.
        shard_size: images of a shard; fewer where images or those of a model end.
    """

    folder: Path
    n_images: int
    shard_size: int

    @property
    def images(self) -> Path:
        """The list of the images."""
        return self.folder / _LIST

    def shards(self) -> Iterator[Shard]:
        """All shards, in order."""
        with self.images.open(encoding="utf-8", errors="surrogateescape") as file:
            rows = csv.reader(file)
            number = 0
            for model, same in groupby(rows, key=lambda row: row[1]):
                while images := tuple(row[0] for row in islice(same, self.shard_size)):
                    yield Shard(number, model, images)
                    number += 1

    def remaining(self, again: Collection[int] = ()) -> Iterator[Shard]:
        """The shards whose results are not there yet, or are to be replaced: those of `again`."""
        done = set(parts_done(self.folder)).difference(again)
        return (shard for shard in self.shards() if shard.number not in done)


def read_plan(folder: Path, settings: dict[str, Any]) -> Plan | None:
    """The plan of a folder that a run was begun in; None where none was.

    Args:
        settings: what decides the rows, as plain values, to be equal to those it was begun with.

    Raises:
        DataError: the folder holds something else, or results by other settings.
    """
    path, shown = folder / PLAN, printable(folder)
    if not path.is_file():
        if folder.is_dir() and any(one.name != _LIST for one in folder.iterdir()):
            raise DataError(f"{shown} holds something else than results. Give another --results.")
        return None
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        was, plan = kept["settings"], Plan(folder, kept["images"], kept["shard_size"])
        is_whole = file_sha256(folder / _LIST) == kept["list_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        is_whole = False
    if not is_whole:
        raise DataError(f"the plan in {shown} is damaged. Give another --results.")
    if other := [name for name in {**was, **settings} if was.get(name) != settings.get(name)]:
        name = other[0]
        raise DataError(
            f"{shown} was begun with another {name} ({_short(was.get(name))}, now "
            f"{_short(settings.get(name))}). Give the same again to go on (a former version of a "
            "model as MODEL@3), or another --results."
        )
    return plan


def make_plan(
    folder: Path,
    settings: dict[str, Any],
    images: Iterable[tuple[str, str]],
    shard_size: int | None = None,
) -> Plan:
    """Write the plan of a new folder; the file that makes it valid comes last.

    Args:
        images: each image with the fingerprint of its model, in order.
        shard_size: None for 32 images, and more where there are millions.

    Raises:
        DataError: there are no images, or the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    n_images = 0
    try:
        with (folder / _LIST).open(
            "w", encoding="utf-8", errors="surrogateescape", newline=""
        ) as f:
            writer = csv.writer(f, lineterminator="\n")
            for image in images:
                writer.writerow(image)
                n_images += 1
    except OSError as error:
        raise DataError(f"cannot write into {printable(folder)}: {error.strerror}.") from None
    if not n_images:
        raise DataError("there are no images to inspect.")
    size = shard_size or max(_SMALL, -(-n_images // _MOST))
    values = {
        "images": n_images,
        "shard_size": size,
        "list_sha256": file_sha256(folder / _LIST),
        "settings": settings,
    }
    write_atomically(folder / PLAN, json.dumps(values, indent=1).encode())
    return Plan(folder, n_images, size)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:200]}…"

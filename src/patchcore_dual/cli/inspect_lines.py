"""`inspect --jsonl`: each result as a line of JSON, in constant memory for any number of images."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from patchcore_dual.cli.console import console, print_json_line
from patchcore_dual.cli.inspect_summary import ResizedImages, totals
from patchcore_dual.data.image_stream import ImageStream, paths_in_lines
from patchcore_dual.data.inputs import InRegion
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.errors import ImageError, SettingsError
from patchcore_dual.live.watching import Watch

_GROUP = 64  # paths of which the next are read while one is inspected


def inspect_lines(
    model: Path, images: list[Path], region: np.ndarray | None, *, device: str, strict: bool
) -> int:
    """Print the result of each image, and give the exit code.

    Args:
        model: the model's folder.
        images: files and folders, or `-` alone for paths on standard input.
        region: see `InRegion`.
        device: as of `PatchCoreDual.load`.
        strict: whether an image that is rejected or not inspected makes the exit code 1.

    Returns:
        2 where an image could not be read, 1 as `strict` says, else 0.

    Raises:
        SettingsError: `-` with other images.
        DataError: as `ImageStream`.
        ModelError: as `PatchCoreDual.load`.
    """
    stream: ImageStream | None = None
    groups: Iterator[list[Path]]
    if Path("-") in images:
        if len(images) > 1:
            raise SettingsError("- takes the paths from standard input. Give no other images.")
        if sys.stdin is None:
            raise SettingsError("- reads paths from standard input, which is closed.")
        groups = ([path] for path in paths_in_lines(sys.stdin.buffer))  # none may wait for the next
    else:
        stream = ImageStream(images)
        groups = _groups_of(stream)
    detector = PatchCoreDual.load(model, device=device)
    counts: Counter[str] = Counter()
    resizing, watch = ResizedImages(detector.model.size), Watch(detector.model.drift)
    try:
        for group in groups:
            given = [InRegion(path, region) for path in group]
            results = detector.inspect_many(given, on_error="yield")
            for path in group:
                result = next(results)
                if isinstance(result, ImageError):
                    counts["error"] += 1
                    _say(f"error: {result}", style="red")
                    print_json_line({"path": str(path), "error": str(result)})
                else:
                    counts[result.verdict] += 1
                    resizing.add(path, *result.image.shape[:2])
                    print_json_line({**result.to_json(), "drift": watch.add(result)})
                del result  # the next image needs the memory
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{counts.total()} images were inspected, and their results are printed. The same "
            "command begins anew."
        ) from None
    for line in stream.left_out() if stream else []:
        _say(line)
    if warning := resizing.warning(counts.total()):
        _say(warning)
    _say(totals(counts))
    for line in watch.lines():
        _say(line)
    if counts["error"]:
        return 2
    return 1 if strict and (counts["reject"] or counts["not inspected"]) else 0


def _groups_of(paths: Iterable[Path]) -> Iterator[list[Path]]:
    remaining = iter(paths)
    while group := list(islice(remaining, _GROUP)):
        yield group


def _say(text: str, style: str | None = None) -> None:
    console.print(text, style=style, markup=False, soft_wrap=True)

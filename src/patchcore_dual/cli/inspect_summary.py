"""What `inspect` says at its end: how many images have which verdict, and which were resized."""

from collections import Counter
from pathlib import Path

from patchcore_dual.data.resizing import MAX_DISTORTION, distortion

_SIZES_COUNTED = 1000


def totals(counts: Counter[str]) -> str:
    """How many images have which verdict, in words.

    >>> totals(Counter({"pass": 3, "reject": 1, "error": 1}))
    '5 images: 3 pass, 0 review, 1 reject, 1 not read'
    """
    names = {"pass": "pass", "review": "review", "reject": "reject"}
    rare = {"not inspected": "not inspected", "error": "not read"}
    shown = {**names, **{k: name for k, name in rare.items() if counts[k]}}
    parts = [f"{counts[k]} {name}" for k, name in shown.items()]
    n = counts.total()
    return f"{n} image{'s' if n != 1 else ''}: {', '.join(parts)}"


class ResizedImages:
    """The images of a run that were resized, said in a line or two however many they are.

    Args:
        size: the model's width and height; None where it leaves images as they are.
    """

    def __init__(self, size: tuple[int, int] | None) -> None:
        self.size = size
        self.sizes: set[tuple[int, int]] = set()
        self.n_resized = self.n_distorted = 0
        self.worst: tuple[float, str] = (0.0, "")  # by how much, and which image

    def add(self, path: Path, height: int, width: int) -> None:
        """Count an image by the size that it had."""
        if self.size is None or self.size == (width, height):
            return
        self.n_resized += 1
        if len(self.sizes) < _SIZES_COUNTED:
            self.sizes.add((width, height))
        amount = distortion((width, height), self.size)
        if amount > MAX_DISTORTION:
            self.n_distorted += 1
            if amount > self.worst[0]:
                self.worst = (amount, f"{path} ({width}x{height}, by {amount:.0%})")

    def line(self, n_images: int) -> str:
        """What was resized; empty where nothing was."""
        if not self.sizes:
            return ""
        ordered = sorted(self.sizes, key=lambda size: (size[0] * size[1], size))
        sizes = _by(ordered[0])
        if len(ordered) == _SIZES_COUNTED:
            sizes = f"{_SIZES_COUNTED} sizes or more"
        elif len(ordered) > 1:
            sizes = f"{len(ordered)} sizes, {sizes} to {_by(ordered[-1])},"
        return (
            f"{self.n_resized} of {n_images} images: resized from {sizes} to the model's "
            f"{_by(self.size)}"
        )

    def warning(self, n_images: int) -> str:
        """Which images do not have the model's proportions; empty where all have."""
        if not self.n_distorted:
            return ""
        return (
            f"WARNING: {_by(self.size)} distorts {self.n_distorted} of {n_images} images by "
            f"more than {MAX_DISTORTION:.0%}, most of all {self.worst[1]}. Unless the "
            "training images were distorted alike, their verdicts cannot be relied on: turn or "
            "crop them as those were."
        )


def _by(size: tuple[int, int] | None) -> str:
    return f"{size[0]}x{size[1]}" if size else "native"

"""What `inspect` says of the images that it resized."""

from collections import Counter
from pathlib import Path

from patchcore_dual.data.resizing import MAX_DISTORTION, distortion


class ResizedImages:
    """The images of a run that were resized, said in a line or two however many sizes they have.

    Args:
        size: the model's width and height; None where it leaves images as they are.
    """

    def __init__(self, size: tuple[int, int] | None) -> None:
        self.size = size
        self.sizes: Counter[tuple[int, int]] = Counter()
        self.distorted: list[tuple[float, str]] = []  # by how much, and which image

    def add(self, path: Path, height: int, width: int) -> None:
        """Count an image by the size that it had."""
        if self.size is None or self.size == (width, height):
            return
        self.sizes[width, height] += 1
        amount = distortion((width, height), self.size)
        if amount > MAX_DISTORTION:
            self.distorted.append((amount, f"{path} ({width}x{height}, by {amount:.0%})"))

    def line(self, n_images: int) -> str:
        """What was resized; empty where nothing was."""
        if not self.sizes:
            return ""
        ordered = sorted(self.sizes, key=lambda size: (size[0] * size[1], size))
        sizes = _by(ordered[0])
        if len(ordered) > 1:
            sizes = f"{len(ordered)} sizes, {sizes} to {_by(ordered[-1])},"
        return (
            f"{self.sizes.total()} of {n_images} images: resized from {sizes} to the model's "
            f"{_by(self.size)}"
        )

    def warning(self, n_images: int) -> str:
        """Which images do not have the model's proportions; empty where all have."""
        if not self.distorted:
            return ""
        return (
            f"WARNING: {_by(self.size)} distorts {len(self.distorted)} of {n_images} images by "
            f"more than {MAX_DISTORTION:.0%}, most of all {max(self.distorted)[1]}. Unless the "
            "training images were distorted alike, their verdicts cannot be relied on: turn or "
            "crop them as those were."
        )


def _by(size: tuple[int, int] | None) -> str:
    return f"{size[0]}x{size[1]}" if size else "native"

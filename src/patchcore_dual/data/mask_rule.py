"""`MaskRule`: answers to what a mask cannot say by itself."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class MaskRule:
    """Answers to what a mask cannot say by itself.

    Attributes:
        ignore: a label whose pixels are left out; "count" counts every label; "ask" raises an
            error where 255 stands beside labels of classes.
        large: whether a mask may mark more than half of its image. Black then is the background
            wherever it reaches the border.
    """

    ignore: int | Literal["ask", "count"] = "ask"
    large: bool = False


ASK = MaskRule()
PUBLISHED = MaskRule(ignore="count", large=True)
"""The masks of published data sets, whose defects are white and may be large."""

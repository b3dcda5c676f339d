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
        is_published: whether the masks are those of a published data set, whose defects are white
            on black and may be large. Large ones are listed, and an error only where most are.
    """

    ignore: int | Literal["ask", "count"] = "ask"
    large: bool = False
    is_published: bool = False

    @property
    def may_be_large(self) -> bool:
        """Whether a single mask of more than half of its image is no error."""
        return self.large or self.is_published


ASK = MaskRule()
PUBLISHED = MaskRule(ignore="count", is_published=True)
"""Masks of published data sets, without questions."""

"""The interface of progress callbacks, which the command line renders as bars."""

from typing import Protocol


class Progress(Protocol):
    """A callback that receives how far long work has come."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Called when `done` of `total` steps of the stage named are finished."""


def silent(stage: str, done: int, total: int) -> None:
    """Ignore all progress: the default callback."""

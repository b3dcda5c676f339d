"""How long work tells that it goes on: a callable, which the command line turns into bars."""

from typing import Protocol


class Progress(Protocol):
    def __call__(self, stage: str, done: int, total: int) -> None:
        """`done` of `total` steps of `stage` are through."""


def silent(stage: str, done: int, total: int) -> None:
    """Progress that nobody watches."""

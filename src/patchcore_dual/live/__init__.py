"""Changing a fitted model: its versions, going back, tidying up, checking the ledger."""

from patchcore_dual.live.changes import prune, tag, undo, untag
from patchcore_dual.live.verification import verify
from patchcore_dual.model import Edit, TaughtImage, Version, commit, editing

__all__ = [
    "Edit",
    "TaughtImage",
    "Version",
    "commit",
    "editing",
    "prune",
    "tag",
    "undo",
    "untag",
    "verify",
]

"""Changing a fitted model: teaching it single images, and its versions.

A taught image changes the banks, and everything calibrated follows. Every change is a version.
"""

from patchcore_dual.live.changes import prune, tag, undo, untag
from patchcore_dual.live.images import CalibrationImages
from patchcore_dual.live.lessons import LearnedImage, Lesson
from patchcore_dual.live.narrowing import narrow
from patchcore_dual.live.preview import Change, Preview
from patchcore_dual.live.removal import remove
from patchcore_dual.live.teacher import Outcome, Teacher
from patchcore_dual.live.teaching import Teaching, teach
from patchcore_dual.live.verification import verify
from patchcore_dual.model import Edit, TaughtImage, Version, commit, editing

__all__ = [
    "CalibrationImages",
    "Change",
    "Edit",
    "LearnedImage",
    "Lesson",
    "Outcome",
    "Preview",
    "TaughtImage",
    "Teacher",
    "Teaching",
    "Version",
    "commit",
    "editing",
    "narrow",
    "prune",
    "remove",
    "tag",
    "teach",
    "undo",
    "untag",
    "verify",
]

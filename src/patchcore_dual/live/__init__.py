"""Teaching a fitted model: single images change its banks, and everything calibrated follows."""

from patchcore_dual.live.images import CalibrationImages
from patchcore_dual.live.lessons import LearnedImage, Lesson
from patchcore_dual.live.preview import Change, Preview
from patchcore_dual.live.removal import remove
from patchcore_dual.live.teacher import Outcome, Teacher
from patchcore_dual.live.teaching import Teaching, teach

__all__ = [
    "CalibrationImages",
    "Change",
    "LearnedImage",
    "Lesson",
    "Outcome",
    "Preview",
    "Teacher",
    "Teaching",
    "remove",
    "teach",
]

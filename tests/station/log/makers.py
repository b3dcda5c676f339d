"""Records for tests, made from a seed."""

import random
from datetime import UTC, datetime, timedelta

from patchcore_dual.station.log import EditRecord, InspectionRecord
from patchcore_dual.station.log.ids import Ids

START = datetime(2026, 11, 26, 6, tzinfo=UTC)
ids = Ids()


def inspection(seed=0, **values):
    """An inspection with everything set; the clock runs on by a minute a seed."""
    draw = random.Random(seed)
    score = draw.uniform(0, 2)
    regions = [
        {
            "x": draw.randrange(600),
            "y": draw.randrange(400),
            "width": draw.randrange(1, 60),
            "height": draw.randrange(1, 60),
            "area": draw.randrange(1, 400),
            "peak": draw.random(),
        }
        for _ in range(draw.choice([0, 0, 1, 3]))
    ]
    return InspectionRecord(
        **{
            "id": ids.next(),
            "at": START + timedelta(minutes=seed, microseconds=draw.randrange(1_000_000)),
            "model": draw.choice(["brackets", "gears"]),
            "version": draw.choice([None, 3]),
            "fingerprint": "0123456789abcdef",
            "source": draw.choice(["api", "watch:/camera 1"]),
            "name": draw.choice(["Part_1%.png", "part-2.png", "Tür 3.PNG", ""]),
            "image": f"{draw.getrandbits(256):064x}",
            "width": 640,
            "height": 480,
            "verdict": "pass" if score < 1.2 else "review" if score < 1.5 else "reject",
            "score": score,
            "threshold": 1.5,
            "review_threshold": 1.2,
            "uncertainty": 0.125,
            "is_foreign": draw.random() < 0.1,
            "regions": regions,
            "nearest_normal": {"image": "normal/07.png", "row": 1, "column": 2, "distance": 2.0},
            "nearest_defect": draw.choice(
                [None, {"image": "scratch/3.png", "row": 3, "column": 4, "distance": 0.5}]
            ),
            "note": "resized",
            "milliseconds": {"queue": 0.5, "decode": 2.0, "inspect": 30.25},
            **values,
        }
    )


def edit(number=1, **values):
    """An edit of the model "brackets"."""
    return EditRecord(
        **{
            "id": ids.next(),
            "at": START + timedelta(minutes=number),
            "model": "brackets",
            "version": number,
            "fingerprint": f"{number:016x}",
            "action": "teach",
            "by": "ada",
            "why": "a scratch that was missed",
            "inspection": ids.next(),
            "images": ["ab" * 32],
            "effects": {"recall": [0.5, 0.75], "patches added": 3},
            **values,
        }
    )

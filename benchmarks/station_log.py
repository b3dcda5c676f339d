"""Lists, filters and counts of a station's log with many inspections, in milliseconds.

    python benchmarks/station_log.py [--database URL] [--inspections 100000]

Without a URL it makes a SQLite file. Made-up inspections are added to a database until there are so
many. Each query is asked
with every filter that the page and the API have, also those that choose nothing, whose answer takes
longest; the first page, and one far down.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from sqlalchemy import func, select, text

from patchcore_dual.station.log import InspectionRecord, Log, Query, open_database
from patchcore_dual.station.log.ids import Ids
from patchcore_dual.station.log.rows import insert
from patchcore_dual.station.log.tables import inspections

START = datetime(2026, 1, 1, tzinfo=UTC)
REPEATS = 25


def made_up(ids: Ids, number: int) -> InspectionRecord:
    """One of many inspections: one in ten stands out, most in the same corner."""
    draw = random.Random(number)
    score = draw.lognormvariate(0, 0.3)
    count = draw.choice([1, 1, 2, 3]) if score > 1.3 or draw.random() < 0.2 else 0
    regions = [
        {
            "x": draw.randrange(100),
            "y": draw.randrange(100),
            "width": draw.randrange(5, 60),
            "height": draw.randrange(5, 60),
            "area": 400,
            "peak": draw.random(),
        }
        for _ in range(count)
    ]
    match = {"image": f"normal/{number % 500:04}.png", "row": 3, "column": 7, "distance": 1.25}
    return InspectionRecord(
        id=ids.next(),
        at=START + timedelta(seconds=3 * number),
        model=draw.choice(["brackets", "brackets", "gears", "housings"]),
        version=3,
        fingerprint="0123456789abcdef",
        source="watch:/srv/camera-1",
        name=f"station-1/part-{number:07}.png",
        image=f"{draw.getrandbits(256):064x}",
        width=640,
        height=480,
        verdict="pass" if score < 1.6 else "review" if score < 1.75 else "reject",
        score=score,
        threshold=1.75,
        review_threshold=1.6,
        uncertainty=0.05,
        regions=regions,
        nearest_normal=match,
        nearest_defect=match,
        note="resized from 640x480 to 256x192",
        milliseconds={"queue": 0.2, "decode": 4.1, "inspect": 21.7},
    )


def queries(count: int) -> dict[str, Query]:
    """Each filter, choosing many, few and none, and some together."""
    middle = START + timedelta(seconds=3 * count // 2)
    return {
        "everything": Query(),
        "model": Query(model="gears"),
        "model, none": Query(model="other"),
        "verdict reject": Query(verdict={"reject"}),
        "verdict pass or review": Query(verdict={"pass", "review"}),
        "verdict, none": Query(verdict={"other"}),
        "review open": Query(review="open"),
        "review done, none": Query(review="done"),
        "an hour": Query(since=middle, until=middle + timedelta(hours=1)),
        "the first half": Query(until=middle),
        "time, none": Query(until=START),
        "time and name, none": Query(since=START, until=middle, name="no such part"),
        "time and score, none": Query(since=middle, min_score=1000.0),
        "score above the median": Query(min_score=1.0),
        "score in a narrow band": Query(min_score=1.0, max_score=1.0001),
        "score, none": Query(min_score=1000.0),
        "name, many": Query(name="PART-"),
        "name, one": Query(name="part-0000007"),
        "name, none": Query(name="no such part"),
        "with regions": Query(has_region=True),
        "without regions": Query(has_region=False),
        "region, many": Query(region=(0, 0, 100, 100)),
        "region, few": Query(region=(157, 157, 10, 10)),
        "region, none": Query(region=(500, 400, 50, 50)),
        "model, verdict, time and name, none": Query(
            model="gears", verdict={"reject"}, since=START, until=middle, name="x"
        ),
        "all filters, none": Query(
            "gears", {"reject"}, "open", START, middle, 1.0, 9.0, "part", True, (500, 400, 9, 9)
        ),
    }


def timed(call: Callable[[], object]) -> tuple[float, float, float]:
    """Shortest, median and longest time of a call, in milliseconds."""
    times = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - begun))
    return min(times), statistics.median(times), max(times)


def fill(url: str, count: int) -> None:
    """Write made-up inspections until there are so many."""
    engine, ids = open_database(url), Ids()
    with engine.connect() as connection:
        begun = connection.scalar(select(func.count()).select_from(inspections)) or 0
    for begin in range(begun, count, 1000):
        with engine.begin() as connection:
            numbers = range(begin, min(begin + 1000, count))
            insert(connection, [made_up(ids, number) for number in numbers])
    if engine.dialect.name == "postgresql":  # as it does by itself in the minutes that follow
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
    engine.dispose()


def main() -> None:
    """Fill, ask, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", default="")
    parser.add_argument("--inspections", type=int, default=100_000)
    arguments = parser.parse_args()
    count = arguments.inspections
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        url = arguments.database or f"sqlite:///{folder}/station.db"
        begun = time.perf_counter()
        fill(url, count)
        print(f"{count} inspections written in {time.perf_counter() - begun:.0f} s")
        log = Log(open_database(url), folder / "spool")
        middle = log.list(Query(until=START + timedelta(seconds=3 * count // 2)), 1).items[0].id
        calls: dict[str, Callable[[], object]] = {}
        for name, query in queries(count).items():
            calls[name] = partial(log.list, query)
            calls[f"{name}; from the middle on"] = partial(log.list, query, 50, middle)
        calls["counts of a shift"] = partial(
            log.counts, START + timedelta(seconds=3 * count - 8 * 3600)
        )
        calls["counts of everything"] = partial(log.counts, START)
        print(f"{'milliseconds':60} shortest  median  longest")
        slowest = 0.0
        for name, call in calls.items():
            shortest, median, longest = timed(call)
            slowest = max(slowest, median)
            print(f"{name:60} {shortest:8.1f} {median:7.1f} {longest:8.1f}")
        ids = Ids(after=log.new_id())
        one_more = [made_up(ids, count + n) for n in range(REPEATS)]
        adding = iter(one_more)
        times = timed(lambda: log.add(next(adding)))
        print(f"{'add one':60} {times[0]:8.1f} {times[1]:7.1f} {times[2]:8.1f}")
        print(f"the largest median of a list or count: {slowest:.1f} ms")
        log.close()


if __name__ == "__main__":
    main()

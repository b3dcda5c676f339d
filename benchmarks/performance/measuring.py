"""What all measurements share: clocks, peak memory, AUROC. Needs nothing but NumPy."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

WARM_UP = 3


class Stopwatch:
    """Seconds spent inside wrapped functions, by name; calls among them count once."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._running: set[str] = set()

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, whose time is added to `name`."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            if name in self._running:
                return function(*args, **kwargs)
            self._running.add(name)
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.spent[name] += time.perf_counter() - started
                self._running.discard(name)

        return timed

    def take(self) -> dict[str, float]:
        """What was spent since the last call."""
        spent = dict(self.spent)
        self.spent.clear()
        return spent


def time_each(
    items: Iterable[Any],
    work: Callable[[Any], Any],
    watch: Stopwatch | None = None,
    at_least: int = 0,
    limit_s: float = float("inf"),
) -> tuple[dict[str, dict[str, float]], list[Any]]:
    """Milliseconds of `work` for each item, in all and by the parts that `watch` sees.

    The first item is worked on a few times before, unmeasured. With a limit it ends early, but
    not before `at_least` items.

    Returns: {part: {p50, p99, mean, n}}, and what `work` returned.
    """
    watch = watch or Stopwatch()
    times: dict[str, list[float]] = defaultdict(list)
    answers: list[Any] = []
    begun = time.perf_counter()
    for i, item in enumerate(items):
        for _ in range(WARM_UP if i == 0 else 0):
            work(item)
        if i == 0:
            begun = time.perf_counter()
        watch.take()
        started = time.perf_counter()
        answers.append(work(item))
        times["total"].append(1000 * (time.perf_counter() - started))
        for part, seconds in watch.take().items():
            times[part].append(1000 * seconds)
        if len(answers) >= at_least and time.perf_counter() - begun > limit_s:
            break
    return {part: percentiles(values) for part, values in times.items()}, answers


def percentiles(values: list[float]) -> dict[str, float]:
    return {
        "p50": float(np.percentile(values, 50)),
        "p99": float(np.percentile(values, 99)),
        "mean": float(np.mean(values)),
        "n": len(values),
    }


def auroc(scores: list[float], is_defective: list[bool]) -> float | None:
    """Share of (defective, good) pairs in the right order; None where one kind is absent."""
    values, defective = np.array(scores), np.array(is_defective, dtype=bool)
    bad, good = values[defective], values[~defective]
    if not len(bad) or not len(good):
        return None
    right = (bad[:, None] > good).mean() + (bad[:, None] == good).mean() / 2
    return float(right)


def peak_mib() -> float:
    """The most memory this process has held so far, in MiB."""
    return _status("VmHWM")


def resident_mib() -> float:
    """The memory this process holds now, in MiB."""
    return _status("VmRSS")


def _status(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise OSError(f"no {field} in /proc/self/status: memory is measured on Linux only")


def size_mib(path: Path) -> float:
    """A file, or all files of a folder."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sum(file.stat().st_size for file in files) / 2**20

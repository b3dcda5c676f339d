"""`Sentinel`: says since which image good parts are no longer like those a model was fitted on.

It bets against exchangeability (Vovk, Gammerman and Shafer, *Algorithmic Learning in a Random
World*, 2005; Vovk, *Testing randomness online*, 2021). As long as the images that come are like
good training images, which were measured held out, the rank of each new one among all of these and
the stream so far is uniform, whatever came before. Whoever bets on other ranks then wins in
expectation nothing, and by Ville's inequality has ever a hundredfold capital with a probability of
at most one in a hundred, however long the stream is and however often one looks.

What is bet on, and what costs no false alarm beside it:

- Each statistic of `Appearance`, upwards and downwards, has a capital of its own; their mean
  decides. Being nearer to the normal bank is not bet on: held-out distances are a little greater
  than those to the whole bank.
- The bets `m (1 - p)^(m - 1)` fall with the p-value. Therefore a reference whose tolerance takes
  the difference between groups of images away makes them safer, never riskier.
- Each bet is divided by what it wins in expectation where one image in ten is arbitrary. So up to a
  tenth of defective parts, rejected or not, needs no treatment.
- A change may begin at any image: capital goes into bets little by little, and of the rest
  `1 / (n + 1)` is left after `n` images.
- After a thousand images, and after an alarm, the stream is forgotten and a new *epoch* begins.
  Epoch `k` has the share `1 / (k (k + 1))` of the level, and all epochs together the level.
"""

import random
from bisect import bisect_left, bisect_right, insort
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from patchcore_dual.errors import SettingsError
from patchcore_dual.scoring.appearance import STATISTICS, Appearance
from patchcore_dual.scoring.drift_reference import DriftReference

LEVEL = 0.01  # probability of a false alarm in a lifetime
DEFECTS = 0.1  # share of arbitrary images that costs no false alarm
EPOCH = 1000  # images after which the stream is forgotten
RECOVERY = 200  # images without evidence after which a drift is over, at least
RECENT = 50  # images that say how parts look now

_POWERS = np.array([2.0, 4.0, 8.0])  # m of the bets
_FAIR = 1 - DEFECTS + DEFECTS * _POWERS
_MOVED = 0.02  # share of the capital that moves between the bets at each image
_DIRECTIONS = np.array([[1, name not in ("distance", "share")] for name in STATISTICS], bool)


@dataclass(frozen=True)
class Finding:
    """A drift.

    Attributes:
        since: number of the image, from 1, since which parts look different, as is estimated.
        found: number of the image at which that was certain.
        last: number of the image at which it was certain the last time.
        statistic: the one of `STATISTICS` that told it.
        is_more: whether that has risen.
    """

    since: int
    found: int
    last: int
    statistic: str
    is_more: bool


class Sentinel:
    """Watches a stream of images for drift, in a few microseconds and bounded memory.

    Args:
        reference: of the model that inspects the stream.
        level: probability that it ever gives a false alarm.
        seed: of the draws that break ties.

    Attributes:
        reference, level: as given.
        images: how many it has seen.
        finding: the drift that lasts; None where there is none.
        past: drifts that are over, the last twenty.
        recent: the appearances of the last fifty images.

    Raises:
        SettingsError: for a level that is no probability.
    """

    def __init__(self, reference: DriftReference, level: float = LEVEL, seed: int = 0) -> None:
        if not 0 < level < 1:
            raise SettingsError(f"the level is {level:g}; give a probability, as 0.01.")
        self.reference, self.level, self._seed = reference, level, seed
        self._sorted: list[list[float]] = reference.fitted.T.tolist()
        self._tolerance: list[list[float]] = reference.tolerance.tolist()
        self.images = 0
        self._epoch = self._seen = 0
        self._bets = self._evidence = self._start = np.zeros(0)
        self._stream: list[list[float]] = []
        self.finding: Finding | None = None
        self.past: deque[Finding] = deque(maxlen=20)
        self.recent: deque[Appearance] = deque(maxlen=RECENT)
        self._begin()

    @property
    def is_drifting(self) -> bool:
        """Whether parts are no longer like those of the fit."""
        return self.finding is not None

    @property
    def capital(self) -> float:
        """What betting has made of 1 in this epoch; an alarm needs `k (k + 1) / level`."""
        idle = 1 / (self._seen + 1)
        return float((self._bets.sum(axis=-1) + idle)[_DIRECTIONS].mean())

    def add(self, appearance: Appearance) -> bool:
        """Take in an image; return whether parts are no longer like those of the fit."""
        self.images += 1
        self._seen += 1
        self.recent.append(appearance)
        n = self._seen
        p = self._ranks(appearance.values.tolist())
        self._bets += 1 / (n * (n + 1) * len(_POWERS))
        self._bets = (1 - _MOVED) * self._bets + _MOVED * self._bets.mean(axis=-1, keepdims=True)
        gain = _POWERS * (1 - p[..., None]) ** (_POWERS - 1) / _FAIR
        self._bets *= gain
        self._evidence += np.log(np.maximum(gain, 1e-12))
        self._start[self._evidence <= 0] = self.images + 1
        self._evidence = np.maximum(self._evidence, 0)
        if self.capital >= self._epoch * (self._epoch + 1) / self.level:
            self._found()
        elif self.finding is not None and n >= self._patience(self.finding):
            self.past.append(self.finding)
            self.finding = None
        if self._seen >= EPOCH:
            self._begin()
        return self.is_drifting

    def _begin(self) -> None:
        shape = _DIRECTIONS.shape
        self._epoch += 1
        self._seen = 0
        self._stream = [[] for _ in STATISTICS]
        self._bets = np.zeros((*shape, len(_POWERS)))
        self._evidence = np.zeros(self._bets.shape)  # since when, by cumulative sums
        self._start = np.full(self._bets.shape, self.images + 1)

    def _ranks(self, values: list[float]) -> np.ndarray:
        """The p-values of an image upwards and downwards, float64 `[11, 2]`; it joins the bag."""
        draw = random.Random(f"{self._seed} {self.images}").random
        p = np.empty(_DIRECTIONS.shape)
        for i, value in enumerate(values):
            known, stream, (above, below) = self._sorted[i], self._stream[i], self._tolerance[i]
            count = len(known) + len(stream) + 1
            first, last = bisect_left(stream, value), bisect_right(stream, value)
            start, end = bisect_left(known, value - above), bisect_right(known, value - above)
            ties = draw() * (end - start + last - first + 1)
            p[i, 0] = (len(known) - end + len(stream) - last + ties) / count
            start, end = bisect_left(known, value + below), bisect_right(known, value + below)
            ties = draw() * (end - start + last - first + 1)
            p[i, 1] = (start + first + ties) / count
            insort(stream, value)
        return p

    def _found(self) -> None:
        capital = np.where(_DIRECTIONS, self._bets.sum(axis=-1), 0)
        which = np.unravel_index(capital.argmax(), capital.shape)
        begun = int(self._start[which][self._evidence[which].argmax()])
        former = self.finding
        self.finding = Finding(
            former.since if former else min(begun, self.images),
            former.found if former else self.images,
            self.images,
            STATISTICS[which[0]],
            bool(which[1] == 0),
        )
        self._begin()

    @staticmethod
    def _patience(finding: Finding) -> int:
        return min(EPOCH - 1, max(RECOVERY, 2 * (finding.found - finding.since)))

    def to_json(self) -> dict[str, Any]:
        """All that it knows, as plain values, for `from_json`."""
        return {
            "level": self.level,
            "seed": self._seed,
            "images": self.images,
            "epoch": self._epoch,
            "seen": self._seen,
            "finding": asdict(self.finding) if self.finding else None,
            "past": [asdict(one) for one in self.past],
            "recent": [one.to_json() for one in self.recent],
            "stream": self._stream,
            "bets": self._bets.tolist(),
            "evidence": self._evidence.tolist(),
            "start": self._start.tolist(),
        }

    @classmethod
    def from_json(cls, reference: DriftReference, values: dict[str, Any]) -> "Sentinel":
        """The sentinel again, with the reference of the same model.

        Raises:
            KeyError, TypeError, ValueError: for values that `to_json` did not give.
        """
        one = cls(reference, values["level"], values["seed"])
        one.images, one._epoch, one._seen = values["images"], values["epoch"], values["seen"]
        one.finding = Finding(**values["finding"]) if values["finding"] else None
        one.past.extend(Finding(**past) for past in values["past"])
        one.recent.extend(Appearance.from_json(recent) for recent in values["recent"])
        one._stream = [sorted(map(float, stream)) for stream in values["stream"]]
        one._bets = np.array(values["bets"], float).reshape(one._bets.shape)
        one._evidence = np.array(values["evidence"], float).reshape(one._evidence.shape)
        one._start = np.array(values["start"], int).reshape(one._start.shape)
        if len(one._stream) != len(STATISTICS):
            raise ValueError("another set of statistics")
        return one

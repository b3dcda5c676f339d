"""What the quality gates said of a set of synthetic images."""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Gate:
    """One gate's answer: a number, the limit it was held against, and why in plain words.

    The number is None where there was nothing to compare with.
    """

    value: float | None
    limit: float
    passed: bool
    reason: str


@dataclass(frozen=True)
class Judgement:
    """All answers for one image, by gate: "visible", "realistic", "seamless", "new"."""

    name: str
    gates: dict[str, Gate]

    @property
    def passed(self) -> bool:
        return all(gate.passed for gate in self.gates.values())

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the image is left out; empty where it is not."""
        return tuple(gate.reason for gate in self.gates.values() if not gate.passed)


@dataclass(frozen=True)
class SetDistances:
    """How far patches of one set are from those of the real training defects.

    Attributes:
        kernel: squared maximum mean discrepancy (`kernel_distance`).
        frechet: Fréchet distance in patch features; None where patches are too few.
    """

    kernel: float
    frechet: float | None


@dataclass(frozen=True)
class GateReport:
    """What the gates said of a set.

    Attributes:
        judgements: of each image, in order.
        skipped: gates that could not be asked, and why.
        distances: of "synthetic" patches, of those "before" (the same places of the good images
            they were made on) and of "real halves" (every other part's defects from the rest)
            from the real ones. Synthetic ones should come closer than those before.
    """

    judgements: tuple[Judgement, ...]
    skipped: dict[str, str]
    distances: dict[str, SetDistances]

    @property
    def passed(self) -> tuple[str, ...]:
        """Names of the images that passed every gate."""
        return tuple(j.name for j in self.judgements if j.passed)

    def lines(self) -> list[str]:
        """A summary in sentences."""
        failed = Counter(
            gate.reason.split(":")[0]
            for j in self.judgements
            for gate in j.gates.values()
            if not gate.passed
        )
        why = ", ".join(f"{n} {reason}" for reason, n in failed.most_common())
        told = f"Gates: {len(self.passed)} of {len(self.judgements)} pass"
        lines = [f"{told}; left out: {why}." if why else f"{told}."]
        lines += [f"Gate {name} was not asked: {reason}." for name, reason in self.skipped.items()]
        if "synthetic" in self.distances:
            kernel = {name: f"{value.kernel:.3g}" for name, value in self.distances.items()}
            lines.append(
                f"Kernel distance of their patches from real defects' patches: "
                f"{kernel['synthetic']}; of the good surface before: {kernel['before']}; of one "
                f"half of the real defects from the other: {kernel.get('real halves', 'unknown')}."
            )
        return lines

    def to_json(self) -> dict[str, Any]:
        return {
            "passed": list(self.passed),
            "left_out": {j.name: list(j.reasons) for j in self.judgements if not j.passed},
            "skipped": self.skipped,
            "distances": {name: asdict(value) for name, value in self.distances.items()},
            "images": {
                j.name: {name: asdict(gate) for name, gate in j.gates.items()}
                for j in self.judgements
            },
        }

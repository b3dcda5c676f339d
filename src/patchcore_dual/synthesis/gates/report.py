"""The results of the quality gates for a set of synthetic images."""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class GateResult:
    """The result of one gate for one image.

    Attributes:
        value: the measured value; None where there was nothing to compare with.
        limit: the limit that it was compared with.
        passed: whether the image passed.
        reason: why, in plain words; what precedes the first colon is the same for equal causes.
    """

    value: float | None
    limit: float
    passed: bool
    reason: str


@dataclass(frozen=True)
class ImageResult:
    """The results of all gates for one image.

    Attributes:
        name: file name of the image.
        gates: by name of the gate: "visible", "realistic", "seamless", "new".
    """

    name: str
    gates: dict[str, GateResult]

    @property
    def passed(self) -> bool:
        """Whether the image passed every gate."""
        return all(gate.passed for gate in self.gates.values())

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the image is left out; empty where it is not."""
        return tuple(gate.reason for gate in self.gates.values() if not gate.passed)


@dataclass(frozen=True)
class SetDistances:
    """Distances of one set of patches to the patches of the real training defects.

    Attributes:
        kernel: squared maximum mean discrepancy (`kernel_distance`).
        frechet: Fréchet distance of the patch features; None where there are too few patches.
    """

    kernel: float
    frechet: float | None


@dataclass(frozen=True)
class QualityReport:
    """The results of the gates for a set of images.

    Attributes:
        images: the results of each image, in order.
        skipped: gates that could not be applied, with the reason.
        distances: distances to the real defects' patches of "synthetic", the synthetic patches;
            "before", the same cells of the normal images they were made on; and "real halves", one
            half of the real defects to the other, as the reference. Synthetic patches are expected
            to be closer than those before.
    """

    images: tuple[ImageResult, ...]
    skipped: dict[str, str]
    distances: dict[str, SetDistances]

    @property
    def passed(self) -> tuple[str, ...]:
        """Names of the images that passed every gate."""
        return tuple(image.name for image in self.images if image.passed)

    def lines(self) -> list[str]:
        """A summary in sentences."""
        failed = Counter(
            gate.reason.split(":")[0]
            for image in self.images
            for gate in image.gates.values()
            if not gate.passed
        )
        why = ", ".join(f"{n} {reason}" for reason, n in failed.most_common())
        passed = f"Gates: {len(self.passed)} of {len(self.images)} pass"
        lines = [f"{passed}; left out: {why}." if why else f"{passed}."]
        lines += [f"Gate {name} was skipped: {reason}." for name, reason in self.skipped.items()]
        if "synthetic" in self.distances:
            kernel = {name: f"{value.kernel:.3g}" for name, value in self.distances.items()}
            lines.append(
                f"Kernel distance to the patches of real defects (lower is closer): synthetic "
                f"defects {kernel['synthetic']}, the same cells before {kernel['before']}, one "
                f"half of the real defects to the other {kernel.get('real halves', 'unknown')}."
            )
        return lines

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "passed": list(self.passed),
            "left_out": {image.name: list(image.reasons) for image in self.images if image.reasons},
            "skipped": self.skipped,
            "distances": {name: asdict(value) for name, value in self.distances.items()},
            "images": {
                image.name: {name: asdict(gate) for name, gate in image.gates.items()}
                for image in self.images
            },
        }

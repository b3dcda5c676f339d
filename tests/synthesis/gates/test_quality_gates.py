"""Each gate on defects of which the answer is known, seen through the real backbone.

Good parts and defects are the demo's: a defect there is a change of the relief, and the same part
without it comes along. As a synthetic defect it is perfect.
"""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchcore_dual.banks import MemoryBank
from patchcore_dual.demo.surfaces import photograph
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.features.defect_patches import covered_cells
from patchcore_dual.synthesis.gates.candidates import Candidate, changed_patches
from patchcore_dual.synthesis.gates.criteria import upper_limit
from patchcore_dual.synthesis.gates.distances import kernel_distance
from patchcore_dual.synthesis.gates.outlines import outline_sharpness, sharpest_outline
from patchcore_dual.synthesis.gates.quality_gates import apply_gates
from synthesis.generators_common import metal_donor

KINDS = ("crack", "scratch", "spot")
N_GOOD, N_REAL = 6, 6


def perfect(number: int) -> Candidate:
    made = photograph(KINDS[number % 3], np.random.default_rng(200 + number))
    return Candidate(f"{number:04d}.png", made.image, made.mask, made.flawless, f"part{number}")


def moved(candidate: Candidate, name: str, by: int) -> Candidate:
    image, mask, normal = (
        np.roll(a, (by, by), (0, 1)) for a in (candidate.image, candidate.mask, candidate.normal)
    )
    return replace(candidate, name=name, image=image, mask=mask, normal=normal)


class World:
    """Good and real defective parts, and what a backbone sees in them."""

    def __init__(self) -> None:
        self.detector = PatchCoreDual()
        self._seen: dict[bytes, np.ndarray] = {}
        self.good = [
            (f"good{i}.png", photograph("good", np.random.default_rng(i)).image)
            for i in range(N_GOOD)
        ]
        maps = [self.embed(image) for _, image in self.good]
        rows, columns, channels = maps[0].shape
        cells = np.indices((rows, columns)).reshape(2, -1).T.astype(np.int32)
        self.bank = MemoryBank(
            np.concatenate([m.reshape(-1, channels) for m in maps]),
            np.repeat(np.arange(N_GOOD, dtype=np.int32), rows * columns),
            np.tile(cells, (N_GOOD, 1)),
            tuple(name for name, _ in self.good),
        )
        self.real = [metal_donor(KINDS[i % 3], 100 + i) for i in range(N_REAL)]
        self.groups = [f"part{i}" for i in range(N_REAL)]

    def embed(self, image: np.ndarray) -> np.ndarray:
        """Embed each image once, since the same few are used in many tests."""
        key = image.tobytes()
        if key not in self._seen:
            self._seen[key] = self.detector.embed(image)
        return self._seen[key]

    def apply_gates(self, candidates, real=None, groups=None, **options):
        real = self.real if real is None else real
        groups = self.groups if groups is None else groups
        return apply_gates(
            candidates, real, groups, self.good, embed=self.embed, bank=self.bank, **options
        )


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def square() -> np.ndarray:
    mask = np.zeros((256, 256), bool)
    mask[100:140, 100:140] = True
    return mask


@pytest.fixture(scope="module")
def candidates(world) -> list[Candidate]:
    name, good = world.good[0]
    pasted = good.copy()
    pasted[square()] = 250
    soft = cv2.GaussianBlur(square().astype(np.float32), (0, 0), 6)[..., None]
    faint = np.rint(good + (0.15 * soft) * (255 - good)).astype(np.uint8)
    return [
        *(perfect(i) for i in (1, 2, 3)),
        Candidate("unchanged.png", good, square(), good, name),
        Candidate("pasted.png", pasted, square(), good, name),
        Candidate("faint.png", faint, soft[..., 0] > 0.05, good, name),
        replace(perfect(1), name="again.png"),
        moved(perfect(2), "moved.png", 2),
        perfect(4),
    ]


@pytest.fixture(scope="module")
def report(world, candidates):
    return world.apply_gates(candidates)


def gates(report, name):
    return next(j for j in report.images if j.name == name).gates


def failed(report, name) -> set[str]:
    return {gate for gate, answer in gates(report, name).items() if not answer.passed}


def test_perfect_defects_pass_every_gate(report):
    for number in (1, 2, 3, 4):
        assert failed(report, f"{number:04d}.png") == set()
    assert set(gates(report, "0001.png")) == {"visible", "realistic", "seamless", "new"}
    assert report.passed == ("0001.png", "0002.png", "0003.png", "0004.png")


def test_an_unchanged_image_is_hardly_visible(report):
    assert "visible" in failed(report, "unchanged.png")
    assert gates(report, "unchanged.png")["visible"].reason.startswith("hardly visible")


def test_a_pasted_square_has_a_seam(report):
    assert "seamless" in failed(report, "pasted.png")
    assert gates(report, "pasted.png")["visible"].passed
    assert gates(report, "pasted.png")["seamless"].reason.startswith("a visible seam")
    assert gates(report, "faint.png")["seamless"].passed


@pytest.mark.parametrize("name", ["faint.png", "unchanged.png"])
def test_what_is_still_like_good_surface_is_unlike_real_defects(report, name):
    assert "realistic" in failed(report, name)
    assert gates(report, name)["realistic"].reason.startswith("unlike real defects")


@pytest.mark.parametrize(("name", "of"), [("again.png", "0001.png"), ("moved.png", "0002.png")])
def test_the_second_of_two_alike_is_a_near_duplicate(report, name, of):
    assert failed(report, name) == {"new"}
    assert gates(report, name)["new"].reason.startswith("near duplicate: ")
    assert of in gates(report, name)["new"].reason


def test_a_duplicate_of_one_that_is_left_out_is_kept(world):
    """Else neither would be."""
    good = world.good[0][1]
    bad = Candidate("bad.png", good, square(), good, "good0.png")
    twice = [bad, replace(bad, name="bad again.png"), perfect(1), replace(perfect(1), name="x.png")]
    found = world.apply_gates(twice)
    assert gates(found, "bad again.png")["new"].passed
    assert found.passed == ("0001.png",)


def test_visible_is_measured_against_the_bank_without_the_image_itself(world, report, candidates):
    """By a loop: distances to all normal patches but those of the same image, the mean of the
    farthest quarter; the limit from every normal image in the same cells, and the original."""
    pasted = next(c for c in candidates if c.name == "pasted.png")

    def farthest(image: np.ndarray, own: str) -> float:
        features = world.embed(image)
        cells = np.argwhere(covered_cells(pasted.mask, *features.shape[:2]))
        kept = world.bank.vectors[[world.bank.sources[i] != own for i in world.bank.image]]
        distances = sorted(
            float(np.sqrt(((kept - features[row, column]) ** 2).sum(axis=1)).min())
            for row, column in cells
        )
        return float(np.mean(distances[-max(1, round(len(distances) / 4)) :]))

    gate = gates(report, "pasted.png")["visible"]
    assert gate.value == pytest.approx(farthest(pasted.image, "good0.png"), rel=1e-4)
    chance = [farthest(image, name) for name, image in world.good]
    expected = max(upper_limit(chance), farthest(pasted.normal, "good0.png"))
    assert gate.limit == pytest.approx(expected, rel=1e-4)


def test_realism_compares_with_real_defects_of_other_parts(world, report):
    """By a loop. Where all but one defect are of one part, its own others do not count."""

    def patches(defect):
        return changed_patches(world.embed(defect.image), defect.mask)

    def nearest(patch: np.ndarray, others: np.ndarray) -> float:
        return float(np.sqrt(((others - patch) ** 2).sum(axis=1)).min())

    candidate = perfect(1)
    for groups in (world.groups, ["one"] * 3 + ["two"] * 3):
        found = world.apply_gates([candidate], groups=groups)
        ratios = []
        for i, defect in enumerate(world.real):
            others = np.concatenate(
                [patches(d) for d, g in zip(world.real, groups, strict=True) if g != groups[i]]
            )
            own = patches(defect)
            to_others = np.mean([nearest(p, others) for p in own])
            ratios.append(to_others / np.mean([nearest(p, world.bank.vectors) for p in own]))
        everything = np.concatenate([patches(d) for d in world.real])
        own = patches(candidate)
        value = np.mean([nearest(p, everything) for p in own]) / np.mean(
            [nearest(p, world.bank.vectors) for p in own]
        )
        gate = gates(found, candidate.name)["realistic"]
        assert gate.value == pytest.approx(value, rel=1e-4)
        assert gate.limit == pytest.approx(upper_limit(ratios), rel=1e-4)


def test_the_limit_of_seams_is_real_defects_own(world, report, candidates):
    limit = upper_limit([sharpest_outline(d.image, d.mask) for d in world.real])
    for candidate in candidates:
        gate = gates(report, candidate.name)["seamless"]
        assert gate.limit == pytest.approx(limit)
        assert gate.value == pytest.approx(outline_sharpness(candidate.image, candidate.mask))


@pytest.mark.parametrize("n", [0, 1, 3])
def test_without_two_parts_of_real_defects_those_gates_are_skipped(world, n):
    """Three photographs of one part are one defect."""
    found = world.apply_gates([perfect(1), perfect(2)], world.real[:n], ["part"] * n)
    assert set(found.skipped) == {"realistic", "seamless"}
    assert all(set(j.gates) == {"visible", "new"} for j in found.images)
    assert found.passed == ("0001.png", "0002.png")
    assert found.distances == {}
    assert any("Gate realistic was skipped" in line for line in found.lines())


def test_set_distances_are_those_of_all_changed_patches(world, report, candidates):
    def patches(image, mask):
        return changed_patches(world.embed(image), mask)

    real = np.concatenate([patches(d.image, d.mask) for d in world.real])
    made = np.concatenate([patches(c.image, c.mask) for c in candidates])
    before = np.concatenate([patches(c.normal, c.mask) for c in candidates])
    first, rest = (
        np.concatenate([patches(d.image, d.mask) for d in world.real[start::2]]) for start in (0, 1)
    )
    expected = {"synthetic": (made, real), "before": (before, real), "real halves": (first, rest)}
    assert set(report.distances) == set(expected)
    for name, (a, b) in expected.items():
        assert report.distances[name].kernel == pytest.approx(kernel_distance(a, b), rel=1e-4)
        assert report.distances[name].frechet is None, "too few patches for it"


def test_perfect_defects_come_closer_to_real_ones_than_the_surface_before(world):
    distances = world.apply_gates([perfect(i) for i in range(1, 5)]).distances
    assert distances["synthetic"].kernel < distances["before"].kernel


def test_a_report_says_how_many_and_why(report):
    first, second = report.lines()
    assert first.startswith("Gates: 4 of 9 pass; left out: ")
    assert "2 near duplicate" in first
    assert "hardly visible" in first
    assert second.startswith(
        "Kernel distance to the patches of real defects (lower is closer): synthetic "
    )
    told = report.to_json()
    assert told["passed"] == list(report.passed)
    assert set(told["left_out"]) == {
        "unchanged.png", "pasted.png", "faint.png", "again.png", "moved.png"
    }  # fmt: skip
    assert told["images"]["0001.png"]["visible"]["passed"] is True


def test_progress_comes_to_its_end(world):
    steps = []
    world.apply_gates([perfect(1)], progress=lambda stage, done, total: steps.append((done, total)))
    total = N_GOOD + N_REAL + 1
    assert steps == [(i, total) for i in range(1, total + 1)]


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=9))
def test_the_limit_is_the_one_sided_prediction_interval(values):
    """Mean + t · s · √(1 + 1/n), from tables of t at 95 %."""
    t = (6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860)[len(values) - 2]
    n, mean = len(values), sum(values) / len(values)
    s = (sum((v - mean) ** 2 for v in values) / (n - 1)) ** 0.5
    assert upper_limit(values) == pytest.approx(
        mean + t * s * (1 + 1 / n) ** 0.5, rel=1e-3, abs=0.1
    )

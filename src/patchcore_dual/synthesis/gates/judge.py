"""Quality gates: what a synthetic defect has to pass to be worth training on.

Limits come from the data: what good images show by chance, and how far real defects are from one
another. In the features, distances are those that a detector sees.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from patchcore_dual.banks import MemoryBank
from patchcore_dual.features.defect_patches import EmbedImage, covered_cells
from patchcore_dual.synthesis.gates.distances import frechet_distance, kernel_distance
from patchcore_dual.synthesis.gates.gate_report import Gate, GateReport, Judgement, SetDistances
from patchcore_dual.synthesis.gates.outlines import outline_sharpness, sharpest_outline
from patchcore_dual.synthesis.generator import RealDefect
from patchcore_dual.utils.progress import Progress, silent

CONFIDENCE = 0.95  # a new image of the kind a limit is made from stays below it so often
MIN_GROUPS = 2
FARTHEST = 0.25  # share of the changed patches that "visible" looks at


@dataclass(frozen=True)
class Candidate:
    """A synthetic defect to be judged.

    Attributes:
        name: of its image.
        image: uint8 `[H, W, 3]`, RGB.
        mask: bool `[H, W]`, what changed.
        canvas: uint8 `[H, W, 3]`, the good image it was made on.
        canvas_name: as the normal bank's sources name it.
    """

    name: str
    image: np.ndarray
    mask: np.ndarray
    canvas: np.ndarray
    canvas_name: str


@dataclass(frozen=True)
class _Seen:
    """A candidate in features.

    Attributes:
        patches: `[m, d]`, the changed ones.
        from_good: `[m]`, their distances to good surface.
        before: `[m, d]`, those of the good image at the same places.
        moved: `[k, d]`, the changed ones of the same image, moved by half a cell.
    """

    patches: np.ndarray
    from_good: np.ndarray
    before: np.ndarray
    moved: np.ndarray
    visible: Gate


def judge(
    candidates: Sequence[Candidate],
    real: Sequence[RealDefect],
    groups: Sequence[str],
    good: Sequence[tuple[str, np.ndarray]],
    embed: EmbedImage,
    bank: MemoryBank,
    progress: Progress = silent,
) -> GateReport:
    """Ask every gate of every candidate.

    Args:
        candidates: in order; of near duplicates the first that passes the other gates is kept.
        real: real training defects.
        groups: of each, its part (a commutator, a tile): what real defects are compared with are
            those of other parts, since one defect in two photographs is always like itself. With
            fewer than two groups, the gates that need real defects are skipped.
        good: names and images, uint8 `[H, W, 3]`, of some good training images, two or more; what
            they show by chance, each compared with the bank without itself, is what "visible" is
            measured against.
        embed: patch features of an image.
        bank: of good training images.
    """
    stage, total = "quality gates", len(good) + len(real) + len(candidates)
    usual = []
    for image_name, image in good:
        features = embed(image)
        distances = _distances(features.reshape(-1, features.shape[-1]), bank, image_name)
        usual.append(distances.reshape(features.shape[:2]))
        progress(stage, len(usual), total)
    real_patches, steps = [], len(good)
    for defect in real:
        real_patches.append(changed_patches(embed(defect.image), defect.mask))
        steps += 1
        progress(stage, steps, total)
    seen = []
    for candidate in candidates:
        seen.append(_see(candidate, usual, embed, bank))
        steps += 1
        progress(stage, steps, total)

    answers = [{"visible": s.visible} for s in seen]
    skipped = {}
    if len(set(groups)) >= MIN_GROUPS:
        realistic = _judge_realism(seen, real_patches, groups, bank)
        seamless = _judge_outlines(candidates, real)
        for answer, first, second in zip(answers, realistic, seamless, strict=True):
            answer |= {"realistic": first, "seamless": second}
    else:
        why = (
            f"it takes real defects of {MIN_GROUPS} parts to compare with; there are "
            f"{len(set(groups))}"
        )
        skipped = {"realistic": why, "seamless": why}
    names = [c.name for c in candidates]
    eligible = [all(g.passed for g in answer.values()) for answer in answers]
    for answer, gate in zip(answers, _judge_newness(names, seen, eligible), strict=True):
        answer["new"] = gate
    judgements = tuple(Judgement(n, a) for n, a in zip(names, answers, strict=True))
    return GateReport(judgements, skipped, _set_distances(seen, real_patches, groups))


def changed_patches(features: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The patch features `[m, d]` of `[h, w, d]` that a mask bool `[H, W]` marks."""
    return features[covered_cells(mask, *features.shape[:2])]


def upper_limit(values: Sequence[float]) -> float:
    """What one more value of this kind stays below with 95 % confidence (normal prediction)."""
    n = len(values)
    factor = stats.t.ppf(CONFIDENCE, n - 1) * np.sqrt(1 + 1 / n)
    return float(np.mean(values) + factor * np.std(values, ddof=1))


def _see(
    candidate: Candidate, usual: Sequence[np.ndarray], embed: EmbedImage, bank: MemoryBank
) -> _Seen:
    features, before = embed(candidate.image), embed(candidate.canvas)
    cells = covered_cells(candidate.mask, *features.shape[:2])
    from_good = _distances(features[cells], bank, candidate.canvas_name)
    value = _farthest(from_good)
    by_chance = [_farthest(d[_on_grid(cells, d.shape)]) for d in usual]
    own = _farthest(_distances(before[cells], bank, candidate.canvas_name))
    limit = max(upper_limit(by_chance), own)
    passed = value > limit
    reason = (
        f"visible: {value:.3g} from good surface, where good images stay below {limit:.3g}"
        if passed
        else f"hardly visible: {value:.3g} from good surface, as good images can be ({limit:.3g})"
    )
    # Half a cell down and right: as badly as two pictures of one defect can be aligned.
    step = max(1, candidate.image.shape[0] // features.shape[0] // 2)
    moved = np.roll(candidate.image, (step, step), (0, 1))
    moved_mask = np.roll(candidate.mask, (step, step), (0, 1))
    return _Seen(
        features[cells],
        from_good,
        before[cells],
        changed_patches(embed(moved), moved_mask),
        Gate(value, limit, passed, reason),
    )


def _distances(patches: np.ndarray, bank: MemoryBank, left_out: str) -> np.ndarray:
    """float32 `[m]`: the distance of patches `[m, d]` to the bank without one image."""
    if left_out not in bank.sources or len(bank.sources) == 1:
        return bank.nearest(patches)[0]
    by_source = bank.nearest_by_source(patches[:, None])[:, 0]
    return np.delete(by_source, bank.sources.index(left_out), axis=1).min(axis=1)


def _farthest(distances: np.ndarray) -> float:
    """The mean of the farthest quarter: a defect need not show everywhere, and one patch is chance.

    Of the 92 real training defects of Magnetic Tile, 12 stay below the limit that way; by the
    maximum, 16 do. What is truly invisible stays below it either way.
    """
    count = max(1, round(len(distances) * FARTHEST))
    return float(np.sort(distances)[-count:].mean())


def _on_grid(cells: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The cells of one grid on another, for images of differing sizes."""
    if cells.shape == shape:
        return cells
    rows, columns = np.nonzero(cells)
    on = np.zeros(shape, dtype=bool)
    on[rows * shape[0] // cells.shape[0], columns * shape[1] // cells.shape[1]] = True
    return on


def _judge_realism(
    seen: Sequence[_Seen],
    real_patches: Sequence[np.ndarray],
    groups: Sequence[str],
    normal: MemoryBank,
) -> list[Gate]:
    """Nearer to real defects than to good surface, by as much as real defects of other parts are.

    The ratio takes away what makes an image unusual altogether: its exposure, its place on the
    part. What is unlike both passes, and is for a person to see. A limit on the distance itself
    was tried: it left out half of the real cracks that `poisson` moved on KolektorSDD.
    """
    bank = _bank_of(real_patches)
    names = np.array(groups)
    usual = []
    for own, group in zip(real_patches, groups, strict=True):
        to_others = bank.nearest_by_source(own[:, None])[:, 0, names != group].min(axis=1)
        usual.append(float(to_others.mean() / max(normal.nearest(own)[0].mean(), 1e-6)))
    limit = upper_limit(usual)
    gates = []
    for s in seen:
        value = float(bank.nearest(s.patches)[0].mean() / max(s.from_good.mean(), 1e-6))
        like = "like real defects" if value <= limit else "unlike real defects"
        reason = (
            f"{like}: {value:.2f} times as far from them as from good surface; real ones of "
            f"other parts are up to {limit:.2f}"
        )
        gates.append(Gate(value, limit, value <= limit, reason))
    return gates


def _judge_outlines(candidates: Sequence[Candidate], real: Sequence[RealDefect]) -> list[Gate]:
    limit = upper_limit([sharpest_outline(d.image, d.mask) for d in real])
    gates = []
    for candidate in candidates:
        value = outline_sharpness(candidate.image, candidate.mask)
        passed = value <= limit
        how = "no seam" if passed else "a visible seam"
        reason = (
            f"{how}: its outline is {value:.2g} times as sharp as the surface around, real "
            f"defects' are up to {limit:.2g}"
        )
        gates.append(Gate(value, limit, passed, reason))
    return gates


def _judge_newness(
    names: Sequence[str], seen: Sequence[_Seen], eligible: Sequence[bool]
) -> list[Gate]:
    """Whether a defect differs from every earlier one by more than from itself, moved a little."""
    directed = _mean_nearest([s.patches for s in seen], _bank_of([s.patches for s in seen]))
    apart = np.maximum(directed, directed.T)
    moved = np.array([_apart(s.patches, s.moved) for s in seen])
    gates: list[Gate] = []
    kept: list[int] = []
    for i in range(len(names)):
        if not kept:
            gates.append(Gate(None, float(moved[i]), True, "new: the first"))
        else:
            limits = np.maximum(moved[i], moved[kept])
            nearest = int((apart[i, kept] / limits).argmin())
            value, limit = float(apart[i, kept[nearest]]), float(limits[nearest])
            passed = value > limit
            reason = (
                f"{'new' if passed else 'near duplicate'}: {value:.3g} from "
                f"{names[kept[nearest]]}, {limit:.3g} from itself moved by half a cell"
            )
            gates.append(Gate(value, limit, passed, reason))
        if eligible[i] and gates[-1].passed:
            kept.append(i)
    return gates


def _set_distances(
    seen: Sequence[_Seen], real_patches: Sequence[np.ndarray], groups: Sequence[str]
) -> dict[str, SetDistances]:
    if len(set(groups)) < MIN_GROUPS:
        return {}
    real = np.concatenate(real_patches)
    owner = np.repeat(groups, [len(p) for p in real_patches])
    in_first = np.isin(owner, sorted(set(groups))[::2])
    pairs = {
        "synthetic": (np.concatenate([s.patches for s in seen]), real),
        "before": (np.concatenate([s.before for s in seen]), real),
        "real halves": (real[in_first], real[~in_first]),
    }
    return {
        name: SetDistances(kernel_distance(a, b), frechet_distance(a, b))
        for name, (a, b) in pairs.items()
        if min(len(a), len(b)) >= 2
    }


def _bank_of(patches: Sequence[np.ndarray]) -> MemoryBank:
    """A bank whose sources are numbered as the arrays `[m, d]` given."""
    counts = [len(p) for p in patches]
    return MemoryBank(
        np.concatenate(patches),
        np.repeat(np.arange(len(patches), dtype=np.int32), counts),
        np.zeros((sum(counts), 2), dtype=np.int32),
        tuple(map(str, range(len(patches)))),
    )


def _mean_nearest(patches: Sequence[np.ndarray], bank: MemoryBank) -> np.ndarray:
    """float64 `[n, sources]`: mean distance of each set's patches to their nearest in a source."""
    return np.array(
        [
            bank.nearest_by_source(own[:, None])[:, 0].mean(axis=0, dtype=np.float64)
            for own in patches
        ]
    )


def _apart(a: np.ndarray, b: np.ndarray) -> float:
    """Mean distance to the nearest patch of the other, the larger of both directions."""
    there, back = _bank_of([b]).nearest(a)[0], _bank_of([a]).nearest(b)[0]
    return float(max(there.mean(), back.mean()))

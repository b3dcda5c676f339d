"""The spread of a score under resampled banks."""

import numpy as np

from patchcore_dual.banks import MemoryBank, memory_bank
from patchcore_dual.scoring import gather_evidence, score_uncertainty
from patchcore_dual.scoring.fusion import PatchCore


def bank(vectors, sources):
    vectors = np.asarray(vectors, np.float32)
    image = np.array([sources.index(s) for s in sources], np.int32)
    cells = np.zeros((len(vectors), 2), np.int32)
    return MemoryBank(vectors, image, cells, tuple(sources))


def uncertainty(features, normal):
    evidence = gather_evidence(features, normal, None)
    peak = divmod(int(evidence.normal.distance.argmax()), features.shape[1])
    return score_uncertainty(PatchCore(), evidence, features, normal, None, peak=peak)


def test_a_score_that_hangs_on_one_image_is_uncertain():
    names = [f"{i}.png" for i in range(8)]
    features = np.full((2, 2, 3), 1.0, np.float32)
    alike = bank(np.zeros((8, 3)), names)
    lonely = bank(np.concatenate([np.ones((1, 3)), np.full((7, 3), 50.0)]), names)
    assert uncertainty(features, alike) == 0
    assert uncertainty(features, lonely) > 10


def test_the_same_image_has_the_same_uncertainty():
    rng = np.random.default_rng(0)
    names = [f"{i}.png" for i in range(20)]
    normal = bank(rng.standard_normal((20, 4)), names)
    features = rng.standard_normal((5, 6, 4)).astype(np.float32)
    assert uncertainty(features, normal) == uncertainty(features, normal) > 0


def test_where_the_nearest_vectors_are_all_of_one_image(monkeypatch):
    """Resamples without it need what lies beyond: more vectors are looked at, up to all."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((9000, 12)).astype(np.float32)
    vectors[:1000] *= 0.1
    image = np.concatenate([np.zeros(1000), rng.integers(1, 40, 8000)]).astype(np.int32)
    names = tuple(f"{i}.png" for i in range(40))
    normal = MemoryBank(vectors, image, np.zeros((9000, 2), np.int32), names)
    features = 0.1 * rng.standard_normal((5, 6, 12)).astype(np.float32)
    counts = []
    look = MemoryBank.nearest_sources
    monkeypatch.setattr(
        MemoryBank, "nearest_sources", lambda *a: (counts.append(a[2]), look(*a))[1]
    )
    found = uncertainty(features, normal)
    assert len(counts) > 1
    monkeypatch.setattr(memory_bank, "_FEW", 10_000)  # all at once
    np.testing.assert_allclose(found, uncertainty(features, normal), rtol=1e-4)
    assert found > 0

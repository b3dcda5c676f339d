"""A fit by other workers gives the model of a fit in one process, bit for bit."""

import json

import numpy as np
import pytest

from patchcore_dual.banks import select_coresets
from patchcore_dual.banks.coreset import composed
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.training import context
from patchcore_dual.utils.executor import InThisProcess, Lost
from patchcore_dual.utils.processes import Processes
from patchcore_dual.utils.spread import Spread


class Unlucky:
    """Workers that give results in the wrong order, and die of every third item."""

    workers = 2

    def map(self, make, items):
        done = list(InThisProcess().map(make, items))
        for number, result in reversed(done):
            yield number, Lost("killed") if number % 3 == 0 else result


def test_coresets_of_parts_are_the_same_from_any_workers(monkeypatch):
    monkeypatch.setattr(composed, "PART", 300)
    vectors = np.random.default_rng(0).random((2000, 8), np.float32)
    fold = np.repeat(np.arange(4, dtype=np.uint8), 500)

    def coresets(spread):
        return select_coresets(
            vectors,
            fold,
            [None, 0, 3],
            size_of=lambda n: n // 20,
            seed=0,
            exact=0,
            spread=spread,
        )

    alone = coresets(None)
    for executor in (Processes(2), Unlucky()):
        for one, other in zip(alone, coresets(Spread(executor)), strict=True):
            np.testing.assert_array_equal(one.chosen, other.chosen)
            assert one.radius == other.radius


@pytest.mark.parametrize("room", [0.25, 0], ids=["features kept", "no room for features"])
def test_a_model_is_the_same_from_any_workers(prepared, monkeypatch, fitted_with, room):
    expected = fitted_with().fingerprint
    monkeypatch.setattr(context, "WORTH_SPREADING", 0)
    monkeypatch.setattr(context, "CACHED_SHARE_OF_DISK", room)
    spread = Spread(Unlucky())
    fitted = PatchCoreDual().fit(prepared, spread=spread)
    assert fitted.fingerprint == expected
    assert sum(share.items for share in spread.shares) > 0


def test_fit_says_what_its_workers_did(prepared, monkeypatch, tmp_path, fitted_with, capsys):
    from patchcore_dual.cli.main import main

    monkeypatch.setattr(context, "WORTH_SPREADING", 0)
    words = ["fit", str(prepared.folder), "--model", str(tmp_path / "m"), "--scoring", "ratio"]
    monkeypatch.setattr("sys.argv", ["patchcore-dual", *words, "--workers", "2", "--json"])
    with pytest.raises(SystemExit):
        main()
    printed = json.loads(capsys.readouterr().out)
    assert printed["fingerprint"] == fitted_with(scoring="ratio").fingerprint
    assert sum(share["items"] for share in printed["workers"]) == 3  # of 6, 3 are timed here

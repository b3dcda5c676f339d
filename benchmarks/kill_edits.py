"""Kill changes of a model at random instants: is every version that is left whole?

A forked process changes a copy of the model without end: it teaches it defects, sets another
threshold, goes back, and removes old versions. It is killed (SIGKILL) after a random time, of at
most three changes. Each time the model has to load with its calibration set, with the fingerprint
of a version that the ledger has, and the ledger and all versions have to be as they were written;
the next change has to go on from there.

    python benchmarks/kill_edits.py MODEL DEFECT_IMAGES... --kills 200

Without images, 20 patches of a made-up image are added to the defect bank in place of a teaching,
which takes a hundredth of the time: kills fall into the writing more often then.
"""

import argparse
import os
import random
import shutil
import signal
import tempfile
import time
import traceback
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from patchcore_dual.banks import MemoryBank
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.errors import DataError, ModelError
from patchcore_dual.live import Edit, Lesson, commit, editing, prune, undo, verify
from patchcore_dual.model import Model, load_model, load_with_fingerprint
from patchcore_dual.model.versions import history, state_of


def taught(model: Model, seed: int) -> Model:
    """The model with 20 patches of a made-up image in its defect bank."""
    bank = model.defect_bank or model.normal_bank
    vectors = np.random.default_rng(seed).random((20, bank.vectors.shape[1]), np.float32)
    cell = np.zeros((20, 2), np.int32)
    added = MemoryBank(vectors, cell[:, 0], cell, (f"taught-{seed}.png",), bank.channels)
    return replace(model, defect_bank=MemoryBank.join([bank, added]))


def teach(folder: Path, image: Path) -> None:
    """Teach the model a defect, as the command does; one that it knows changes nothing."""
    detector = PatchCoreDual.load(folder)
    with suppress(DataError):
        outcome = detector.teach(Lesson(image, is_defect=True), force=True)
        commit(folder, detector.model, outcome.edit())


def change(folder: Path, seed: int, images: list[Path]) -> None:
    """One random change, as commands make it."""
    draw = random.Random(seed)
    kind = draw.choice(["teach", "teach", "threshold", "undo", "prune"])
    if kind == "undo":
        with suppress(ModelError):  # nothing to undo, or pruned
            undo(folder)
    elif kind == "prune":
        prune(folder, 3)
    else:
        with editing(folder):
            if kind == "teach" and images:
                return teach(folder, draw.choice(images))
            model = load_model(folder)
            if kind == "threshold":
                point = draw.choice(model.operating_points())
                model = model.with_threshold(point.threshold, None)
            else:
                model = taught(model, seed)
            commit(folder, model, Edit(kind))


def killed(folder: Path, seed: int, seconds: float, images: list[Path]) -> None:
    """Change the model in a process that is killed after some time."""
    child = os.fork()
    if child == 0:
        try:
            for number in range(1000):
                change(folder, 1000 * seed + number, images)
        except BaseException:
            traceback.print_exc()
        os._exit(1)  # not reached: it is killed before
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def duration(folder: Path, images: list[Path]) -> float:
    """The mean seconds of ten changes, made in a process of their own: forks inherit no threads."""
    begun = time.perf_counter()
    child = os.fork()
    if child == 0:
        for number in range(10):
            change(folder, number, images)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    return (time.perf_counter() - begun) / 10


def main() -> None:
    """Kill, check and count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path, nargs="*", help="of defects, which it is taught")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    seen: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as temporary:
        folder = shutil.copytree(arguments.model, Path(temporary, "model"))
        each = duration(folder, arguments.images)
        for number in range(arguments.kills):
            lines = len(history(folder))
            killed(folder, number + 1, draw.uniform(0, 3 * each), arguments.images)
            seen[state_of(folder)] += 1
            seen["left files half written"] += any(folder.rglob(".*"))
            model, fingerprint, _ = load_with_fingerprint(folder)
            assert model.calibration is not None
            ledger = history(folder)
            assert fingerprint in {ledger.last.fingerprint, ledger.last.before}
            assert verify(folder) == []
            with editing(folder):
                assert load_with_fingerprint(folder)[1] == ledger.last.fingerprint
            seen["changes made before the kill"] += len(history(folder)) - lines
        prune(folder, 1)
        assert verify(folder) == []
        left = [path.name for path in folder.rglob(".*")]
        assert not left, left
    print(f"{arguments.kills} kills, {1000 * each:.0f} ms a change: every version whole")
    for name, count in seen.items():
        print(f"{count:5} {name}")


if __name__ == "__main__":
    main()

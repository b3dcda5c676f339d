"""What changes of light do to a model's verdicts, fitted without and with --robust light.

    python benchmarks/light.py OUT PREPARED...

Each prepared folder is fitted twice by the command line, with default settings otherwise, and each
test image is inspected unchanged and after each change of `data/light.py`. Models and results,
DATA-none.json, DATA-light.json and DATA.json, go to OUT; what is there already is not computed
again. Prints a table for each data set, and the processor time and the peak memory of the second
fit as ratios to the first.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from patchcore_dual.data.light import CHANGES, DESCRIPTIONS, change_light
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.evaluation.metrics import auroc
from patchcore_dual.training.single_fit import score_of

FITS = ("none", "light")
LIGHTS = ("unchanged", *CHANGES)


def fit(prepared: Path, model: Path, robust: str) -> dict[str, Any]:
    """Fit in a process of its own: its JSON, seconds and peak memory in bytes."""
    file = model.with_suffix(".json")
    if file.is_file():
        return dict(json.loads(file.read_text()))
    command = [str(Path(sys.executable).with_name("patchcore-dual")), "fit", str(prepared)]
    command += ["--model", str(model), "--robust", robust, "--overwrite", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed.")
    found = {
        "fit": json.loads(said),
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak": usage.ru_maxrss * 1024,
    }
    file.write_text(json.dumps(found))
    return found


def measure(prepared: Path, models: list[Path], every: int) -> dict[str, Any]:
    """Scores of every n-th test image by every model, in every light."""
    detectors = [PatchCoreDual.load(model) for model in models]
    first = detectors[0].model
    test = Manifest.load(prepared).part("test")
    test = test.where(test.samples[::every])
    test = test.at_size(*first.size) if first.size else test
    scores = np.zeros((len(models), len(LIGHTS), len(test)))
    for i, sample in enumerate(test):
        image = test.read_image(sample)
        for k, light in enumerate(LIGHTS):
            lit = image if light == "unchanged" else change_light(image, light, seed=i)
            features = detectors[0].embed(lit)  # both have the same network
            for m, detector in enumerate(detectors):
                scores[m, k, i] = score_of(detector.model, features)
    return {
        "defective": [s.is_defective for s in test],
        "thresholds": [d.model.thresholds.image.value for d in detectors],
        "scores": scores.tolist(),
    }


def rows(found: dict[str, Any]) -> list[str]:
    """A table in Markdown: of each light, false alarms, recall and AUROC of every model."""
    defective, scores = np.array(found["defective"]), np.array(found["scores"])
    lines = [
        "| test images | false alarms | | recall | | AUROC | |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    lines += ["| `--robust` | none | light | none | light | none | light |"]
    table = []
    for k, light in enumerate(LIGHTS):
        above = [s[k] > t for s, t in zip(scores, found["thresholds"], strict=True)]
        table.append(
            [float(a[~defective].mean()) for a in above]
            + [float(a[defective].mean()) for a in above]
            + [float(auroc(s[k], defective)) for s in scores]
        )
        lines.append(row(DESCRIPTIONS.get(light, light), table[-1]))
    lines.append(row("mean of the changes", np.mean(table[1:], axis=0).tolist()))
    return lines


def row(name: str, values: list[float]) -> str:
    cells = [f"{100 * v:.1f} %" for v in values[:4]] + [f"{v:.3f}" for v in values[4:]]
    return f"| {' | '.join([name, *cells])} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("prepared", type=Path, nargs="+")
    parser.add_argument("--every", type=int, default=1, help="inspect every n-th test image")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for prepared in arguments.prepared:
        file = arguments.out / f"{prepared.name}.json"
        if not file.is_file():
            models = [arguments.out / f"{prepared.name}-{robust}" for robust in FITS]
            fits = [fit(prepared, m, robust) for m, robust in zip(models, FITS, strict=True)]
            file.write_text(
                json.dumps({"fits": fits, **measure(prepared, models, arguments.every)})
            )
        found = json.loads(file.read_text())
        defective = np.array(found["defective"])
        print(f"{prepared.name}: {(~defective).sum()} good and {defective.sum()} defective images")
        print("\n".join(rows(found)))
        none, light = found["fits"]
        print("kept:", light["fit"]["trained_on"]["light_choice"])
        print(
            *(f"{key} × {light[key] / none[key]:.2f}" for key in ("cpu_seconds", "peak")),
            f"({none['cpu_seconds']:.0f} s, {none['peak'] / 2**20:.0f} MiB)",
            flush=True,
        )


if __name__ == "__main__":
    main()

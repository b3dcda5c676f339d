"""What is measured, case by case. Each function runs its measurements and returns what they found.

A, B: fitting and inspecting KolektorSDD at 256x640 with a ResNet-18, coreset rates 1 % and 10 %.
C: a ResNet-50 at 224x632 against 46,000 + 5,000 vectors of 1,536 dimensions (`ours_large.py`).
search, fit: how time grows with the bank and with the images. thesis: fitting at the thesis's
scale. memory: whether it stays flat.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from performance.images import listed
from performance.running import Measurement, Runner
from performance.scale import Scale

Found = dict[str, dict[str, Any]]

RATES = {"A": 0.01, "B": 0.1}
OF_PRECISION = {  # the names of our own measurements, by precision and way of searching
    "float32": {"exact": "ours", "approximate": "approximate"},
    "int8": {"exact": "int8", "approximate": "int8-approximate"},
}


@dataclass(frozen=True)
class TrialRunner:
    """Where everything lies. `data` is None for the demo's parts; `weights` are a ResNet-18's."""

    run: Runner
    work: Path
    data: Path | None
    weights: Path
    large_weights: Path
    scale: Scale

    def prepared(self, width: int, height: int, seed: int = 0) -> str:
        out = self.work / f"{width}x{height}-{seed}"
        source = str(self.data) if self.data else None
        arguments = {"source": source, "width": width, "height": height, "split_seed": seed}
        name = f"data-{out.name}"
        self.run.need(Measurement(name, "data", "prepared", {**arguments, "out": str(out)}))
        return str(out)


def fitting_and_inspecting(bench: TrialRunner, wanted: set[str]) -> Found:
    """Cases A and B. The peers' banks are filled with the patches that our coreset chose: their
    own selection takes hours, and any other bank would not be of equal size."""
    run, work, scale = bench.run, bench.work, bench.scale
    weights, found = str(bench.weights), {}
    cases = sorted(wanted & RATES.keys())
    if not cases:
        return {}
    prepared = bench.prepared(scale.width, scale.height)
    for case in cases:
        for precision in OF_PRECISION:
            found |= _ours(bench, case, prepared, RATES[case], precision)
    rates, network = [RATES[case] for case in cases], {"backbone": "resnet18", "weights": weights}
    limit = scale.coreset_limit_s
    common = {"prepared": prepared, "rates": rates, "limit_s": limit, **network}
    choices = {case: str(work / f"model-{case}.npz") for case in cases}
    names = "".join(cases)
    for case in cases:
        filling = {"our_choice": choices[case], **network}
        found |= _anomalib(bench, case, prepared, filling)
    if scale.only_inspecting:
        return found
    found[f"{names}-anomalib-fit"] = _peers_fit(run, f"{names}-anomalib", "anomalib_peer", common)
    banks = {case: str(work / f"inspection-{case}.npy") for case in cases}
    common["our_choices"] = {banks[case]: choices[case] for case in cases}
    found[f"{names}-inspection-fit"] = _peers_fit(
        run, f"{names}-inspection", "inspection_peer", common
    )
    tested = str(work / "inspection-test.npy")
    network_only = {"prepared": prepared, "features": tested, **network}
    found["inspection-network"] = run(
        Measurement("inspection-network", "inspection_peer", "network", network_only, True)
    )
    labels = [row["label"] == "positive" for row in listed(prepared, "test")]
    for case in cases:
        name = f"{case}-inspection-search"
        arguments = {"tool": "faiss", "banks": [banks[case]], "queries": tested}
        if case == "A" or scale.every_image:
            arguments["is_defective"] = labels
        else:
            arguments |= {"at_least": 5, "limit_s": 60}
        found[name] = run(Measurement(name, "search", "search", arguments, True))
    return found


def _peers_fit(run: Runner, name: str, module: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """A peer's fit, with the lower of two peaks of memory: once in five runs of a small case
    anomalib's was ten times that of the others, which nobody could repeat or explain. Steps of the
    loop after the first ones need no more memory, so the second run is short."""
    fit = run(Measurement(f"{name}-fit", module, "fit", arguments, True, 20_000))
    short = {**arguments, "limit_s": 1}
    again = run(Measurement(f"{name}-memory", module, "fit", short, True))
    if "peak_mib" not in fit or "peak_mib" not in again:
        return {}  # its failure has been told; half of a measurement is none
    peaks = sorted([fit["peak_mib"], again["peak_mib"]])
    return {**fit, "peak_mib": peaks[0], "peaks_mib": peaks}


def _anomalib(
    bench: TrialRunner, case: str, prepared: str, filling: dict[str, Any], **limits: Any
) -> Found:
    """Inspecting by anomalib in PyTorch and as it exports it to OpenVINO, with the same bank."""
    name = f"{case}-anomalib-inspect"
    arguments = {"prepared": prepared, **filling, **limits}
    found = {name: bench.run(Measurement(name, "anomalib_peer", "inspect", arguments, True))}
    arguments = {"prepared": prepared, **filling, "folder": str(bench.work / f"openvino-{case}")}
    export = Measurement(f"{case}-openvino-export", "openvino_peer", "export", arguments, True)
    if exported := bench.run(export):
        name = f"{case}-openvino-inspect"
        with_auroc = "our_choice" in filling
        arguments = {"prepared": prepared, "path": exported["path"], "with_auroc": with_auroc}
        arguments |= limits
        found[name] = bench.run(Measurement(name, "openvino_peer", "inspect", arguments, True))
    return found


def _ours(
    bench: TrialRunner, case: str, prepared: str, rate: float, precision: str = "float32"
) -> Found:
    """Fitting, and inspecting with both ways of searching, by a network of some precision."""
    ways = OF_PRECISION[precision]
    model = str(bench.work / (f"model-{case}" if precision == "float32" else f"model-{case}-int8"))
    fit = {
        "prepared": prepared,
        "model": model,
        "weights": str(bench.weights),
        "scoring": "patchcore",
        "normal_rate": rate,
        "precision": precision,
    }
    name = f"{case}-{ways['exact']}-fit"
    found = {name: bench.run(Measurement(name, "ours", "fit", fit))}
    for search, tool in ways.items():
        inspect = {"prepared": prepared, "model": model, "search": search}
        name = f"{case}-{tool}-inspect"
        found[name] = bench.run(Measurement(name, "ours", "inspect", inspect))
    return found


def other_splits(bench: TrialRunner, wanted: set[str]) -> Found:
    """Image AUROC of case A on further splits, each tool on the same ones."""
    found: Found = {}
    seeds = range(1, bench.scale.split_seeds) if "A" in wanted and bench.data else ()
    if bench.scale.only_inspecting:
        return found
    for seed in seeds:
        prepared = bench.prepared(bench.scale.width, bench.scale.height, seed)
        case = f"A{seed}"
        found |= _ours(bench, case, prepared, RATES["A"])
        arguments = {
            "prepared": prepared,
            "our_choice": str(bench.work / f"model-{case}.npz"),
            "backbone": "resnet18",
            "weights": str(bench.weights),
        }
        name = f"{case}-anomalib-inspect"
        found[name] = bench.run(Measurement(name, "anomalib_peer", "inspect", arguments, True))
    return found


def _vectors(bench: TrialRunner) -> Path:
    folder, scale = bench.work / "vectors", bench.scale
    arguments = {
        "prepared": bench.prepared(224, 632),
        "weights": str(bench.weights),
        "folder": str(folder),
        "normal": scale.normal,
        "defect": scale.defect,
        "queries": scale.queries,
        "curve": 0 if scale.only_inspecting else max(scale.bank_sizes),
    }
    bench.run.need(Measurement("data-vectors", "vectors", "make", arguments))
    return folder


def large(bench: TrialRunner, wanted: set[str]) -> Found:
    """Case C."""
    if "C" not in wanted:
        return {}
    folder, found, prepared = _vectors(bench), {}, bench.prepared(224, 632)
    banks = [str(folder / "normal.npy"), str(folder / "defect.npy")]
    alone = () if bench.scale.only_inspecting else ("ours", "approximate", "faiss", "products")
    for tool in alone:
        arguments = {
            "tool": tool,
            "banks": banks,
            "queries": str(folder / "queries.npy"),
            "distances": str(bench.work / f"distances-{tool}.npy"),
        }
        key = f"C-search-{tool}"
        found[key] = bench.run(Measurement(key, "search", "search", arguments, tool == "faiss"))
    arguments = {
        "prepared": prepared,
        "weights": str(bench.large_weights),
        "eyes": str(bench.weights),
        "folder": str(folder),
        "images": bench.scale.queries,
    }
    for precision, ways in OF_PRECISION.items():
        for way, tool in ways.items():
            key = f"C-{tool}-inspect"
            one = {**arguments, "search": way, "precision": precision}
            found[key] = bench.run(Measurement(key, "ours_large", "inspect", one))
    filling = {
        "backbone": "resnet50",
        "weights": str(bench.large_weights),
        "vectors": banks[0],
    }
    return found | _anomalib(bench, "C", prepared, filling, images=8)


def machine(bench: TrialRunner, wanted: set[str]) -> Found:
    """What the machine could do at most, beside the networks of cases A, B and C."""
    if not wanted & {*RATES, "C"}:
        return {}
    return {"machine": bench.run(Measurement("machine", "limit", "machine"))}


def search_curve(bench: TrialRunner, wanted: set[str]) -> Found:
    """Search time against bank size, 384 dimensions."""
    if "search" not in wanted:
        return {}
    folder, found = _vectors(bench), {}
    for tool in ("ours", "approximate", "faiss"):
        arguments = {
            "tool": tool,
            "bank": str(folder / "curve.npy"),
            "queries": str(folder / "queries.npy"),
            "sizes": list(bench.scale.bank_sizes),
            "limit_s": 10,
        }
        name = f"search-curve-{tool}"
        found[name] = bench.run(Measurement(name, "search", "curve", arguments, tool == "faiss"))
    return found


def fit_curve(bench: TrialRunner, wanted: set[str]) -> Found:
    """Fit time against images, 224x632, ResNet-18, rate 1 %; ends where one takes too long."""
    found: Found = {}
    counts = bench.scale.image_counts if "fit" in wanted else ()
    for count in counts:
        fit = _fit_grown(bench, max(counts), count, "resnet18", bench.weights)
        found[f"fit-curve-{count}"] = bench.run(
            Measurement(f"fit-curve-{count}", "ours", "fit", fit, limit_s=bench.scale.fit_limit_s)
        )
        if "over_limit_s" in found[f"fit-curve-{count}"]:
            break
    return found


def thesis_scale(bench: TrialRunner, wanted: set[str]) -> Found:
    """Fitting 2,085 images with a ResNet-50 of random weights."""
    if "thesis" not in wanted:
        return {}
    count = bench.scale.thesis_images
    fit = _fit_grown(bench, count, count, "resnet50", bench.large_weights)
    fit["memory"] = "3GiB"
    return {"thesis-fit": bench.run(Measurement("thesis-fit", "ours", "fit", fit, limit_s=14_400))}


def _fit_grown(
    bench: TrialRunner, grown: int, images: int, backbone: str, weights: Path
) -> dict[str, Any]:
    out = str(bench.work / f"grown-{grown}")
    arguments = {"prepared": bench.prepared(224, 632), "out": out, "images": grown}
    bench.run.need(Measurement(f"data-grown-{grown}", "data", "grown", arguments))
    return {
        "prepared": out,
        "model": str(bench.work / f"model-{backbone}-{images}"),
        "weights": str(weights),
        "backbone": backbone,
        "images": images,
        "scoring": "patchcore",
    }


def flat_memory(bench: TrialRunner, wanted: set[str]) -> Found:
    """Memory over very many inspections."""
    if "memory" not in wanted:
        return {}
    arguments = {"count": bench.scale.inspections}
    return {"memory": bench.run(Measurement("memory", "flat_memory", "inspections", arguments))}


CASES: tuple[Callable[[TrialRunner, set[str]], Found], ...] = (
    fitting_and_inspecting,
    other_splits,
    large,
    machine,
    search_curve,
    fit_curve,
    thesis_scale,
    flat_memory,
)
NAMES = ("A", "B", "C", "search", "fit", "thesis", "memory")
BY_DEFAULT = ("A", "B", "C", "search", "fit", "memory")

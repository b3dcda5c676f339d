"""How the tools compare: one line each, with what was aimed at."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from performance.cases import OF_PRECISION, RATES, Found
from performance.limit import limit_ms

PEERS = {"anomalib": "anomalib", "inspection": "patchcore-inspection's procedure"}


def fit_of(found: Found, tool: str, case: str) -> dict[str, Any] | None:
    """A peer's `fit` result with this case's own seconds in it."""
    for names in (case, "AB"):
        fit = found.get(f"{names}-{tool}-fit")
        if fit and tool in ("ours", "int8"):
            return fit
        rate = str(RATES[case])
        if fit and rate in fit["fit_s"]:
            return {**fit, "fit_s": fit["fit_s"][rate], "coreset_s": fit["coreset_s"][rate]}
    return None


def inspect_of(found: Found, tool: str, case: str) -> dict[str, Any] | None:
    """An `inspect` result; patchcore-inspection's is put together from network and search."""
    if tool != "inspection":
        return found.get(f"{case}-{tool}-inspect")
    network, search = found.get("inspection-network"), found.get(f"{case}-inspection-search")
    if not network or not search:
        return None
    features, neighbours = network["ms"]["total"], search["ms"]["total"]
    total = {key: features[key] + neighbours[key] for key in ("p50", "p99", "mean")}
    parts = {"total": total, "network": network["ms"]["network"], "search": neighbours}
    model = search["index_mib"] + network["weights_mib"]
    auroc = search["image_auroc"]
    return {"ms": parts, "image_auroc": auroc, "model_mib": model, "bank": search["bank"][0]}


def ratios(found: Found, work: Path) -> list[str]:
    """The last lines that the bench prints."""
    lines = [line for case in RATES for line in _against_peers(found, case)]
    lines += [line for case in (*RATES, "C") for line in _precisions(found, case)]
    return [*lines, *_paired_auroc(found), *_large(found, work), *_growth(found)]


def _against_peers(found: Found, case: str) -> list[str]:
    lines = []
    for tool, name in PEERS.items():
        aims = {"A": ("10", "1.8"), "B": ("50", "8")}[case] if tool == "anomalib" else ("", "")
        ours, theirs = fit_of(found, "ours", case), fit_of(found, tool, case)
        if ours and theirs and "fit_s" in ours:
            estimated = ", estimated from its step time" if theirs["is_estimated"] else ""
            times = theirs["fit_s"] / ours["fit_s"]
            lines.append(f"{case}: fit {times:.1f} × faster than {name}{estimated}{_aim(aims[0])}")
            times = theirs["coreset_s"] / max(ours["coreset_s"], 1e-9)
            lines.append(f"{case}: coreset {times:.1f} × faster than {name}{estimated}")
            share = ours["peak_mib"] / theirs["peak_mib"]
            aim = " (aim: ≤ 0.5)" if tool == "anomalib" else ""
            low, high = theirs["peaks_mib"]
            doubt = f"; its two peaks differ: {low:.0f}, {high:.0f} MiB" if high > 1.2 * low else ""
            lines.append(f"{case}: peak memory of fitting {share:.2f} of {name}'s{aim}{doubt}")
        ours, theirs = inspect_of(found, "ours", case), inspect_of(found, tool, case)
        if ours and theirs:
            times = theirs["ms"]["total"]["p50"] / ours["ms"]["total"]["p50"]
            lines.append(f"{case}: inspect {times:.1f} × faster than {name}{_aim(aims[1])}")
        near = inspect_of(found, "approximate", case)
        if near and theirs:
            times = theirs["ms"]["total"]["p50"] / near["ms"]["total"]["p50"]
            lines.append(
                f"{case}: inspect with approximate search {times:.1f} × faster than {name}; "
                f"{near['share']:.1%} of tiles at a time, score error {near['score_error']:.1e}"
            )
    return lines


class Network(NamedTuple):
    """A network that was timed, beside the physical limit."""

    case: str
    precision: str
    multiplications: int  # for one image
    ms: dict[str, float]  # p50, p99
    limit_ms: float  # what the multiplications take at the machine's best speed


def networks(found: Found) -> list[Network]:
    """Each network at each precision; cases A and B have the same."""
    timed: list[Network] = []
    for case in ("A", "C") if "A-ours-inspect" in found else ("B", "C"):
        for precision, ways in OF_PRECISION.items():
            one, machine = found.get(f"{case}-{ways['exact']}-inspect"), found.get("machine")
            if one and machine:
                count = one["multiplications"]
                limit = limit_ms(machine, precision, count)
                timed.append(Network(case, precision, count, one["ms"]["network"], limit))
    return timed


def _precisions(found: Found, case: str) -> list[str]:
    """8-bit integers against float32, and float32 against anomalib's export."""
    lines = []
    for way in ("exact", "approximate"):
        floats, integers = (found.get(f"{case}-{of[way]}-inspect") for of in OF_PRECISION.values())
        if floats and integers:
            whole, network = (
                floats["ms"][part]["p50"] / integers["ms"][part]["p50"]
                for part in ("total", "network")
            )
            which = " with approximate search" if way == "approximate" else ""
            lines.append(
                f"{case}: inspect{which} {whole:.2f} × faster in 8-bit integers than in float32, "
                f"the network {network:.2f} ×"
            )
    for tool, name in (("ours", ""), ("int8", " in 8-bit integers")):
        ours, peer = found.get(f"{case}-{tool}-inspect"), found.get(f"{case}-openvino-inspect")
        if ours and peer:
            times = peer["ms"]["total"]["p50"] / ours["ms"]["total"]["p50"]
            lines.append(f"{case}: inspect{name} {times:.1f} × faster than anomalib in OpenVINO")
    of_case = [one for one in networks(found) if one.case == case]
    shares = [f"{one.ms['p50'] / one.limit_ms:.1f} × in {one.precision}" for one in of_case]
    if shares:
        lines.append(
            f"{case}: the network takes {', '.join(shares)} what its multiplications would take "
            "at the machine's best speed"
        )
    return lines


def _paired_auroc(found: Found) -> list[str]:
    pairs = []
    for case in ("A", *(f"A{seed}" for seed in range(1, 100))):
        both = found.get(f"{case}-ours-inspect"), found.get(f"{case}-anomalib-inspect")
        if all(one and one["image_auroc"] is not None for one in both):
            pairs.append([one["image_auroc"] for one in both if one])
    if not pairs:
        return []
    ours, theirs = np.array(pairs).T
    return [
        f"A: image AUROC {ours.mean():.4f} against anomalib's {theirs.mean():.4f} on the same "
        f"bank, over {len(pairs)} splits; difference {(ours - theirs).mean():+.4f} "
        f"(each: {', '.join(f'{d:+.4f}' for d in ours - theirs)}; aim: not lower)"
    ]


def _large(found: Found, work: Path) -> list[str]:
    lines = []
    exhaustive = {
        name: found[f"C-search-{name}"]["ms"]["total"]["p50"]
        for name in ("faiss", "products")
        if f"C-search-{name}" in found
    }
    ours = found.get("C-search-ours")
    if ours and exhaustive:
        best = min(exhaustive, key=exhaustive.__getitem__)
        times = exhaustive[best] / ours["ms"]["total"]["p50"]
        lines.append(f"C: search {times:.1f} × faster than exhaustive ({best}){_aim('6')}")
        lines += _differences(work, "ours", best)
    if (near := found.get("C-search-approximate")) and exhaustive:
        times = min(exhaustive.values()) / near["ms"]["total"]["p50"]
        lines.append(f"C: approximate search {times:.1f} × faster than exhaustive{_aim('20')}")
        lines += _differences(work, "approximate", min(exhaustive, key=exhaustive.__getitem__))
    if inspect := found.get("C-approximate-inspect"):
        total, network = (inspect["ms"][part]["p50"] for part in ("total", "network"))
        lines.append(
            f"C: inspect with approximate search {total / network:.2f} × its network (aim: ≤ 2); "
            f"{inspect['share']:.1%} of tiles at a time, score error {inspect['score_error']:.1e} "
            "(aim: ≤ 1e-3)"
        )
    if inspect := found.get("C-ours-inspect"):
        total, network = (inspect["ms"][part]["p50"] for part in ("total", "network"))
        lines.append(f"C: inspect {total / network:.2f} × its network (aim: ≤ 5)")
        if peer := found.get("C-anomalib-inspect"):
            times = peer["ms"]["total"]["p50"] / total
            lines.append(f"C: inspect {times:.1f} × faster than anomalib (aim: ≥ 8 ×)")
    return lines


_WAYS = {"ours": "search", "approximate": "approximate search"}


def _differences(work: Path, tool: str, reference: str) -> list[str]:
    """How far distances are from those of exhaustive search."""
    files = [work / f"distances-{one}.npy" for one in (tool, reference)]
    if not all(file.is_file() for file in files):
        return []
    ours, exact = (np.load(file) for file in files)
    ours, exact = (
        one.reshape(*one.shape[:2], -1) for one in (ours[: len(exact)], exact[: len(ours)])
    )
    largest = exact[:, 0].max(axis=1)
    patches = np.abs(ours - exact).max(axis=(1, 2)) / largest
    ratios = [(one[:, 0] / np.maximum(one[:, 1], 1e-6)).max(axis=1) for one in (ours, exact)]
    scores = np.abs(ratios[0] - ratios[1]) / ratios[1]
    return [
        f"C: {_WAYS[tool]} differs from it by at most {scores.max():.1e} in the image score "
        f"(`ratio`), and at any patch by {patches.max():.1e} of the image's largest distance"
    ]


def _growth(found: Found) -> list[str]:
    lines = []
    ours, faiss = found.get("search-curve-ours"), found.get("search-curve-faiss")
    if ours and faiss:
        first, last = ours["points"][0], ours["points"][-1]
        power = np.log(last["p50"] / first["p50"]) / np.log(last["bank"] / first["bank"])
        times = faiss["points"][-1]["p50"] / last["p50"]
        lines.append(
            f"search: from {first['bank']:,} to {last['bank']:,} vectors time grows as bank^"
            f"{power:.2f}; at the end {times:.1f} × faster than faiss"
        )
    fits = [f for name, f in found.items() if name.startswith("fit-curve") and "fit_s" in f]
    if len(fits) > 1:
        first, last = fits[0], fits[-1]
        power = np.log(last["fit_s"] / first["fit_s"]) / np.log(last["images"] / first["images"])
        lines.append(
            f"fit: from {first['images']} to {last['images']} images time grows as "
            f"images^{power:.2f}; {last['fit_s']:.0f} s and {last['peak_mib']:.0f} MiB at the end"
        )
    if (thesis := found.get("thesis-fit")) and "fit_s" in thesis:
        lines.append(
            f"thesis: {thesis['images']} images in {thesis['fit_s']:.0f} s, coreset "
            f"{thesis['coreset_s']:.0f} s (aim: < 300), {thesis['peak_mib']:.0f} MiB (aim: < 3072)"
        )
    if memory := found.get("memory"):
        lines.append(
            f"memory: {memory['growth_mib']:+.1f} MiB over {memory['inspections']:,} inspections "
            "after the first tenth (aim: flat)"
        )
    return lines


def _aim(times: str) -> str:
    return f" (aim: ≥ {times} ×)" if times else ""

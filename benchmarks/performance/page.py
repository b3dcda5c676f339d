"""`docs/performance.md`: the part between the markers is written by `make bench`."""

import os
import re
from pathlib import Path
from typing import Any

from patchcore_dual.utils.files import write_atomically
from performance.cases import RATES, Found
from performance.plots import fit_plot, search_plot
from performance.ratios import fit_of, inspect_of, networks

START, END = "<!-- written by make bench: start -->", "<!-- written by make bench: end -->"
TOOLS = {
    "ours": "PatchCoreDual, rule `patchcore`",
    "approximate": "the same, approximate search",
    "int8": "the same, 8-bit integers",
    "int8-approximate": "the same, 8-bit integers, approximate search",
    "anomalib": "anomalib",
    "openvino": "anomalib, in OpenVINO",
    "inspection": "patchcore-inspection's procedure, faiss",
}
LARGE = {  # the rows of case C
    "C-search-ours": "search, PatchCoreDual",
    "C-search-approximate": "search, PatchCoreDual, approximate",
    "C-search-faiss": "search, faiss",
    "C-search-products": "search, plain matrix products",
    **{f"C-{tool}-inspect": name for tool, name in TOOLS.items()},
    "C-ours-inspect": "PatchCoreDual, rule `calibrated`",
}


def write_page(page: Path, found: Found, lines: list[str], notes: list[str]) -> None:
    """Put tables, plots and ratios between the page's markers; the rest of it stays."""
    page.parent.mkdir(parents=True, exist_ok=True)
    parts = [_machine(found), *notes]
    parts += [_case(found, case) for case in RATES if found.get(f"{case}-ours-fit")]
    if any(name.startswith("C-") for name in found):
        parts.append(_large(found))
    if networks(found):
        parts.append(_networks(found))
    pictures = {
        "search": (
            search_plot,
            "Search time",
            "Median time to find the nearest vector of one bank for every patch of an image "
            "(384-dimensional ResNet-18 features), by the size of the bank.",
        ),
        "fit": (
            fit_plot,
            "Fit time",
            "Time to fit by the number of normal images (ResNet-18, 224x632, coreset rate 1 %), "
            "beside estimates of the other tools' times from their own steps.",
        ),
    }
    for name, (draw, title, caption) in pictures.items():
        file = page.parent / f"{page.stem}-{name}.png"
        if draw(found, file):
            parts.append(f"![{title}]({file.name})\n\n*{caption}*")
    parts.append("## Comparison in short\n\n" + "\n".join(f"- {_measured(li)}" for li in lines))
    text = page.read_text() if page.is_file() else f"# Performance\n\n{START}\n{END}\n"
    before, rest = text.split(START)
    after = rest.split(END)[1]
    text = f"{before}{START}\n\n" + "\n\n".join(parts) + f"\n\n{END}{after}"
    write_atomically(page, text.encode())


def _measured(line: str) -> str:
    """A line of `ratios` without what was aimed at, which the bench alone prints."""
    return re.sub(r" \(aim: [^)]*\)|; aim: [^)]*(?=\))", "", line)


def _machine(found: Found) -> str:
    info = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((li.split(":")[1].strip() for li in info if li.startswith("model name")), "CPU")
    versions: dict[str, str] = {}
    for result in found.values():
        versions |= result.get("versions", {})
    listed = ", ".join(f"{name} {number}" for name, number in sorted(versions.items()))
    load = max((result.get("load_before", 0) for result in found.values()), default=0)
    cores = len(os.sched_getaffinity(0))
    return (
        f"Measured on {model} with {cores} cores, all of which every tool may use ({listed}). The "
        f"load average when a measurement began was at most {load:.1f}; the benchmark itself "
        f"accounts for about {cores}."
    )


def _case(found: Found, case: str) -> str:
    rows = []
    for tool, name in TOOLS.items():
        fit, inspect = fit_of(found, tool, case), inspect_of(found, tool, case)
        sign = "≈ " if fit and fit.get("is_estimated") else ""
        ms = inspect["ms"] if inspect else {}
        size = (fit if tool in ("ours", "int8") else inspect) or {}
        rows.append(
            [
                name,
                _figure(fit, "fit_s", sign=sign),
                _figure(fit, "coreset_s", sign=sign),
                _figure(fit, "peak_mib"),
                *(_figure(ms.get("total"), key) for key in ("p50", "p99")),
                _figure(ms.get("network"), "p50"),
                _figure(ms.get("search"), "p50"),
                _figure(size, "model_mib"),
                _figure(inspect, "image_auroc", 4),
            ]
        )
    ours = fit_of(found, "ours", case) or {}
    title = f"## {case}: ResNet-18, {ours.get('size')}, coreset rate {100 * RATES[case]:.0f} %"
    head = (
        "| tool | fit (s) | coreset (s) | fit, peak (MiB) | inspect, median (ms) | p99 | network "
        "| search | model (MiB) | image AUROC |"
    )
    about = (
        f"{ours.get('images', '–')} normal training images, {ours.get('bank', 0):,} vectors in the "
        "bank. ≈ marks an estimate: some steps of the tool's coreset loop were timed and "
        "extrapolated to all steps. For inspection the other tools' banks hold the patches that "
        "PatchCoreDual's coreset selected. Their peak memory is the lower of two runs. Fitting "
        "PatchCoreDual includes the coresets of up to twenty further banks, from which the "
        "threshold is calibrated."
    )
    return f"{title}\n\n{about}\n\n{_table(head, rows)}"


def _large(found: Found) -> str:
    rows = []
    for key, name in LARGE.items():
        if not (result := found.get(key)):
            continue
        ms = result["ms"]
        is_search = key.startswith("C-search")
        search = ms["total"] if is_search else ms.get("search")
        whole = None if is_search else ms
        rows.append(
            [
                name,
                *(_figure(whole and whole["total"], k) for k in ("p50", "p99")),
                _figure(whole and whole.get("network"), "p50"),
                *(_figure(search, k) for k in ("p50", "p99")),
                _figure(result, "peak_mib"),
            ]
        )
    searched = next((one["bank"] for key in LARGE if (one := found.get(key))), [])
    if isinstance(searched, int):  # no search alone was measured
        ours = found["C-ours-inspect"]
        searched = [ours["bank"], ours["defect_bank"]]
    banks = " + ".join(f"{size:,}" for size in searched)
    head = "| measured | inspect, median (ms) | p99 | network | search, median | p99 | peak (MiB) |"
    about = (
        "The network is a ResNet-50 with random weights, with one resolution. The vectors are "
        "ResNet-18 features of an image and its three mirror images, concatenated to 1,536 "
        f"dimensions: {banks} in the normal and the defect bank. anomalib has one bank and "
        "searches the normal vectors only. Rows that begin with `search` measure the search alone, "
        "in both banks."
    )
    return f"## C: ResNet-50, 224x632, {banks} vectors\n\n{about}\n\n{_table(head, rows)}"


def _networks(found: Found) -> str:
    """What the networks take, beside what the machine could do at most."""
    of = {"A": "ResNet-18 (A, B)", "B": "ResNet-18 (B)", "C": "ResNet-50 (C)"}
    rows = [
        [
            of[one.case],
            one.precision,
            f"{one.multiplications / 1e9:.2f}",
            _figure(one.ms, "p50"),
            _figure(one.ms, "p99"),
            _figure({"": one.limit_ms}, ""),
            f"{one.ms['p50'] / one.limit_ms:.1f}",
        ]
        for one in networks(found)
    ]
    head = (
        "| network | precision | multiplications (10⁹) | median (ms) | p99 | limit (ms) "
        "| median / limit |"
    )
    speeds = "; ".join(
        f"{precision}: "
        + ", ".join(f"{speed / 1e9:,.0f} in a {name}" for name, speed in products.items())
        for precision, products in found["machine"]["a_second"].items()
    )
    about = (
        "The limit is the time that the multiplications of an image's convolutions and matrix "
        "products would take at the speed of the faster of two large products, which OpenVINO runs "
        f"with all cores. Billions of multiplications a second, the best of many runs: {speeds}. "
        "Some layers of a network in 8-bit integers stay in float32."
    )
    return f"## Networks and what the machine can do\n\n{about}\n\n{_table(head, rows)}"


def _table(head: str, rows: list[list[str]]) -> str:
    rule = "|---" * (head.count("|") - 1) + "|"
    return "\n".join([head, rule, *(f"| {' | '.join(row)} |" for row in rows)])


def _figure(result: dict[str, Any] | None, key: str, digits: int = 0, sign: str = "") -> str:
    value = (result or {}).get(key)
    if value is None:
        return "–"
    if not digits:
        digits = 0 if value >= 100 else 1
    return f"{sign}{value:,.{digits}f}"

"""Speed and memory of PatchCoreDual, anomalib and exhaustive faiss, measured in one run.

    make bench DATA=KOLEKTORSDD WEIGHTS=RESNET18.safetensors
    make bench BENCH="--cases A,C"

Every measurement is a process of its own whose result is kept; run again, it goes on from there.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from performance.cases import BY_DEFAULT, CASES, NAMES, Found, TrialRunner
from performance.page import write_page
from performance.ratios import ratios
from performance.running import REPOSITORY, Runner
from performance.scale import FULL, TINY, Scale
from performance.weights import random_weights


def main() -> int:
    args = _arguments()
    wanted = set(args.cases.split(",")) - set(args.skip.split(","))
    if wanted - set(NAMES):
        print(f"no case {min(wanted - set(NAMES))}; there are: {', '.join(NAMES)}")
        return 2
    for path in (args.data, args.weights):
        if path is not None and not path.exists():
            print(f"there is no {path}: check the path after DATA= or WEIGHTS=.")
            return 2
    out: Path = args.out.resolve()
    work = out / "work"
    work.mkdir(parents=True, exist_ok=True)
    notes = []
    weights = args.weights
    if weights is None:
        weights = random_weights("resnet18", work / "resnet18-random.safetensors")
        notes.append("Weights are random: times are sound, AUROC means nothing. Give WEIGHTS=FILE.")
    if args.data is None:
        notes.append("Images are the demo's generated parts, resized. Give DATA=KOLEKTORSDD.")
    if args.tiny:
        notes.append("Tiny settings: this only shows that everything runs.")
    if args.quick:
        notes.append("Inspecting only: the other tools were not fitted.")
    large = random_weights("resnet50", work / "resnet50-random.safetensors")
    scale = TINY if args.tiny else FULL if args.full else Scale()
    scale = replace(scale, only_inspecting=args.quick)
    runner = Runner(out / "results", args.peers, args.fresh)
    data = args.data.resolve() if args.data else None
    bench = TrialRunner(runner, work, data, weights.resolve(), large, scale)
    for note in notes:
        print(note)
    found: Found = {}
    for case in CASES:
        found |= case(bench, wanted)
    found = {name: result for name, result in found.items() if result}
    lines = ratios(found, work)
    # Some cases alone, made-up images or weights do not replace the figures that are published.
    is_whole = wanted >= set(BY_DEFAULT) and not notes
    page = args.page if is_whole else out / "performance.md"
    write_page(page, found, lines, notes)
    print(f"Table and plots: {page}\n")
    print("\n".join(lines))
    if runner.failed:
        print(f"Failed: {', '.join(runner.failed)}", file=sys.stderr)
    return 1 if runner.failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="KolektorSDD; else the demo's generated parts")
    parser.add_argument("--weights", type=Path, help="a ResNet-18's (safetensors); else random")
    parser.add_argument("--cases", default=",".join(BY_DEFAULT), help=f"of {', '.join(NAMES)}")
    parser.add_argument("--skip", default="", help="cases to leave out, e.g. memory")
    parser.add_argument("--out", type=Path, default=Path("bench"))
    parser.add_argument("--page", type=Path, default=REPOSITORY / "docs" / "performance.md")
    parser.add_argument("--peers", type=Path, default=REPOSITORY / ".venv-peers" / "bin" / "python")
    parser.add_argument("--fresh", action="store_true", help="measure everything again")
    parser.add_argument("--quick", action="store_true", help="only what inspecting takes")
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--full", action="store_true", help="peers' coresets to the end: many hours")
    sizes.add_argument("--tiny", action="store_true", help="only see that it runs")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

"""Draws docs/layout.svg, the parts of the package and their imports: python docs/draw_layout.py.

Fails where an import goes against the order of `tests/layout.py`, and draws all the same.
"""

import ast
import sys
from collections import Counter
from html import escape
from math import log2
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from layout import PARTS, RANK, SOURCE, imports  # noqa: E402

PICTURE = ROOT / "docs" / "layout.svg"
ROW, BOX, TOP = 46, 34, 56  # heights of a row and of a box, and what stands above the first
LEFT, WIDTH, ARCS = 16, 660, 270  # where boxes begin, how wide they are, the room beside them
FIRST_DRAWN = 2  # Nearly everything imports the parts before this one: arrows would say nothing.

STYLE = """
  text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; }
  .name { font-size: 15px; font-weight: 600; fill: #171b21; }
  .about, .note { font-size: 12px; fill: #5b6572; }
  .box { fill: #f5f6f8; stroke: #b9c0c9; }
  .arc { fill: none; stroke: #2f6fb5; stroke-opacity: 0.5; }
  .head { fill: #2f6fb5; }
  .against { stroke: #b3261e; stroke-opacity: 1; }
  .page { fill: #ffffff; }
  @media (prefers-color-scheme: dark) {
    .name { fill: #e9ecf0; }
    .about, .note { fill: #9aa4b1; }
    .box { fill: #191d23; stroke: #434c57; }
    .arc { stroke: #6fa8e5; }
    .head { fill: #6fa8e5; }
    .against { stroke: #ff8a80; }
    .page { fill: #101317; }
  }
"""


def main() -> int:
    """Write the picture; 1 where an import goes the wrong way."""
    placed = [i for i in imports() if i.importing_part in RANK and i.imported_part in RANK]
    counts = Counter((RANK[i.importing_part], RANK[i.imported_part]) for i in placed)
    present = [rank for rank, part in enumerate(PARTS) if any(map(_exists, part))]
    PICTURE.write_text(_svg(present, counts), encoding="utf-8")
    against = [i for i in placed if RANK[i.imported_part] > RANK[i.importing_part]]
    for one in against:
        print(f"against the order of tests/layout.py: {one}", file=sys.stderr)
    return 1 if against else 0


def _svg(present: list[int], counts: Counter[tuple[int, int]]) -> str:
    middle = {rank: TOP + ROW * row + BOX // 2 for row, rank in enumerate(present)}
    width, height = LEFT + WIDTH + ARCS, TOP + ROW * len(present) + 4
    edges = sorted((e, n) for e, n in counts.items() if e[0] != e[1] and e[1] >= FIRST_DRAWN)
    arcs = [_arc(middle[a], middle[b], n, _names(a, b, n)) for (a, b), n in edges]
    boxes = [_box(rank, middle[rank] - BOX // 2) for rank in present]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
            'aria-label="The parts of patchcore_dual in order, and which imports which">',
            f"<style>{STYLE}</style>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
            'markerHeight="7" markerUnits="userSpaceOnUse" orient="auto">'
            '<path class="head" d="M0,0 L8,4 L0,8 z"/></marker></defs>',
            f'<rect class="page" width="{width}" height="{height}" rx="8"/>',
            f'<text class="note" x="{LEFT}" y="20">A part imports only parts above it. An arrow '
            "points at what is imported; the thicker it is, the more imports.</text>",
            f'<text class="note" x="{LEFT}" y="38">Nearly every part imports the first two '
            "rows: they are drawn without arrows.</text>",
            *arcs,
            *boxes,
            "</svg>\n",
        ]
    )


def _arc(start: int, end: int, count: int, title: str) -> str:
    x = LEFT + WIDTH
    reach = x + 24 + (ARCS - 30) * abs(end - start) / (ROW * (len(PARTS) - 1)) * 4 / 3
    against = " against" if end > start else ""
    # Ends a little apart from the starts, so that both can be told at a box.
    return (
        f'<path class="arc{against}" stroke-width="{0.8 + 0.6 * log2(count):.1f}" '
        f'marker-end="url(#tip)" d="M{x},{start - 6} C{reach:.0f},{start - 6} '
        f'{reach:.0f},{end + 6} {x + 3},{end + 6}"><title>{escape(title)}</title></path>'
    )


def _box(rank: int, y: int) -> str:
    part = [name for name in PARTS[rank] if _exists(name)]
    name = ", ".join(part)
    x = LEFT + 12 + max(124, 8.4 * len(name) + 14)
    return (
        f'<rect class="box" x="{LEFT}" y="{y}" width="{WIDTH}" height="{BOX}" rx="6"/>'
        f'<text class="name" x="{LEFT + 12}" y="{y + 22}">{escape(name)}</text>'
        f'<text class="about" x="{x:.0f}" y="{y + 22}">{escape(_about(part))}</text>'
    )


def _about(part: list[str]) -> str:
    """The beginning of a part's own docstring, cut at its end or at what does not fit."""
    if len(part) > 1:
        return ""
    path = SOURCE / part[0] / "__init__.py"
    path = path if path.is_file() else path.parent.with_suffix(".py")
    first = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0]
    text = first.split(" (")[0].replace("`", "").rstrip(".")
    return text if len(text) <= 80 else text[:79].rsplit(" ", 1)[0] + " …"


def _exists(name: str) -> bool:
    return (SOURCE / name).is_dir() or (SOURCE / f"{name}.py").is_file()


def _names(a: int, b: int, count: int) -> str:
    return f"{', '.join(PARTS[a])} → {', '.join(PARTS[b])}: {count} imports"


if __name__ == "__main__":
    sys.exit(main())

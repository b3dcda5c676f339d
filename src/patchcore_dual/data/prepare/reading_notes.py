"""What the summary of a preparation says of how its files were read."""

from collections.abc import Sequence

from patchcore_dual.data.prepare.scanning import Scan

MAX_NAMES = 3


def reading_notes(scans: Sequence[Scan], bit_depth: int | None) -> list[str]:
    """A sentence for each decision about a file that a user should know of."""
    deep = [s.name for s in scans if s.how_read.is_deep]
    turned = [s.name for s in scans if s.how_read.orientation != 1]
    notes = []
    if deep:
        notes.append(
            f"{_images(deep)} with more than 8 bits: {bit_depth} bits are used, and 0 to "
            f"{2**bit_depth - 1} became 0 to 255. Another --bit-depth changes that."
            if bit_depth
            else f"{_images(deep)} with more than 8 bits, on the scale that each file states."
        )
    if turned:
        notes.append(f"{_images(turned)} turned upright by EXIF.")
    by_turn = {t: [s.name for s in scans if s.mask_turn == t] for t in ("turned", "unsure")}
    doubtful = [s.name for s in scans if s.mask_turn == "doubtful"]
    if by_turn["turned"]:
        notes.append(
            f"{_masks(by_turn['turned'])} painted on the picture as it is stored: turned with it."
        )
    if by_turn["unsure"]:
        notes.append(
            f"{_masks(by_turn['unsure'])} fit the turned and the stored picture; taken as painted "
            "on the turned one. Check a crop."
        )
    if doubtful:
        notes.append(
            f"WARNING: {_masks(doubtful)} seem to be painted on the picture as it is stored, "
            "before EXIF turned it. Turn these masks, or save the images without EXIF orientation."
        )
    for alpha, words in (
        ("ignored", "with transparency that carries no shape: ignored, the colours count."),
        ("black", "with a shape cut out by alpha: its surroundings became black."),
    ):
        names = [s.name for s in scans if s.how_read.alpha == alpha]
        if names:
            notes.append(f"{_images(names)} {words}")
    many = [s.name for s in scans if s.how_read.n_pages > 1]
    if many:
        notes.append(
            f"{_images(many)} with several pages or frames: only the first was read. "
            "Save the others as files of their own if they are wanted."
        )
    return notes


def _images(names: Sequence[str]) -> str:
    return f"{len(names)} image{'s' * (len(names) > 1)} ({_some(names)})"


def _masks(names: Sequence[str]) -> str:
    return f"the mask{'s' * (len(names) > 1)} of {_images(names)}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more

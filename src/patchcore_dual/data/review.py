"""Review lists: `accept.txt` and `reject.txt` in the folder of a run of synthetic images.

Each line names an image (`0007.png` or `0007`); `#` begins a comment. If there is an
`accept.txt`, only the images it lists are used; those in `reject.txt` are never used.
"""

import re
from pathlib import Path

from patchcore_dual.errors import DataError

ACCEPT_NAME = "accept.txt"
REJECT_NAME = "reject.txt"

# What browsers call a second download, and Windows a file whose suffix it hides.
_RENAMED_LIST = re.compile(r"(accept|reject)(\.txt|[ _-]?\(?\d+\)?)\.txt", re.IGNORECASE)
_IMAGE_NAME = re.compile(r"\d{4,}\.png")


def rejected(run_folder: Path) -> frozenset[str]:
    """File names of a run's images that must not be used.

    Raises:
        DataError: a list cannot be read, or names an image that the folder does not have; with
            file and line. Or a list has another name, as `reject (1).txt`, and would not be read.
    """
    for path in sorted(run_folder.iterdir()):
        if match := _RENAMED_LIST.fullmatch(path.name):
            name = f"{match[1].lower()}.txt"
            raise DataError(
                f"{path} is not read because of its name. Keep the latest of your lists as {name}, "
                "and remove the others."
            )
    accept, reject = run_folder / ACCEPT_NAME, run_folder / REJECT_NAME
    names = read_list(reject) if reject.is_file() else frozenset()
    if accept.is_file():
        names |= run_images(run_folder) - read_list(accept)
    return names


def read_list(path: Path) -> frozenset[str]:
    """The image names in an accept or reject list; DataError as in `rejected`."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text ({error}).") from None
    known = run_images(path.parent)
    names = set()
    for number, line in enumerate(lines, start=1):
        text = line.split("#", 1)[0].strip()
        if not text:
            continue
        name = text if text.endswith(".png") else f"{text}.png"
        if name not in known:
            raise DataError(
                f"{path}, line {number}: {path.parent} has no image {text!r}. "
                "Name one image on each line, as 0007.png."
            )
        names.add(name)
    return frozenset(names)


def run_images(run_folder: Path) -> frozenset[str]:
    """File names of the images in a run's folder, without masks."""
    return frozenset(p.name for p in run_folder.iterdir() if _IMAGE_NAME.fullmatch(p.name))

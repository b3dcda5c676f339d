"""Reading a data set in a named layout, with an error that names the layout it seems to have."""

from dataclasses import replace
from pathlib import Path

from patchcore_dual.data.layouts import LAYOUTS
from patchcore_dual.data.layouts.layout import Layout, Source, WrongLayoutError, some, subfolders
from patchcore_dual.data.manifest import MANIFEST_NAME
from patchcore_dual.data.mask_rule import ASK, MaskRule
from patchcore_dual.errors import DataError, SettingsError


def read_source(layout: str, folder: Path, masks: MaskRule = ASK) -> Source:
    """The data set in `folder`, read in the layout of that name.

    Args:
        layout: a name from `LAYOUTS`.
        folder: the folder of the data set.
        masks: answers to what masks cannot say by themselves.

    Raises:
        SettingsError: there is no such layout.
        DataError: the folder is not in this layout, or cannot be used; the message names what was
            expected, what the folder contains, and the layout it seems to have.
    """
    if layout not in LAYOUTS:
        raise SettingsError(f"There is no layout {layout!r}; use one of {', '.join(LAYOUTS)}.")
    if not folder.exists():
        raise DataError(f"{folder} does not exist. Check the path of the data set.")
    if not folder.is_dir():
        raise DataError(f"{folder} is a file; name the folder that holds the data set.")
    try:
        source = LAYOUTS[layout].read(folder)
    except WrongLayoutError as error:
        if str(error) and recognise(folder) == layout:
            raise
        raise _wrong_layout(folder, LAYOUTS[layout]) from None
    samples = [
        replace(s, mask_rule=replace(masks, is_published=s.mask_rule.is_published))
        for s in source.samples
    ]
    return replace(source, samples=samples)


def recognise(folder: Path) -> str | None:
    """The name of the layout that `folder` seems to have, if any."""
    return next((name for name, layout in LAYOUTS.items() if layout.matches(folder)), None)


def _wrong_layout(folder: Path, layout: Layout) -> DataError:
    entries = sorted(p.name + "/" * p.is_dir() for p in folder.iterdir())
    return DataError(
        f"{folder} is not a data set in the layout {layout.name}: expected {layout.files}; "
        f"found {some(entries) or 'an empty folder'}.{_hint(folder, layout.name)}"
    )


def _hint(folder: Path, layout: str) -> str:
    if (folder / MANIFEST_NAME).is_file():
        return " It is a prepared data set already: use it as it is."
    if (other := recognise(folder)) and other != layout:
        return f" It looks like the layout {other}: try that."
    inside = [(f, found) for f in subfolders(folder) if (found := recognise(f))]
    if inside:
        names = some(f"{f.name} ({found})" for f, found in inside)
        return f" It holds folders that look like data sets: {names}. Name one of them."
    above = folder.absolute().parent
    if LAYOUTS[layout].matches(above):
        return f" The folder above it, {above}, looks like one: try that."
    return ""

"""The data-set layouts `prepare` can read: one reader per file, looked up by name."""

from collections.abc import Callable
from pathlib import Path

from patchcore_dual.data.layouts.folder import read_folder
from patchcore_dual.data.layouts.kolektorsdd import read_kolektorsdd
from patchcore_dual.data.layouts.ksdd2 import read_ksdd2
from patchcore_dual.data.layouts.magnetic_tile import read_magnetic_tile
from patchcore_dual.data.layouts.mvtec import read_mvtec
from patchcore_dual.data.layouts.source import RawSample, Source

LAYOUTS: dict[str, Callable[[Path], Source]] = {
    "ksdd2": read_ksdd2,
    "kolektorsdd": read_kolektorsdd,
    "mvtec": read_mvtec,
    "magnetic-tile": read_magnetic_tile,
    "folder": read_folder,
}

__all__ = ["LAYOUTS", "RawSample", "Source"]

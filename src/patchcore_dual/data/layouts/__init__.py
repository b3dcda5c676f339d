"""The layouts of published data sets that `prepare` can read, one in a file."""

from patchcore_dual.data.layouts.folder import FOLDER
from patchcore_dual.data.layouts.kolektorsdd import KOLEKTORSDD
from patchcore_dual.data.layouts.ksdd2 import KSDD2
from patchcore_dual.data.layouts.layout import Layout
from patchcore_dual.data.layouts.magnetic_tile import MAGNETIC_TILE
from patchcore_dual.data.layouts.mvtec import MVTEC

# By name. A folder is recognised as the first layout that matches, so the most general is last.
LAYOUTS: dict[str, Layout] = {
    layout.name: layout for layout in (KSDD2, KOLEKTORSDD, MVTEC, MAGNETIC_TILE, FOLDER)
}

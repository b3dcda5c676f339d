"""The HTML pages of all parts: one Jinja environment, and writing a page whole or not at all."""

from pathlib import Path
from typing import TYPE_CHECKING

from patchcore_dual.utils.dependencies import require
from patchcore_dual.utils.files import write_atomically

if TYPE_CHECKING:
    import jinja2

_PACKAGE = Path(__file__).parents[1]


def page_environment() -> "jinja2.Environment":
    """A Jinja environment that finds the templates of every part by their file names.

    Values are escaped, file names go through the filter `legible`, and an unknown name in a
    template is an error. `base.html` is the page that others extend: PatchCoreDual's style, light
    and dark, without anything from a network.

    >>> page_environment().from_string("{{ '<b>' }}").render()
    '&lt;b&gt;'

    Raises:
        MissingDependencyError: where Jinja2 is not installed.
    """
    require("an HTML page", "jinja2")
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(sorted(_PACKAGE.rglob("templates"))),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["legible"] = legible
    return environment


def write_page(path: Path, html: str) -> None:
    """Write a page whole or not at all, and make its folder where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, html.encode())


def legible(text: str) -> str:
    """Text that UTF-8 can hold, where a file name is not UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()

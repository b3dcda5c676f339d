"""Pages: templates of every part, escaping, and the message where Jinja2 is missing."""

import sys
from pathlib import Path

import jinja2
import pytest

import patchcore_dual
from patchcore_dual.errors import MissingDependencyError
from patchcore_dual.utils.pages import page_environment, write_page


def test_templates_of_every_part_are_found_once():
    names = page_environment().list_templates()
    assert {"base.html", "report.html", "protocol.html", "contact_sheet.html"} <= set(names)
    files = [path.name for path in Path(patchcore_dual.__file__).parent.rglob("templates/*.html")]
    assert sorted(files) == sorted(names)  # so no part hides a template of another


def test_values_are_escaped_and_unknown_names_are_errors():
    template = page_environment().from_string("{{ value }}")
    assert template.render(value="<&>") == "&lt;&amp;&gt;"
    with pytest.raises(jinja2.UndefinedError):
        template.render()


def test_without_jinja_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'patchcore-dual\[train\]'"):
        page_environment()


def test_a_page_is_written_into_a_new_folder(tmp_path):
    write_page(tmp_path / "a/b/page.html", "<p>ü</p>")
    assert (tmp_path / "a/b/page.html").read_text(encoding="utf-8") == "<p>ü</p>"

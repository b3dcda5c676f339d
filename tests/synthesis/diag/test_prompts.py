from pathlib import Path

import pytest

from patchcore_dual.errors import DataError, SettingsError
from patchcore_dual.synthesis.diag.prompts import Prompt, preset_prompts, read_prompts

GOOD = """\
negative: smooth, plain
prompts:
  - positive: copper metal scratches
    kind: scratch
  - positive: "12: dots"
    negative: shadow   # replaces the common one
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "prompts.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_thesis_asks_for_two_things() -> None:
    scratches, marks = preset_prompts("ksdd2")
    assert scratches.positive == "copper metal scratches"
    assert marks.positive == "white marks on the wall"
    assert scratches.negative == marks.negative == "smooth, plain, black, dark, shadow"
    assert scratches.kind == ""
    with pytest.raises(SettingsError, match="no prompt preset 'mvtec'; there are: ksdd2"):
        preset_prompts("mvtec")


def test_a_file_is_read_in_order(tmp_path: Path) -> None:
    assert read_prompts(write(tmp_path, GOOD)) == (
        Prompt("copper metal scratches", "smooth, plain", "scratch"),
        Prompt("12: dots", "shadow", ""),
    )


def test_a_byte_order_mark_and_windows_lines_do_no_harm(tmp_path: Path) -> None:
    path = write(tmp_path, "\ufeff" + GOOD.replace("\n", "\r\n"))
    assert len(read_prompts(path)) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "prompts:\n  - kind: a\n    postive: b\n",
            "line 3: unknown key 'postive'; did you mean 'p",
        ),
        ("promts:\n  - positive: b\n", "line 1: unknown key 'promts'; did you mean 'prompts'?"),
        ("prompts:\n  - positive: b\n    colour: red\n", "line 3: unknown key 'colour'; use pos"),
        ("prompts:\n  - kind: a\n", "line 2: this prompt has no key 'positive'"),
        ("negative: plain\n", "there is no key 'prompts'"),
        ("prompts:\n", "line 1: 'prompts' has to be a list"),
        ("prompts: []\n", "line 1: 'prompts' has to be a list"),
        ("prompts:\n  positive: b\n", "line 2: 'prompts' has to be a list"),
        ("prompts:\n  - copper scratches\n", "line 2: keys and values are expected.*'positive: "),
        ("- positive: b\n", "line 1: keys and values are expected.*'prompts:'"),
        ("prompts:\n  - positive:\n", "line 2: 'positive' is empty"),
        ("prompts:\n  - positive: ' '\n", "line 2: 'positive' is empty"),
        ("prompts:\n  - positive: 12\n", "line 2: 'positive' has to be text.*\"12\""),
        ("prompts:\n  - positive: b\n    kind: yes\n", "line 3: 'kind' has to be text.*\"yes\""),
        ("prompts:\n  - positive: [a, b]\n", "line 2: 'positive' has to be one text"),
        ("negative: {a: b}\nprompts:\n  - positive: b\n", "line 1: 'negative' has to be one text"),
        (
            "prompts:\n  - positive: b\n    positive: c\n",
            "line 3: the key 'positive' stands here tw",
        ),
        ("prompts:\n  - {? [a]: b}\n", "line 2: unknown key"),
        ("prompts:\n  - positive: a: b\n", "line 2: not YAML"),
        ("prompts:\n\t- positive: b\n", "line 2: not YAML"),
        ("prompts: &a [*b]\n", "line 1: not YAML"),
        ("a: b\n---\nc: d\n", "line 2: not YAML"),
        ("prompts: \x01\n", "not YAML"),
        ("", "is empty"),
        ("# nothing\n", "is empty"),
    ],
)
def test_an_error_names_line_and_key(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=message) as error:
        read_prompts(path)
    assert str(path) in str(error.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no prompt file"):
        read_prompts(tmp_path / "absent.yaml")
    with pytest.raises(DataError, match="cannot be read as text"):
        read_prompts(tmp_path)
    (tmp_path / "image.png").write_bytes(b"\x89PNG\r\n\xff")
    with pytest.raises(DataError, match="cannot be read as text"):
        read_prompts(tmp_path / "image.png")

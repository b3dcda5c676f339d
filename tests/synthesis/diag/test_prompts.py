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
            "prompt 1: unknown key 'postive'; did you mean 'positive'?",
        ),
        ("promts:\n  - positive: b\n", "unknown key 'promts'; did you mean 'prompts'?"),
        (
            "prompts:\n  - positive: a\n  - positive: b\n    colour: red\n",
            "prompt 2: unknown key 'colour'; use positive, negative, kind",
        ),
        ("prompts:\n  - kind: a\n", "prompt 1: the key 'positive' is missing"),
        ("negative: plain\n", "the key 'prompts' is missing"),
        ("prompts:\n", "'prompts' has to be a list"),
        ("prompts: []\n", "'prompts' has to be a list"),
        ("prompts:\n  positive: b\n", "'prompts' has to be a list"),
        ("prompts:\n  - copper scratches\n", "prompt 1: keys with values.*\n.*\n  - positive: "),
        ("- positive: b\n", "yaml: keys with values are expected here:\nprompts:"),
        ("copper scratches", "yaml: keys with values are expected here:\nprompts:"),
        ("prompts:\n  - positive:\n", "prompt 1: 'positive' is empty"),
        ("prompts:\n  - positive: ' '\n", "prompt 1: 'positive' is empty"),
        ("negative:\nprompts:\n  - positive: b\n", "'negative' is empty"),
        (
            "prompts:\n  - positive: 12\n",
            "prompt 1: 'positive' has to be text, but .* the int 12. Put it in quotes",
        ),
        (
            "prompts:\n  - positive: b\n    kind: yes\n",
            "prompt 1: 'kind' has to be text, but .* the bool True. Put it in quotes",
        ),
        ("prompts:\n  - positive: [a, b]\n", "prompt 1: 'positive' has to be a single text"),
        ("negative: {a: b}\nprompts:\n  - positive: b\n", "'negative' has to be a single text"),
        ("prompts:\n  - positive: b\n    positive: c\n", "line 3: .*'positive' is repeated"),
        ("prompts:\n  - {? [a]: b}\n", "line 2: not valid YAML"),
        ("prompts:\n  - positive: a: b\n", "line 2: not valid YAML"),
        ("prompts:\n\t- positive: b\n", "line 2: not valid YAML"),
        ("prompts: &a [*b]\n", "line 1: not valid YAML"),
        ("a: b\n---\nc: d\n", "line 2: not valid YAML"),
        ("prompts: \x01\n", "not valid YAML"),
        ("", "is empty"),
        ("# nothing\n", "is empty"),
    ],
)
def test_an_error_names_the_line_or_the_prompt_and_key(
    tmp_path: Path, text: str, message: str
) -> None:
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

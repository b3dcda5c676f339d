"""What a diffusion model is asked for: presets, and files of the user's own (thesis 4.2.2)."""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from patchcore_dual.errors import DataError, SettingsError

FILE_KEYS = ("negative", "prompts")
PROMPT_KEYS = ("positive", "kind", "negative")
EXAMPLE = "prompts:\n  - positive: copper metal scratches"


@dataclass(frozen=True)
class Prompt:
    """One thing to paint.

    Attributes:
        positive: what is to be seen.
        negative: what is not.
        kind: only masks of this kind of defect are used; empty for any.
    """

    positive: str
    negative: str = ""
    kind: str = ""


_NOT_A_DEFECT = "smooth, plain, black, dark, shadow"

PRESETS: dict[str, tuple[Prompt, ...]] = {
    # The thesis's two, for electrical commutators.
    "ksdd2": (
        Prompt("copper metal scratches", _NOT_A_DEFECT),
        Prompt("white marks on the wall", _NOT_A_DEFECT),
    ),
}


def preset_prompts(name: str) -> tuple[Prompt, ...]:
    """The prompts of a preset; SettingsError where there is none of that name."""
    if name not in PRESETS:
        raise SettingsError(f"no prompt preset {name!r}; there are: {', '.join(PRESETS)}.")
    return PRESETS[name]


def read_prompts(path: Path) -> tuple[Prompt, ...]:
    """The prompts of a YAML file, in order.

        negative: smooth, plain         # for all prompts; may be left out
        prompts:
          - positive: copper metal scratches
            kind: scratch               # optional: only masks of this kind are used
            negative: shadow            # optional: replaces the common one

    Raises DataError with line and key where the file is not of this form.
    """
    yaml = import_yaml()
    try:
        root = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
    except FileNotFoundError:
        raise DataError(f"there is no prompt file {path}. Check the path.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text ({error}).") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise DataError(f"{where}: not YAML ({problem}). Write it as:\n{EXAMPLE}") from None
    if root is None:
        raise DataError(f"{path} is empty. Write it as:\n{EXAMPLE}")
    values = _mapping(root, FILE_KEYS, path)
    if "prompts" not in values:
        raise DataError(f"{path}: there is no key 'prompts'. Write it as:\n{EXAMPLE}")
    common = _text(values["negative"], "negative", path) if "negative" in values else ""
    listed = values["prompts"]
    if listed.id != "sequence" or not listed.value:
        raise DataError(
            f"{_where(listed, path)}: 'prompts' has to be a list, with a dash before each:\n"
            f"{EXAMPLE}"
        )
    return tuple(_read_prompt(node, common, path) for node in listed.value)


def _read_prompt(node: Any, common: str, path: Path) -> Prompt:
    values = _mapping(node, PROMPT_KEYS, path)
    if "positive" not in values:
        raise DataError(f"{_where(node, path)}: this prompt has no key 'positive'.")
    texts = {key: _text(value, key, path) for key, value in values.items()}
    return Prompt(**{"negative": common, **texts})


def _mapping(node: Any, allowed: tuple[str, ...], path: Path) -> dict[str, Any]:
    """Value nodes by key; every key is allowed and stands once."""
    if node.id != "mapping":
        first = f"{allowed[0]}: ..." if allowed is PROMPT_KEYS else "prompts:"
        raise DataError(
            f"{_where(node, path)}: keys and values are expected here, beginning with '{first}'."
        )
    values: dict[str, Any] = {}
    for key, value in node.value:
        name = key.value if key.id == "scalar" else "?"
        if name not in allowed:
            near = difflib.get_close_matches(str(name), allowed, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"use {', '.join(allowed)}."
            raise DataError(f"{_where(key, path)}: unknown key {name!r}; {hint}")
        if name in values:
            raise DataError(f"{_where(key, path)}: the key {name!r} stands here twice.")
        values[name] = value
    return values


def _text(node: Any, key: str, path: Path) -> str:
    if node.id != "scalar":
        raise DataError(f"{_where(node, path)}: {key!r} has to be one text.")
    text = node.value.strip()
    if node.tag.endswith(":null") or not text:
        raise DataError(f"{_where(node, path)}: {key!r} is empty. Write a text or leave it out.")
    if not node.tag.endswith(":str"):
        raise DataError(
            f"{_where(node, path)}: {key!r} has to be text, and {text} is not read as such: "
            f'put it in quotes, "{text}".'
        )
    return str(text)


def _where(node: Any, path: Path) -> str:
    return f"{path}, line {node.start_mark.line + 1}"


def import_yaml() -> Any:
    try:
        import yaml
    except ImportError:
        raise SettingsError(
            "prompt files need PyYAML. Install with: pip install 'patchcore-dual[diag]'"
        ) from None
    return yaml

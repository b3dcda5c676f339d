"""`Prompt`: what a diffusion model is to paint; presets, and files of prompts (thesis 4.2.2)."""

import difflib
from collections.abc import Hashable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from patchcore_dual.errors import DataError, SettingsError
from patchcore_dual.utils.dependencies import require

EXAMPLE = "prompts:\n  - positive: copper metal scratches"

_UNKNOWN_KEY = "extra_forbidden", "unexpected_keyword_argument"  # of a model, of a dataclass

_Text = Annotated[str, StringConstraints(strict=True, strip_whitespace=True, min_length=1)]


@dataclass(frozen=True)
class Prompt:
    """One thing to paint.

    Attributes:
        positive: what the image is to show.
        negative: what it is not to show.
        kind: the kind of defect whose masks are used; empty for any kind.
    """

    positive: _Text
    negative: _Text = ""
    kind: _Text = ""

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")


class _PromptFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    prompts: list[Prompt] = Field(min_length=1)
    negative: _Text = ""


_NOT_A_DEFECT = "smooth, plain, black, dark, shadow"

PRESETS: dict[str, tuple[Prompt, ...]] = {
    # The two prompts of the thesis, for electrical commutators.
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
    """Read the prompts of a YAML file, in order.

    >>> from tempfile import TemporaryDirectory
    >>> text = '''
    ... negative: smooth, plain          # optional: for all prompts
    ... prompts:
    ...   - positive: copper metal scratches
    ...     kind: scratch                # optional: use only masks of this kind
    ...     negative: shadow             # optional: replaces the common one
    ...   - positive: white marks on the wall
    ... '''
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "prompts.yaml"
    ...     _ = path.write_text(text)
    ...     for prompt in read_prompts(path):
    ...         print(prompt)
    Prompt(positive='copper metal scratches', negative='shadow', kind='scratch')
    Prompt(positive='white marks on the wall', negative='smooth, plain', kind='')

    Raises:
        DataError: where the file cannot be read or is not of this form; it names the file, and
            the line or the prompt and key.
        SettingsError: where PyYAML is not installed.
    """
    values = _load(path)
    if values is None:
        raise DataError(f"{path} is empty. Write it as:\n{EXAMPLE}")
    try:
        file = _PromptFile.model_validate(values)
    except ValidationError as error:
        problems = sorted(error.errors(), key=lambda e: e["type"] not in _UNKNOWN_KEY)
        raise DataError(_explain(problems[0], path)) from None
    return tuple(Prompt(p.positive, p.negative or file.negative, p.kind) for p in file.prompts)


def import_yaml() -> Any:
    """Import PyYAML; MissingDependencyError where it is not installed."""
    require("a file of prompts", "yaml")
    import yaml

    return yaml


def _load(path: Path) -> Any:
    """The plain values of a YAML file in which no key is repeated."""
    yaml = import_yaml()

    class Loader(yaml.SafeLoader):  # type: ignore[name-defined]
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
            keys = [key.value for key, _ in node.value]
            for position, (key, _) in enumerate(node.value):
                if key.value in keys[:position]:
                    problem = f"the key {key.value!r} is repeated"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            return dict(super().construct_mapping(node, deep))

    try:
        return yaml.load(path.read_text(encoding="utf-8-sig"), Loader)
    except FileNotFoundError:
        raise DataError(f"there is no prompt file {path}. Check the path.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text ({error}).") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise DataError(f"{where}: not valid YAML ({problem}). Write it as:\n{EXAMPLE}") from None


def _explain(error: Any, path: Path) -> str:
    """What is wrong with a prompt file, and how to mend it."""
    in_prompt = len(error["loc"]) > 1
    where = f"{path}, prompt {error['loc'][1] + 1}" if in_prompt else str(path)
    key = error["loc"][-1] if error["loc"] else ""
    value, problem = error["input"], error["type"]
    if problem in _UNKNOWN_KEY:
        allowed = [f.name for f in fields(Prompt)] if in_prompt else [*_PromptFile.model_fields]
        near = difflib.get_close_matches(str(key), allowed, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"use {', '.join(allowed)}."
        return f"{where}: unknown key {key!r}; {hint}"
    if problem == "missing":
        return f"{where}: the key {key!r} is missing. Write it as:\n{EXAMPLE}"
    if problem in ("list_type", "too_short"):
        return f"{where}: {key!r} has to be a list, with a dash before each item:\n{EXAMPLE}"
    if problem == "string_too_short" or (problem == "string_type" and value is None):
        return f"{where}: {key!r} is empty. Write a text, or leave the key out."
    if problem == "string_type" and isinstance(value, (list, dict)):
        return f"{where}: {key!r} has to be a single text."
    if problem == "string_type":
        return (
            f"{where}: {key!r} has to be text, but YAML reads it as the {type(value).__name__} "
            f"{value}. Put it in quotes."
        )
    return f"{where}: keys with values are expected here:\n{EXAMPLE}"

"""`patchcore-dual history`: who changed a model, when, what and why; and whether that is whole."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from patchcore_dual.cli.choices import AsJson

if TYPE_CHECKING:
    from patchcore_dual.model.ledger import Ledger, TaughtImage, Version


def history(
    model: Annotated[Path, typer.Argument(help="A model folder that `fit` made.")],
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Check that neither the history nor any version was altered; exit with 1 if one "
            "was.",
        ),
    ] = False,
    expect: Annotated[
        str,
        typer.Option(
            help="With --verify: a hash that an earlier --verify printed, which the history still "
            "has to hold.",
            metavar="HASH",
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """List every change of a model: who, when, what, why, and what it did.

    The version in place has an asterisk. Any version can be named as
    MODEL@NUMBER, or as MODEL@TAG, wherever a model is read.

    Example: patchcore-dual history model
    """
    from patchcore_dual.cli.console import print_json
    from patchcore_dual.errors import SettingsError
    from patchcore_dual.model.versions import history as history_of
    from patchcore_dual.model.versions import state_of

    if expect and not verify:
        raise SettingsError("--expect is for --verify. Add --verify.")
    if verify:
        _verify(model, expect, as_json)
        return
    ledger = history_of(model)
    if as_json:
        print_json({"model": str(model), **_as_values(ledger)})
        return
    for line in history_lines(ledger):
        print(line)
    if state_of(model) == "pending":
        print(f"Version {len(ledger)} was cut short: the next change completes it.")


def _verify(model: Path, expect: str, as_json: bool) -> None:
    from patchcore_dual.cli.console import print_json
    from patchcore_dual.live import verify
    from patchcore_dual.model.ledger import Ledger

    problems = verify(model, expect)
    ledger = Ledger() if problems else Ledger.read(model)
    if as_json:
        head = ledger.head or None
        print_json({"model": str(model), "whole": not problems, "problems": problems, "hash": head})
    elif not problems and not len(ledger):
        print(f"{model} is whole, and was never changed.")
    elif not problems:
        print(f"{model} is whole: {len(ledger)} versions, none of them altered.")
        print(f"The hash of the last line is {ledger.head}.")
        print("Keep it elsewhere: --verify --expect HASH finds a history that was written anew.")
    for problem in [] if as_json else problems:
        print(f"altered: {problem}")
    if problems:
        raise typer.Exit(1)


def history_lines(ledger: "Ledger") -> list[str]:
    """The versions for people, the oldest first; the one in place has an asterisk."""
    in_place = ledger.origin(ledger.last).number
    tags: dict[int, list[str]] = {}
    for name, number in ledger.tags.items():
        tags.setdefault(number, []).append(name)
    widest = max(len(version.by) for version in ledger.versions)
    lines = []
    for version in ledger.versions:
        mark = "*" if version.number == in_place else " "
        when = datetime.fromisoformat(version.at).astimezone().strftime("%Y-%m-%d %H:%M")
        names = "".join(f" [{name}]" for name in sorted(tags.get(version.number, ())))
        removed = " (removed by prune)" if version.fingerprint in ledger.pruned else ""
        start = f"{mark}{version.number:4}  {when}  {version.by:{widest}}  "
        lines.append(f"{start}{what_was_done(version)}{names}{removed}")
        below = [_image_text(image) for image in version.images]
        below += [f"“{version.why}”"] if version.why else []
        lines += [" " * len(start) + text for text in below]
    return lines


def what_was_done(version: "Version") -> str:
    """The action of a version and what it changed, as a phrase."""
    effects, action = version.effects, version.action
    if action == "undo":
        return f"undo: back to version {effects['to']}"
    if action == "tag" and effects["version"]:
        return f"tag: version {effects['version']} is {effects['tag']}"
    if action == "tag":
        return f"tag: {effects['tag']} taken away"
    if action == "prune":
        return f"prune: removed {', '.join(map(str, effects['removed']))}"
    if action == "region":
        was, now = effects["share inspected"]
        others = effects_text({n: v for n, v in effects.items() if n != "share inspected"})
        return f"region narrowed: {now:.1%} of each image is inspected, not {was:.1%}; {others}"
    changed = effects_text(effects)
    return f"{action}: {changed}" if changed else action


def effects_text(effects: Mapping[str, Any]) -> str:
    """What a change did: a pair is a value before and after it.

    >>> effects_text({"recall": [0.5, 0.75], "patches added": 3})
    'recall 0.5 → 0.75, patches added 3'
    """
    nothing: tuple[Any, ...] = (None, "", [], {}, [None, None])
    known = {name: value for name, value in effects.items() if value not in nothing}
    return ", ".join(f"{name.replace('_', ' ')} {_value(v)}" for name, v in known.items())


def _value(value: Any) -> str:
    if isinstance(value, list) and len(value) == 2 and not isinstance(value[0], str):
        return " → ".join(map(_value, value))
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    if isinstance(value, dict):
        return effects_text(value)
    if value is None:
        return "unknown"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _image_text(image: "TaughtImage") -> str:
    kind = f", {image.kind}" if image.kind else ""
    return f"{image.name} ({image.label}{kind}; sha256 {image.sha256[:16]})"


def _as_values(ledger: "Ledger") -> dict[str, Any]:
    return {
        "in_place": ledger.origin(ledger.last).number,
        "fingerprint": ledger.last.fingerprint,
        "tags": ledger.tags,
        "versions": [
            {**version.model_dump(), "pruned": version.fingerprint in ledger.pruned}
            for version in ledger.versions
        ],
    }

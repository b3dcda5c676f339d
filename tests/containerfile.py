"""Tries the steps of the Containerfile without a container: python tests/containerfile.py FOLDER.

The steps are read from the file itself. Those of its first stage, which install the package, run
here, with FOLDER in place of the container's file system. The last stage only copies what they
made, and adds a user, which takes a container.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILE = ROOT / "Containerfile"
ENVIRONMENT = "/opt/patchcore-dual"


class StepFailed(Exception):
    """A step of the file failed; its text is what it printed."""


def steps(text: str) -> Iterator[tuple[str, str]]:
    """The instructions of a Containerfile, with what follows each.

    >>> list(steps("# base\\nFROM debian\\nRUN a \\\\\\n  b\\n"))
    [('FROM', 'debian'), ('RUN', 'a b')]
    """
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\s*\\\n\s*", " ", "\n".join(lines)).splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            yield name, rest.strip()


def install(folder: Path) -> Path:
    """Run the steps that install the package, and give the environment that they make.

    Args:
        folder: an empty or new folder, for a copy of the source and for the environment.

    Raises:
        StepFailed: where one of them fails.
    """
    environment, source = folder / "environment", folder / "source"
    source.mkdir(parents=True)
    outside = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    for name, rest in first_stage():
        print(f"{name} {rest}", file=sys.stderr)
        if name == "COPY":
            *copied, target = rest.split()
            for path in copied:
                _copy(ROOT / path, source / target / ("" if target == path else path))
        elif name == "RUN":
            command = rest.replace(ENVIRONMENT, shlex.quote(str(environment)))
            command = re.sub(r"^python ", f"{shlex.quote(sys.executable)} ", command)
            result = subprocess.run(
                command,
                shell=True,
                cwd=source,
                env=outside,
                capture_output=True,
                text=True,
                check=False,
            )
            if result.returncode:
                raise StepFailed(result.stdout + result.stderr)
    return environment


def first_stage() -> list[tuple[str, str]]:
    """The steps that build the environment, which the last stage copies."""
    found = list(steps(FILE.read_text("utf-8")))
    starts = [i for i, (name, _) in enumerate(found) if name == "FROM"]
    assert len(starts) == 2
    first, last = found[starts[0] + 1 : starts[1]], found[starts[1] :]
    assert {name for name, _ in first} == {"WORKDIR", "COPY", "RUN"}
    assert ("COPY", f"--from=build {ENVIRONMENT} {ENVIRONMENT}") in last
    return first


def entry_point(environment: Path) -> list[str]:
    """The command that the container runs, in an environment that `install` made."""
    (words,) = (rest for name, rest in steps(FILE.read_text("utf-8")) if name == "ENTRYPOINT")
    command: list[str] = json.loads(words)
    return [word.replace(ENVIRONMENT, str(environment)) for word in command]


def _copy(path: Path, target: Path) -> None:
    if path.is_dir():
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(path, target, ignore=ignored)
    else:
        shutil.copy(path, target)


if __name__ == "__main__":
    try:
        made = install(Path(sys.argv[1]).absolute())
    except StepFailed as failure:
        sys.exit(f"The last step failed:\n{failure}")
    subprocess.run([*entry_point(made), "--help"], check=True, stdout=subprocess.DEVNULL)
    print(f"The container's command runs: {shlex.join(entry_point(made))}")

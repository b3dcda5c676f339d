"""`patchcore-dual inspect`: verdicts, heat maps and regions for new images."""

from pathlib import Path
from typing import Annotated, Any

import typer

from patchcore_dual.cli.choices import AsJson, Device


def inspect(
    model: Annotated[Path, typer.Argument(help="A model folder that `fit` made.")],
    images: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")],
    out: Annotated[
        Path | None, typer.Option(help="Write a picture of each image with its heat map here.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 where an image is rejected.")
    ] = False,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Inspect images: pass, review or reject, where, and which known patch it resembles.

    A file that cannot be read is reported and the others follow; the exit code is then 2.

    Example: patchcore-dual inspect model new/ --out pictures
    """
    from patchcore_dual.cli.console import console, print_json
    from patchcore_dual.data.reading import write_png
    from patchcore_dual.detector import PatchCoreDual
    from patchcore_dual.errors import ImageError

    paths = list_paths(images)
    detector = PatchCoreDual.load(model, device=device)
    results: list[dict[str, Any]] = []
    rejected = broken = False
    inspections = detector.inspect_many(paths, on_error="yield")
    for path, picture, result in zip(paths, picture_names(paths), inspections, strict=True):
        if isinstance(result, ImageError):
            broken = True
            results.append({"path": str(path), "error": str(result)})
            console.print(f"error: {result}", style="red", markup=False, soft_wrap=True)
            continue
        rejected |= result.verdict == "reject"
        results.append(result.to_json())
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            write_png(out / picture, result.draw())
        if not as_json:
            print(result)
    if as_json:
        print_json({"results": results})
    elif out is not None:
        print(f"Pictures: {out}")
    if broken:
        raise typer.Exit(2)
    if strict and rejected:
        raise typer.Exit(1)


def list_paths(images: list[Path]) -> list[Path]:
    """The files named, and all images in and below the folders named."""
    from patchcore_dual.data.reading import IMAGE_SUFFIXES, natural_key
    from patchcore_dual.errors import DataError

    paths: list[Path] = []
    for path in images:
        if path.is_dir():
            inside = [
                p
                for p in path.rglob("*")
                if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file() and p.name[0] != "."
            ]
            if not inside:
                raise DataError(f"{path} holds no images.")
            paths += sorted(inside, key=natural_key)
        elif path.exists():
            paths.append(path)
        else:
            raise DataError(f"there is no file or folder {path}.")
    return paths


def picture_names(paths: list[Path]) -> list[str]:
    """One PNG name for each path; of equal stems the later ones get a number."""
    seen: dict[str, int] = {}
    names = []
    for path in paths:
        seen[path.stem] = seen.get(path.stem, 0) + 1
        suffix = f"-{seen[path.stem]}" if seen[path.stem] > 1 else ""
        names.append(f"{path.stem}{suffix}.png")
    return names

"""A folder of results: what `inspect --results` writes, one Parquet file for each shard of images.

Columns are the keys of `Inspection.to_json`, and besides `error`, the size of the image, where its
map is, and how long it took. Programs that read folders of Parquet files read it as one table, as
`pyarrow.dataset.dataset(folder)` does: they pass over names that begin with `_`.
"""

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from patchcore_dual.data.listing import printable
from patchcore_dual.errors import DataError
from patchcore_dual.scoring.appearance import STATISTICS

PLAN, MAPS = "_plan.json", "_maps"
_PART = re.compile(r"part-(\d{8})\.parquet")


def part_path(folder: Path, number: int) -> Path:
    """The file of a shard."""
    return folder / f"part-{number:08}.parquet"


def map_archive(number: int) -> str:
    """The name of the file, in `MAPS`, of the heat maps of a shard."""
    return f"part-{number:08}.zip"


def parts_done(folder: Path) -> list[int]:
    """The numbers of the shards that are there, in order."""
    matches = (_PART.fullmatch(path.name) for path in folder.iterdir())
    return sorted(int(match[1]) for match in matches if match)


@lru_cache(maxsize=1)
def schema() -> Any:
    """The columns, as `pyarrow.Schema`."""
    import pyarrow as pa

    text, whole, number = pa.string(), pa.int32(), pa.float64()
    match = pa.struct({"image": text, "row": whole, "column": whole, "distance": number})
    box = {"x": whole, "y": whole, "width": whole, "height": whole}
    region = pa.struct({**box, "area": pa.int64(), "peak": number})
    moved = {"x": number, "y": number, "turn": number, "confidence": number, "reason": text}
    appearance = {
        "values": pa.struct(dict.fromkeys(STATISTICS, number)),
        "brightness": pa.list_(number),
        "distance": pa.list_(number),
    }
    return pa.schema(
        {
            "path": text,
            "verdict": text,
            "score": number,
            "uncertainty": number,
            "threshold": number,
            "review_threshold": number,
            "regions": pa.list_(region),
            "nearest_normal": match,
            "nearest_defect": match,
            "is_foreign": pa.bool_(),
            "motion": pa.struct(moved),
            "appearance": pa.struct(appearance),
            "note": text,
            "error": text,
            "model": text,
            "model_folder": text,
            "width": whole,
            "height": whole,
            "map": text,
            "read_ms": pa.float32(),
            "inspect_ms": pa.float32(),
        }
    )


def to_parquet(rows: Iterable[dict[str, Any]]) -> bytes:
    """Rows as a Parquet file; a key that is missing has no value.

    >>> to_parquet([{"path": "a.png", "verdict": "pass"}])[:4]
    b'PAR1'
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    table = pa.Table.from_pylist(list(rows), schema=schema())
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()


def joined(parts: Sequence[bytes]) -> bytes:
    """Parquet files one after the other, as one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    tables = [pq.read_table(io.BytesIO(part)) for part in parts]
    pq.write_table(pa.concat_tables(tables), file, compression="zstd")
    return file.getvalue()


def is_results_folder(folder: Path) -> bool:
    """Whether `inspect --results` wrote into a folder."""
    return (folder / PLAN).is_file()


def read_results(folder: Path, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a folder of results, in the order of its list of images.

    Args:
        columns: those that are needed; None for all.

    Raises:
        DataError: a file is damaged.
    """
    for number in parts_done(folder):
        yield from read_part(folder, number, columns)


def read_part(folder: Path, number: int, columns: list[str] | None = None) -> list[dict[str, Any]]:
    """The rows of a shard; see `read_results`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = part_path(folder, number)
    try:
        rows: list[dict[str, Any]] = pq.read_table(path, columns=columns).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            f"{printable(path)} cannot be read ({error}). Remove it, and run the same "
            "`inspect --results` again."
        ) from None
    return rows

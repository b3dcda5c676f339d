"""The schema version of a prepared data set, and the migrations that bring older ones up to date.

The version is recorded in `preparation.json`. The columns of `manifest.csv` need no migration:
they are found by name, a missing optional one has its default, and an unknown one is kept.

To change the schema: add one to `SCHEMA_VERSION`, and to `MIGRATIONS` a function that makes the
contents of `preparation.json` of the version before into those of the new one.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from patchcore_dual.errors import DataError

PREPARATION_NAME = "preparation.json"
SCHEMA_VERSION = 3
# Folders without a recorded version count as 2, the last version that recorded none.
OLDEST_VERSION = 2

Preparation = dict[str, Any]


def _from_2(preparation: Preparation) -> Preparation:
    """Version 3 records the version and allows further columns; nothing else is different."""
    return preparation


MIGRATIONS: dict[int, Callable[[Preparation], Preparation]] = {2: _from_2}


def bring_up_to_date(preparation: Mapping[str, Any], path: Path) -> Preparation:
    """The contents of a `preparation.json` of any readable version, in the present schema.

    Args:
        preparation: the JSON object as it was stored.
        path: the file it was read from, for messages.

    Returns:
        A new dictionary whose `schema_version` is `SCHEMA_VERSION`.

    Raises:
        DataError: the version is newer or older than the ones this program reads, or no integer.

    >>> bring_up_to_date({"size": "224x632"}, Path("preparation.json"))
    {'schema_version': 3, 'size': '224x632'}
    """
    version = preparation.get("schema_version", OLDEST_VERSION)
    if type(version) is not int:
        raise DataError(f"{path} is damaged: its schema version is {version!r}, not an integer.")
    if not OLDEST_VERSION <= version <= SCHEMA_VERSION:
        advice = (
            "Use a newer version of the program, or prepare the data set again."
            if version > SCHEMA_VERSION
            else "Prepare the data set again."
        )
        raise DataError(
            f"{path} has schema version {version}; this program reads versions "
            f"{OLDEST_VERSION} to {SCHEMA_VERSION}. {advice}"
        )
    migrated = dict(preparation)
    for older in range(version, SCHEMA_VERSION):
        migrated = MIGRATIONS[older](migrated)
    migrated.pop("schema_version", None)
    return {"schema_version": SCHEMA_VERSION, **migrated}
